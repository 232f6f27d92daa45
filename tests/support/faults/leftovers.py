"""What is left on the disks of all servers and processes after an erasure."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aio_pika
import asyncpg

from support.faults.consumer import QUEUE
from support.faults.people import CORRELATION, Person
from support.faults.raw_bytes import found_below, found_in
from support.faults.world import World
from support.servers.process import ServerProcess

MIB: Final = 1024 * 1024
STEP_MIB: Final = 64
MAX_MIB: Final = 4096
MESSAGE_BYTES: Final = 64 * 1024
SECONDS: Final = 600.0
OBJECT_STORE: Final = "the object store"
DATABASE: Final = "the database"
ACCESS_LOG_FILE: Final = "server.log"
WRITE_AHEAD: Final = "the write-ahead log of the database"
BROKER: Final = "the broker"
CACHE: Final = "the cache"
ACCESS_LOG: Final = "the access log of the object store"
SERVICE: Final = "spools, logs and folders of the service"


@dataclass(frozen=True)
class Leftovers:
    """The marks and hashes of the erased and of the kept people, and where they may be."""

    world: World
    erased: Sequence[Person]
    kept: Sequence[Person]

    async def rewrite(self) -> None:
        """
        Rewrite the tables without old row versions, and write everything to disk.

        The statistics of the planner have values of rows, so they are made anew first.
        """
        connection = await asyncpg.connect(self.world.database_url, timeout=10)
        try:
            for statement in ("ANALYZE", "VACUUM (FULL)", "CHECKPOINT"):
                await connection.execute(statement, timeout=SECONDS)
        finally:
            await connection.close()
        await asyncio.to_thread(self.world.servers.cache.save)

    def search(self) -> dict[str, dict[str, int]]:
        """
        Return what is left of the erased by place and file.

        Our logs may have correlation ids. The access log of the object store has object keys, whose
        hashes are allowed.
        """
        wanted = _words(self.erased)
        found = {
            place: found_below(folder, wanted, without=without)
            for place, (folder, without) in self._places().items()
        }
        allowed = CORRELATION.encode()
        log = _folder(self.world.servers.store.process) / ACCESS_LOG_FILE
        count = found_in(log, _marks(self.erased))
        found[ACCESS_LOG] = {ACCESS_LOG_FILE: count} if count else {}
        found[SERVICE] = found_below(self.world.folder, wanted, before=allowed)
        return found

    def requests_about(self, files: Iterable[str]) -> list[str]:
        """Return the lines of the access log about objects, by their path below the store."""
        log = _folder(self.world.servers.store.process) / ACCESS_LOG_FILE
        names = {Path(file).name for file in files}
        if not names:
            return []
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if any(name in line for name in names)]

    async def relations(self, files: Iterable[str]) -> list[str]:
        """Return the table or index of each file of the database, or the name of the file."""
        connection = await asyncpg.connect(self.world.database_url, timeout=10)
        try:
            statement = "SELECT relname, pg_relation_filenode(oid) FROM pg_class"
            found = await connection.fetch(statement)
        finally:
            await connection.close()
        names = {str(number): name for name, number in found}
        return [f"{file}: {names.get(Path(file).name.partition('.')[0], '?')}" for file in files]

    def control(self) -> dict[str, int]:
        """Return the number of occurrences of the kept people where their data must be."""
        wanted = _words(self.kept)
        places = self._places()
        return {
            place: sum(found_below(places[place][0], wanted, without=places[place][1]).values())
            for place in (OBJECT_STORE, DATABASE)
        } | {"the logs": sum(found_below(self.world.folder, wanted).values())}

    def transient(self) -> dict[str, int]:
        """Return the occurrences of the erased in files that are recycled later."""
        return {WRITE_AHEAD: self._in_write_ahead_log(), BROKER: self._in_broker()}

    async def measure(self) -> list[str]:
        """Return how much must be written until the files are recycled."""
        made = self.world
        written = await _until_gone(_write_rows(made.database_url), self._in_write_ahead_log)
        sent = await _until_gone(_send_messages(made), self._in_broker)
        return [f"{WRITE_AHEAD}: {written}", f"{BROKER}: {sent}"]

    def _places(self) -> dict[str, tuple[Path, tuple[Path, ...]]]:
        servers = self.world.servers
        database = _folder(servers.database.process)
        store = _folder(servers.store.process)
        return {
            OBJECT_STORE: (store, (store / ACCESS_LOG_FILE,)),
            DATABASE: (database, (database / "data" / "pg_wal",)),
            CACHE: (_folder(servers.cache.process), ()),
        }

    def _in_write_ahead_log(self) -> int:
        folder = _folder(self.world.servers.database.process) / "data" / "pg_wal"
        return sum(found_below(folder, _words(self.erased)).values())

    def _in_broker(self) -> int:
        folder = _folder(self.world.servers.broker.process)
        return sum(found_below(folder, _words(self.erased)).values())


def _folder(process: ServerProcess | None) -> Path:
    assert process is not None, "a server in a container has no folder here"
    return process.folder


def _words(people: Sequence[Person]) -> frozenset[bytes]:
    return _marks(people).union(*(person.hashes() for person in people))


def _marks(people: Sequence[Person]) -> frozenset[bytes]:
    return frozenset(person.mark.encode() for person in people)


async def _until_gone(steps: AsyncGenerator[int], count: Callable[[], int]) -> str:
    before = await asyncio.to_thread(count)
    written = 0
    async with aclosing(steps):
        while left := await asyncio.to_thread(count):
            written_now = await anext(steps, None)
            if written_now is None:
                return f"{left} of {before} words are left after {written} MiB"
            written = written_now
    return f"{before} words were gone after {written} MiB more"


async def _write_rows(url: str) -> AsyncGenerator[int]:
    """Write rows that nobody needs, and yield the MiB so far."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute("CREATE TABLE filler (content bytea)")
        await connection.execute("ALTER TABLE filler ALTER content SET STORAGE EXTERNAL")
        for number in range(MAX_MIB // STEP_MIB):
            await connection.executemany(
                "INSERT INTO filler VALUES ($1)", [(bytes(MIB),)] * STEP_MIB, timeout=SECONDS
            )
            await connection.execute("TRUNCATE filler")
            await connection.execute("CHECKPOINT", timeout=SECONDS)
            yield (number + 1) * STEP_MIB
    finally:
        await connection.execute("DROP TABLE filler")
        await connection.close()


async def _send_messages(world: World) -> AsyncGenerator[int]:
    """Send messages that nobody needs, receive them, and yield the MiB so far."""
    connection = await aio_pika.connect(world.servers.broker.amqp_url, timeout=10)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue(QUEUE, ensure=False)
        for number in range(MAX_MIB // STEP_MIB):
            for _ in range(STEP_MIB * MIB // MESSAGE_BYTES):
                message = aio_pika.Message(bytes(MESSAGE_BYTES), delivery_mode=2)
                await channel.default_exchange.publish(message, QUEUE)
                got = await queue.get(timeout=30)
                await got.ack()
            yield (number + 1) * STEP_MIB
