"""The consumer kit on a real broker: no upload is lost, and no effect happens twice."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from healthingest_consumer import (
    Consumer,
    MemoryProcessed,
    Outcomes,
    Processed,
    SqliteProcessed,
)
from healthingest_contract.events import UploadStored
from support.announcements import (
    CONTENT,
    AnnouncedQueue,
    MemoryFiles,
    erased,
    keys,
    stored,
)
from support.deadlines import HANG_SECONDS
from support.servers.rabbitmq import RabbitMQServer


@pytest.fixture(name="announced")
def _announced(rabbitmq: RabbitMQServer) -> AnnouncedQueue:
    """An empty queue."""
    found = AnnouncedQueue(rabbitmq, "kit")
    found.declare()
    return found


@dataclass
class MemoryOutcomes(Outcomes):
    """Reports in memory: what was reported about which upload."""

    reports: list[tuple[str, str]] = field(default_factory=list)

    async def processed(self, upload: UploadStored) -> None:
        """See `Outcomes.processed`."""
        self.reports.append((upload.idempotency_key, "processed"))

    async def failed(self, upload: UploadStored, reason: str) -> None:
        """See `Outcomes.failed`."""
        self.reports.append((upload.idempotency_key, reason))


def consumer(
    announced: AnnouncedQueue,
    processed: Processed | None = None,
    files: MemoryFiles | None = None,
    outcomes: Outcomes | None = None,
) -> Consumer:
    """Return a consumer of the queue."""
    return Consumer(
        announced.queue,
        files=files or MemoryFiles(),
        processed=MemoryProcessed() if processed is None else processed,
        outcomes=outcomes,
    )


async def test_each_upload_comes_once_with_its_file(announced: AnnouncedQueue) -> None:
    """A repeated message is dropped, and none is left in the queue."""
    first, second = stored(), stored()
    files = MemoryFiles({one.idempotency_key: CONTENT for one in (first, second)})
    await announced.announce(first, first, second, first)
    seen = []
    async with asyncio.timeout(HANG_SECONDS):
        async with aclosing(consumer(announced, files=files).uploads()) as uploads:
            async for upload in uploads:
                assert await upload.content() == CONTENT
                seen.append(upload.event)
                if upload.event == second:
                    await announced.announce(last := stored())
                    files.files[last.idempotency_key] = CONTENT
                elif upload.event not in {first, second}:
                    break
    assert seen == [first, second, last]
    # The last one was not acknowledged, because the loop was left before.
    assert keys(await announced.waiting()) == [last.idempotency_key]


async def test_an_exception_leaves_the_message(announced: AnnouncedQueue) -> None:
    """It is delivered again, to the next consumer."""
    await announced.announce(one := stored())

    async def fails() -> None:
        async with aclosing(consumer(announced).uploads()) as uploads:
            async for _ in uploads:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    async with aclosing(consumer(announced).uploads()) as uploads:
        async with asyncio.timeout(HANG_SECONDS):
            assert (await anext(uploads)).event == one


async def test_a_lost_connection_is_survived(announced: AnnouncedQueue) -> None:
    """Also in the middle of the work: the message comes again, and is dropped."""
    uploads_there = [stored() for _ in range(3)]
    await announced.announce(*uploads_there)
    seen = []
    async with asyncio.timeout(HANG_SECONDS):
        async with aclosing(consumer(announced).uploads()) as uploads:
            async for upload in uploads:
                seen.append(upload.event)
                if len(seen) == 1:
                    await asyncio.to_thread(announced.break_connections)
                if len(seen) == 3:
                    break
    assert seen == uploads_there


async def test_an_effect_and_its_memory_are_one(announced: AnnouncedQueue, tmp_path: Path) -> None:
    """A consumer that ends after its commit, before it acknowledges, does not do it again."""
    await announced.announce(one := stored(), two := stored())
    path = tmp_path / "effects.sqlite"
    processed = SqliteProcessed(path)
    async with processed.once("make") as connection:
        connection.execute("CREATE TABLE effect (key TEXT)")

    for _ in range(2):  # each time it ends after the commit, before the acknowledgement
        async with (
            asyncio.timeout(HANG_SECONDS),
            aclosing(consumer(announced, processed).uploads()) as uploads,
        ):
            upload = await anext(uploads)
            async with upload.transaction() as connection:
                connection.execute("INSERT INTO effect VALUES (?)", (upload.key,))
    async with processed.once("look") as connection:
        found = connection.execute("SELECT key FROM effect ORDER BY rowid").fetchall()
    assert [key for (key,) in found] == [one.idempotency_key, two.idempotency_key]
    await processed.close()


async def test_what_is_none_of_ours_goes_to_the_dead_letters(announced: AnnouncedQueue) -> None:
    """
    And what the consumer rejects; the others go on.

    Both outcomes are reported, that of a repeat again: the first report may be missing.
    """
    refused, good, last = stored(), stored(), stored()
    await announced.announce(b"no message", b'{"bucket": 1}', refused, good, good, last)
    seen = []
    outcomes = MemoryOutcomes()
    async with asyncio.timeout(HANG_SECONDS):
        async with aclosing(consumer(announced, outcomes=outcomes).uploads()) as uploads:
            async for upload in uploads:
                seen.append(upload.event)
                if upload.event == refused:
                    upload.reject("too-short")
                elif upload.event == last:
                    break
    assert seen == [refused, good, last]
    done = (good.idempotency_key, "processed")
    assert outcomes.reports == [(refused.idempotency_key, "too-short"), done, done]
    dead = await announced.waiting(f"{announced.name}.dead")
    assert sorted(dead) == sorted([b"no message", b'{"bucket": 1}', refused.to_bytes()])


async def test_erasures_come_once(announced: AnnouncedQueue) -> None:
    """Also of an upload that was processed: its key is another one."""
    upload = stored()
    processed = MemoryProcessed()
    async with processed.once(upload.idempotency_key):
        pass
    first, other = erased(upload), erased(stored())
    await announced.announce(first, first, other)
    seen = []
    async with asyncio.timeout(HANG_SECONDS):
        async with aclosing(consumer(announced, processed).erasures()) as erasures:
            async for erasure in erasures:
                seen.append(erasure.event)
                if erasure.event == other:
                    break
    assert seen == [first, other]
