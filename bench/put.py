"""
Measures what the PUT of an object costs the service: signed by itself, and with aiobotocore.

Both ways send the same object to the same S3 server (versitygw) on the event loop of the service,
one after the other, in turns of a few hundred. Each row has the processor time of this process for
one PUT, median and range of the turns, and the median of the waiting time. versitygw closes each
connection after its answer unless it is told to keep them, so both are measured.
"""

import argparse
import asyncio
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from healthingest_service.adapters.s3.body import FileBody
from healthingest_service.adapters.s3.client import call_once, open_connection
from healthingest_service.adapters.s3.put import ObjectPut, ObjectSender
from support.s3 import access_to
from support.servers.versitygw import S3Server, s3_server

_SIZES: Final = {"20 kB": 20_000, "1 MB": 1_000_000, "50 MB": 50_000_000}
_WARM_UP: Final = 20
_SMALL_BYTES: Final = 64 * 1024
_TURN_BYTES: Final = 200_000_000
"""Most bytes of a turn, so that large objects have fewer of them."""
_BEFORE: Final = "aiobotocore"
_NOW: Final = "signed here"
Send = Callable[[ObjectPut, bytes | FileBody], Awaitable[str | None]]


@dataclass(frozen=True)
class Turn:
    """Processor milliseconds of one PUT in a turn, and the milliseconds that each took."""

    processor: float
    waiting: Sequence[float]


async def turn(send: Send, path: Path, put: ObjectPut, count: int) -> Turn:
    """Send the object *count* times."""
    waiting = []
    began = time.process_time()
    for _ in range(count):
        at = time.perf_counter()
        with path.open("rb") as file:
            is_small = put.size_bytes <= _SMALL_BYTES
            body = file.read() if is_small else FileBody(file, 0, put.size_bytes)
            checksum = await call_once(lambda body=body: send(put, body))
        assert checksum == put.checksum
        waiting.append(1000 * (time.perf_counter() - at))
    return Turn(1000 * (time.process_time() - began) / count, waiting)


def object_of(content: bytes) -> ObjectPut:
    """Return an object as the service would store it."""
    return ObjectPut(
        key="raw/object.avro",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        content_type="application/avro",
        metadata={"upload-id": "0" * 36, "schema-name": "HeartRate", "sha256": "0" * 64},
        creating={},
    )


async def measure(
    server: S3Server, path: Path, put: ObjectPut, *, rounds: int, count: int
) -> dict[str, list[Turn]]:
    """Return the turns of both ways."""
    async with open_connection(access_to(server)) as connection:
        sender = ObjectSender(connection, server.bucket)
        ways: dict[str, Send] = {_BEFORE: sender.send_through_client, _NOW: sender.send}
        for send in ways.values():
            await turn(send, path, put, min(_WARM_UP, count))
        turns: dict[str, list[Turn]] = {name: [] for name in ways}
        for number in range(rounds):
            for name in list(ways) if number % 2 else reversed(ways):
                turns[name].append(await turn(ways[name], path, put, count))
    return turns


def show(title: str, turns: dict[str, list[Turn]]) -> None:
    """Print a row for each way, with its ratio to the first."""
    base = statistics.median(one.processor for one in turns[_BEFORE])
    base_waiting = _waiting(turns[_BEFORE])
    for name, found in turns.items():
        processor = [one.processor for one in found]
        median = statistics.median(processor)
        waiting = _waiting(found)
        spread = f"{min(processor):.2f} to {max(processor):.2f}"
        print(
            f"{title:28} {name:12} {median:8.2f} {spread:>16} {median / base:6.2f} "
            f"{waiting:8.2f} {waiting / base_waiting:6.2f}"
        )


def _waiting(turns: Sequence[Turn]) -> float:
    return statistics.median(one for each in turns for one in each.waiting)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--count", type=int, default=300)
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} at the start, {os.cpu_count()} cores")
    print(f"{'':28} {'':12} {'cpu, ms':>8} {'range':>16} {'ratio':>6} {'wait, ms':>8} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for keep_alive in (False, True):
            with s3_server(keep_alive=keep_alive) as gateway:
                server = gateway.new_bucket()
                for size, size_bytes in _SIZES.items():
                    path = Path(folder) / "object"
                    content = os.urandom(size_bytes)
                    path.write_bytes(content)
                    count = max(min(arguments.count, _TURN_BYTES // size_bytes), 1)
                    working = measure(
                        server, path, object_of(content), rounds=arguments.rounds, count=count
                    )
                    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                        turns = runner.run(working)
                    kept = "kept" if keep_alive else "new"
                    show(f"{size}, {kept} connections", turns)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
