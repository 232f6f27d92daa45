"""
Measures the processor time of the relay for a message, beside an earlier commit.

Each commit has a relay process of its own, with a database and a virtual host of its own on the
same servers. They are measured in turn, in two ways: many messages that wait already, as after an
outage of the broker; and messages that come at a constant rate, as from uploads.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
from processes import processor_seconds
from study_cost import run_from, sources_of
from upload_measures import Series

from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.outbox_notify import CHANNEL
from healthingest_service.uploads.model import UploadState
from support.deadlines import HANG_SECONDS
from support.faults.consumer import QUEUE, Consumer
from support.servers.postgres import postgres_server
from support.servers.process import work_folder
from support.servers.rabbitmq import RabbitMQServer, rabbitmq_server
from support.service_process import COMMAND, environment, service
from support.uploads import message, upload

BEFORE: Final = "b10acb5"
"""The last commit that published each message by itself."""
_GROUP_SECONDS: Final = 0.05
_POLL_SECONDS: Final = 0.02
_MIGRATE_SECONDS: Final = 60.0


@dataclass
class Kind:
    """A relay process, and what was measured."""

    process_id: int
    database_url: str
    broker: RabbitMQServer
    waiting_ms: Series = field(default_factory=Series)
    waiting_per_second: Series = field(default_factory=Series)
    steady_ms: Series = field(default_factory=Series)


@contextmanager
def relay(
    folder: Path, database_url: str, broker: RabbitMQServer, run_by: Sequence[str]
) -> Iterator[Kind]:
    """Start a relay; *run_by* is a command that runs it."""
    Consumer(broker).declare()
    settings = {"DATABASE__URL": database_url, "BROKER__URL": broker.amqp_url}
    subprocess.run(
        [*run_by, *COMMAND, "migrate"],
        env=environment(folder, **settings),
        check=True,
        timeout=_MIGRATE_SECONDS,
    )
    with service(folder, "relay", run_by=run_by, **settings) as running:
        running.address("metrics")
        yield Kind(running.process.pid, database_url, broker)


def new_rows(count: int) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return rows of so many new uploads and of their messages."""
    uploads, messages = [], []
    for _ in range(count):
        now = datetime.now(UTC)
        new = upload(os.urandom(16), at=now)
        stored = {"state": UploadState.STORED.value, "stored_at": now}
        uploads.append(rows.upload_values(new, None) | stored)
        waiting = rows.outbox_values(message(new, at=now))
        messages.append(waiting | {"headers": json.dumps(waiting["headers"])})
    return uploads, messages


async def insert(connection: asyncpg.Connection, count: int) -> None:
    """Commit so many uploads with their messages, and notify the relay."""
    uploads, messages = new_rows(count)
    async with connection.transaction():
        for table, values in (("upload", uploads), ("outbox", messages)):
            names = list(values[0])
            numbers = ", ".join(f"${at}" for at in range(1, len(names) + 1))
            # S608: names are those of our tables
            into = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({numbers})"  # noqa: S608
            await connection.executemany(into, [tuple(one.values()) for one in values])
    await connection.execute("SELECT pg_notify($1, '')", CHANNEL)


async def announced(connection: asyncpg.Connection) -> None:
    """Return when the outbox is empty."""
    deadline = time.monotonic() + HANG_SECONDS
    while await connection.fetchval("SELECT EXISTS (SELECT 1 FROM outbox)"):
        assert time.monotonic() < deadline
        await asyncio.sleep(_POLL_SECONDS)


async def measure_waiting(kind: Kind, count: int) -> None:
    """Measure messages that wait together."""
    connection = await asyncpg.connect(kind.database_url)
    try:
        before = processor_seconds(kind.process_id)
        await insert(connection, count)
        began = time.monotonic()
        await announced(connection)
        kind.waiting_per_second.values.append(count / (time.monotonic() - began))
        used = processor_seconds(kind.process_id) - before
        kind.waiting_ms.values.append(used * 1000 / count)
    finally:
        await connection.close()


async def measure_steady(kind: Kind, *, per_second: int, seconds: float) -> None:
    """Measure messages that come at a constant rate."""
    connection = await asyncpg.connect(kind.database_url)
    try:
        before = processor_seconds(kind.process_id)
        began = time.monotonic()
        sent = 0
        while (passed := time.monotonic() - began) < seconds:
            due = round(per_second * passed) - sent
            if due:
                await insert(connection, due)
                sent += due
            await asyncio.sleep(_GROUP_SECONDS)
        await announced(connection)
        used = processor_seconds(kind.process_id) - before
        kind.steady_ms.values.append(used * 1000 / sent)
    finally:
        await connection.close()


def empty_queue(broker: RabbitMQServer) -> None:
    """Remove the messages that nobody consumes."""
    broker.call("DELETE", f"/api/queues/{broker.virtual_host}/{QUEUE}/contents")


def measure_round(kind: Kind, options: argparse.Namespace) -> None:
    """Measure both ways."""
    os.sync()
    asyncio.run(measure_waiting(kind, options.messages))
    empty_queue(kind.broker)
    asyncio.run(measure_steady(kind, per_second=options.per_second, seconds=options.seconds))
    empty_queue(kind.broker)


def report(kinds: Mapping[str, Kind], options: argparse.Namespace) -> None:
    """Print medians and spread, and the ratio of each round."""
    heads = {
        f"{options.messages} waiting, ms each": "waiting_ms",
        f"{options.messages} waiting, a second": "waiting_per_second",
        f"{options.per_second} a second, ms each": "steady_ms",
    }
    for head, name in heads.items():
        print(head)
        series = {title: getattr(kind, name).values for title, kind in kinds.items()}
        pairs = zip(series["now"], series["before"], strict=True)
        for title, found in {**series, "ratio": [one / other for one, other in pairs]}.items():
            middle = statistics.median(found)
            print(f"  {title:8} {middle:9.3f}  ({min(found):.3f} to {max(found):.3f})")


def main() -> int:
    """Run all rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default=BEFORE, help="the commit to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--per-second", type=int, default=80)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of the constant rate")
    options = parser.parse_args()
    run_by = run_from(sources_of(options.before))
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(work_folder(None)))
        postgres = stack.enter_context(postgres_server())
        rabbitmq = stack.enter_context(rabbitmq_server())
        kinds = {
            title: stack.enter_context(
                relay(
                    folder / title,
                    stack.enter_context(postgres.database()),
                    stack.enter_context(rabbitmq.new_virtual_host()),
                    command,
                )
            )
            for title, command in (("before", run_by), ("now", ()))
        }
        for kind in kinds.values():
            asyncio.run(measure_waiting(kind, 500))  # pools and caches fill
            kind.waiting_ms.values.clear()
            kind.waiting_per_second.values.clear()
        for number in range(options.rounds):
            order = list(kinds.values())
            for kind in order if number % 2 == 0 else order[::-1]:
                measure_round(kind, options)
        report(kinds, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
