"""
Measures how soon another API process refuses a device token that was revoked.

Two processes share a PostgreSQL. The other process has just used the token, and is asked without
pause from the answer to the revocation on. The second row revokes in the database itself, without
NOTIFY: the other process only learns it when it looks the token up again.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import asyncpg
import httpx
from api_database import api_database, signed_in

from support.results import add_json_option, write_figures
from support.service_process import SECONDS, service


@dataclass(frozen=True)
class Installation:
    """Two API processes, their database, and a signed-in account."""

    servers: tuple[str, str]
    database: str
    owner: dict[str, str]


@contextmanager
def installation() -> Iterator[Installation]:
    """Start everything; it ends with the context."""
    with ExitStack() as stack:
        database = stack.enter_context(api_database())
        processes = [
            stack.enter_context(service(database.folder / name, "api", **database.settings))
            for name in "ab"
        ]
        for process in processes:
            process.wait_until_ready()
        first, second = (process.address() for process in processes)
        client = stack.enter_context(httpx.Client(base_url=first, timeout=SECONDS))
        yield Installation((first, second), database.url, signed_in(client, "ada@clinic.example"))


async def seconds_until_refused(
    client: httpx.AsyncClient, where: Installation, revoke: Callable[[str], Awaitable[None]]
) -> float:
    """Create a token, use it in the other process, revoke it, and wait for the refusal."""
    wish = {"name": "device", "scopes": ["upload:read"]}
    made = await client.post(f"{where.servers[0]}/v1/tokens", json=wish, headers=where.owner)
    token = made.json()
    headers = {"Authorization": f"Bearer {token['token']}"}

    async def status() -> int:
        answer = await client.get(f"{where.servers[1]}/v1/uploads", headers=headers)
        return answer.status_code

    assert await status() == httpx.codes.OK
    await revoke(token["id"])
    began = time.monotonic()
    while await status() != httpx.codes.UNAUTHORIZED:
        assert time.monotonic() - began < SECONDS
    return time.monotonic() - began


async def measure(where: Installation, count: int) -> dict[str, float | None]:
    """Measure *count* revocations of each kind, print them, and return the longest."""
    longest: dict[str, float | None] = {}
    database = await asyncpg.connect(where.database)
    try:
        async with httpx.AsyncClient(timeout=SECONDS) as client:

            async def by_request(token_id: str) -> None:
                path = f"{where.servers[0]}/v1/tokens/{token_id}"
                await client.delete(path, headers=where.owner)

            async def by_hand(token_id: str) -> None:
                await database.execute(
                    "UPDATE device_token SET revoked_at = now() WHERE id = $1", token_id
                )

            for name, revoke, aim in (
                ("with NOTIFY", by_request, 1.0),
                ("without NOTIFY", by_hand, 5.0),
            ):
                found = [await seconds_until_refused(client, where, revoke) for _ in range(count)]
                longest[f"{name}/longest_seconds"] = max(found)
                result = "holds" if max(found) <= aim else "MISSED"
                print(
                    f"{name:16} median {statistics.median(found):6.3f} s,"
                    f" longest {max(found):6.3f} s  aim {aim:g} s: {result}"
                )
    finally:
        await database.close()
    return longest


def main() -> None:
    """Run the bench."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--count", type=int, default=20)
    add_json_option(words)
    options = words.parse_args()
    with installation() as where:
        write_figures(options.json, asyncio.run(measure(where, options.count)))


if __name__ == "__main__":
    main()
