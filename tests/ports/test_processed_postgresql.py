"""The consumer kit's memory in PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from healthingest_consumer.errors import AlreadyProcessedError, ProcessedUnavailableError
from healthingest_consumer.processed_postgresql import PostgresqlProcessed


@pytest.fixture(name="pool")
async def _pool(postgres_url: str) -> AsyncIterator[Any]:
    """A pool on an empty database."""
    url = postgres_url.replace("+asyncpg", "")
    async with asyncpg.create_pool(url, min_size=1, max_size=4) as pool:
        await pool.execute("CREATE TABLE effect (key text)")
        yield pool


async def process(processed: PostgresqlProcessed, key: str, *, fails: bool = False) -> bool:
    """Write an effect; returns whether it was ours."""
    try:
        async with processed.once(key) as connection:
            await connection.execute("INSERT INTO effect VALUES ($1)", key)
            if fails:
                raise ZeroDivisionError
    except AlreadyProcessedError:
        return False
    return True


async def effects(pool: Any) -> list[str]:  # noqa: ANN401 - asyncpg has no types
    """Return the keys of all effects."""
    return [row["key"] for row in await pool.fetch("SELECT key FROM effect")]


async def test_an_effect_is_there_if_its_memory_is(pool: Any) -> None:  # noqa: ANN401
    """After a failure neither; then it can be tried again."""
    processed = PostgresqlProcessed(pool)
    assert not await processed.has("a")
    with pytest.raises(ZeroDivisionError):
        await process(processed, "a", fails=True)
    assert not await processed.has("a")
    assert await process(processed, "a")
    assert not await process(processed, "a")
    assert await processed.has("a")
    assert await effects(pool) == ["a"]


async def test_of_many_consumers_one_has_the_effect(pool: Any) -> None:  # noqa: ANN401
    """The others wait for it, and learn that it is done."""
    done = await asyncio.gather(*(process(PostgresqlProcessed(pool), "a") for _ in range(4)))
    assert sorted(done) == [False, False, False, True]
    assert await effects(pool) == ["a"]


async def test_consumers_that_begin_at_once_make_one_table(pool: Any) -> None:  # noqa: ANN401
    """PostgreSQL refuses all but one `CREATE TABLE IF NOT EXISTS` of the same moment."""
    for number in range(20):
        await pool.execute("DROP TABLE IF EXISTS healthingest_processed")
        key = str(number)
        done = await asyncio.gather(*(process(PostgresqlProcessed(pool), key) for _ in range(4)))
        assert sorted(done) == [False, False, False, True]


async def test_old_keys_go(pool: Any) -> None:  # noqa: ANN401
    """When a consumer begins."""
    await process(PostgresqlProcessed(pool), "a")
    await pool.execute(
        "UPDATE healthingest_processed SET processed_at = now() - interval '91 days'"
    )
    await process(PostgresqlProcessed(pool), "b")
    assert await pool.fetchval("SELECT string_agg(key, ',') FROM healthingest_processed") == "b"


async def test_a_closed_database_is_unavailable(pool: Any) -> None:  # noqa: ANN401
    """Its error does not come through."""
    processed = PostgresqlProcessed(pool)
    await pool.close()
    with pytest.raises(ProcessedUnavailableError):
        await processed.has("a")
    with pytest.raises(ProcessedUnavailableError):
        await process(processed, "a")
