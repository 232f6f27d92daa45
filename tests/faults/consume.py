"""
Kills consumers at random while they process announced uploads: `make faults-consumers`.

Several processes use the consumer kit with one SQLite database. Each message comes up to three
times. In the end each upload must have exactly one effect. Prints what was done, with the seed;
exits 1 when an effect is missing or double.
"""

import argparse
import asyncio
import contextlib
import random
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from healthingest_consumer import Consumer, Queue, SqliteProcessed
from support.announcements import CONTENT, AnnouncedQueue, MemoryFiles, stored
from support.results import add_json_option, write_figures
from support.servers.process import work_folder
from support.servers.rabbitmq import RabbitMQServer, rabbitmq_server

CONSUMERS: Final = 3
PATIENCE_SECONDS: Final = 1800.0
POLL_SECONDS: Final = 0.5
BATCH: Final = 500


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def consume(url: str, queue: str, database: Path) -> None:
    """Process uploads until the process is killed: what a consumer process does."""
    processed = SqliteProcessed(database)
    files = _SameFile()
    consumer = Consumer(Queue(url, queue, prefetch=20), files=files, processed=processed)
    async with aclosing(consumer.uploads()) as uploads:
        async for upload in uploads:
            size_bytes = len(await upload.content())
            async with upload.transaction() as connection:
                connection.execute("INSERT INTO effect VALUES (?, ?)", (upload.key, size_bytes))


class _SameFile(MemoryFiles):
    """Every upload has the same file."""

    def __init__(self) -> None:
        super().__init__(_AnyKey())


class _AnyKey(dict[str, bytes]):
    def __contains__(self, _key: object) -> bool:
        return True

    def __missing__(self, _key: str) -> bytes:
        return CONTENT


@dataclass(frozen=True)
class Place:
    """A queue and the database of effects."""

    announced: AnnouncedQueue
    database: Path

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start a consumer process."""
        words = (self.announced.server.amqp_url, self.announced.name, str(self.database))
        return subprocess.Popen([sys.executable, __file__, "--consume", *words])

    def effects(self) -> list[str]:
        """Return the keys of all effects."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return [key for (key,) in connection.execute("SELECT key FROM effect")]


@contextlib.contextmanager
def _running(place: Place) -> Iterator[list[subprocess.Popen[bytes]]]:
    consumers = [place.spawn() for _ in range(CONSUMERS)]
    try:
        yield consumers
    finally:
        for one in consumers:
            one.kill()
            one.wait()


async def _announce(place: Place, count: int, source: random.Random) -> set[str]:
    """Announce *count* uploads, some of them two or three times; returns their keys."""
    messages = [stored() for _ in range(count)]
    announced = [one for one in messages for _ in range(source.choice((1, 1, 2, 3)))]
    source.shuffle(announced)
    for start in range(0, len(announced), BATCH):
        await place.announced.announce(*announced[start : start + BATCH])
    return {one.idempotency_key for one in messages}


async def run(place: Place, count: int, source: random.Random) -> int:
    """Kill consumers until all uploads are processed; returns the number of kills."""
    wanted = await _announce(place, count, source)
    kills = 0
    began = time.monotonic()
    with _running(place) as consumers:
        while len(set(place.effects())) < len(wanted):
            if time.monotonic() - began > PATIENCE_SECONDS:
                break
            await asyncio.sleep(POLL_SECONDS * source.uniform(0.2, 2.0))
            number = source.randrange(CONSUMERS)
            consumers[number].send_signal(signal.SIGKILL)
            consumers[number].wait()
            consumers[number] = place.spawn()
            kills += 1
    return kills


def prove(server: RabbitMQServer, count: int, seed: int) -> dict[str, float | None]:
    """Run it, print what was found, and return it."""
    with work_folder(None) as folder:
        place = Place(AnnouncedQueue(server, "consumers"), folder / "effects.sqlite")
        place.announced.declare()
        with contextlib.closing(sqlite3.connect(place.database)) as connection:
            connection.execute("CREATE TABLE effect (key TEXT, size_bytes INTEGER)")
            connection.commit()
        began = time.monotonic()
        kills = asyncio.run(run(place, count, random.Random(seed)))  # noqa: S311 - not secret
        found = place.effects()
    lost, doubles = count - len(set(found)), len(found) - len(set(found))
    say(f"seed {seed}: {count} uploads, {kills} kills, {time.monotonic() - began:.0f} s")
    say(f"without an effect: {lost}, with two: {doubles}")
    return {"without_effect": lost, "with_two": doubles, "kills": kills}


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Kill consumers at random.")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    add_json_option(parser)
    parser.add_argument("--consume", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.consume:
        url, queue, database = options.consume
        asyncio.run(consume(url, queue, Path(database)))
        return 0
    with rabbitmq_server() as server, server.new_virtual_host() as own:
        found = prove(own, options.count, options.seed)
    write_figures(options.json, found)
    return 1 if found["without_effect"] or found["with_two"] else 0


if __name__ == "__main__":
    sys.exit(main())
