"""
Private servers, proxies before them, the service's processes, clients and a consumer.

There is one world for a whole run.
"""

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx

from healthingest_service.adapters.database.migrate import migrate
from healthingest_service.erasure.keys import new_key_text
from healthingest_service.identity.access_tokens import new_key_pem
from support.faults.checker import CheckResult, check_history
from support.faults.clients import Clients
from support.faults.consumer import Consumer
from support.faults.fleet import API, ROLES, Fleet
from support.faults.history import Evidence, Peak, Row
from support.faults.points import disarm
from support.faults.proxy import Proxy, proxy
from support.s3 import unfinished_puts
from support.servers.disk import Disk, small_disk
from support.servers.postgres import PostgresServer, postgres_server
from support.servers.process import work_folder
from support.servers.rabbitmq import RabbitMQServer, rabbitmq_server
from support.servers.redis import RedisServer, redis_server
from support.servers.versitygw import S3Server, s3_server

LEASE_SECONDS = 2.5
CLAIM_SECONDS = 2.0
RECOVERY_SECONDS = 60.0
MIB = 1024 * 1024
PART_BYTES = 5 * MIB
LIMITS = {
    "memory of a process, bytes": 400.0 * MIB,
    "open files of a process": 400.0,
    "spooled bytes": 0.0,
    "messages that wait": 20_000.0,
}
DATABASE_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
DATABASE_MIB = 768
SPOOL_MIB = 96
SETTINGS = {
    "DATABASE__TIMEOUT_SECONDS": "1.5",
    "STORE__TIMEOUT_SECONDS": "1.0",
    "STORE__REGION": "us-east-1",
    "STORE__PART_BYTES": str(PART_BYTES),
    "BROKER__TIMEOUT_SECONDS": "1.5",
    "RELAY__CLAIM_SECONDS": str(CLAIM_SECONDS),
    "RELAY__IDLE_SECONDS": "0.1",
    "RELAY__BACKOFF_SECONDS_MIN": "0.1",
    "RELAY__BACKOFF_SECONDS_MAX": "1.0",
    "JANITOR__INTERVAL_SECONDS": "0.3",
    "LIMITS__UPLOADS": "1000000/minute",
    "LIMITS__UPLOADS_AT_ONCE_PER_ACCOUNT": "10000",
    "LIMITS__UPLOADS_AT_ONCE_PER_ADDRESS": "10000",
    "HTTP__MAX_CONNECTIONS": "10000",
    "HTTP__MAX_CONNECTIONS_PER_ADDRESS": "10000",
    "LIMITS__REQUESTS": "1000000/minute",
    "LIMITS__OUTBOX_MESSAGES": "20000",
    "LIMITS__UPLOAD_LEASE_SECONDS": str(LEASE_SECONDS),
    "SERVER__HEALTH_INTERVAL_SECONDS": "0.5",
    "IDENTITY__ACCESS_TOKEN_SECONDS": "3600",
}


@dataclass(frozen=True)
class Servers:
    """The servers that the service needs."""

    database: PostgresServer
    broker: RabbitMQServer
    cache: RedisServer
    store: S3Server


@dataclass(frozen=True)
class Proxies:
    """One proxy before each connection that is broken."""

    database: Proxy
    broker: Proxy
    store: Proxy


@dataclass
class World:
    """All of it, and what was observed so far."""

    servers: Servers
    proxies: Proxies
    database_url: str
    fleet: Fleet
    clients: Clients
    consumer: Consumer
    faults: Path
    random: random.Random
    folder: Path
    settings: dict[str, str]
    spools: tuple[Disk, ...] = ()
    consuming: asyncio.Task[None] | None = None
    peaks: dict[str, float] = field(default_factory=lambda: dict.fromkeys(LIMITS, 0.0))
    wrong: list[str] = field(default_factory=list)
    """Errors that cases have found themselves."""
    notes: Counter[str] = field(default_factory=Counter)
    """Notes for the end of the run, with their counts."""
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    """System calls of an upload, by process."""

    async def listen(self) -> None:
        """Start the consumer."""
        if self.consuming is not None and self.consuming.done():
            await self.consuming  # raises what ended it
        if self.consuming is None:
            self.consuming = asyncio.create_task(self.consumer.run())

    async def deafen(self) -> None:
        """Stop the consumer, so that messages stay in the queue."""
        if self.consuming is not None:
            self.consuming.cancel()
            await asyncio.gather(self.consuming, return_exceptions=True)
            self.consuming = None

    async def heal(self) -> None:
        """Remove all faults and restart dead processes."""
        disarm(self.faults)
        for one in (self.proxies.database, self.proxies.broker, self.proxies.store):
            one.trouble = None
        for disk in self.spools:
            disk.free()
        await self.fleet.start()
        await self.listen()

    async def settle(self) -> tuple[float, CheckResult]:
        """Repair, wait for all messages, and check the history; return the seconds between."""
        await self.heal()
        waiting = await self.query("SELECT count(*) FROM outbox")
        self._peak({"messages that wait": float(waiting[0][0])})
        seconds = await self.drained()
        return seconds, await self.check_history(seconds)

    def _peak(self, now: dict[str, float]) -> None:
        self.peaks |= {what: max(self.peaks[what], value) for what, value in now.items()}

    async def drained(self) -> float:
        """Wait until nothing is in progress; return the seconds, or more than the limit."""
        began = time.monotonic()
        while time.monotonic() - began <= RECOVERY_SECONDS:
            await self.fleet.start()  # whom a fault met may die a moment later
            with suppress(*DATABASE_ERRORS):
                if await self._is_quiet():
                    break
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def _is_quiet(self) -> bool:
        (under_way,) = await self.query(
            "SELECT (SELECT count(*) FROM outbox)"
            " + (SELECT count(*) FROM upload WHERE state = 'storing')"
        )
        if under_way[0]:
            return False
        answers = (answer for attempt in self.clients.attempts for answer in attempt.answers)
        wanted = {answer.upload_id for answer in answers if answer.upload_id}
        return wanted <= {one.upload_id for one in self.consumer.heard}

    async def query(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Ask the database past the proxy."""
        connection = await asyncpg.connect(self.database_url, timeout=5)
        try:
            return list(await connection.fetch(statement, *values, timeout=10))
        finally:
            await connection.close()

    async def check_history(self, recovery_seconds: float) -> CheckResult:
        """Collect the evidence of the whole run so far, and check it."""
        rows = await self.query("SELECT id, owner_id, file_hash, object_key, state FROM upload")
        waiting = await self.query("SELECT count(*) FROM outbox")
        self._peak(
            {
                "memory of a process, bytes": self.fleet.peak_memory_bytes(),
                "open files of a process": float(self.fleet.open_files()),
                "spooled bytes": float(self.fleet.spooled_bytes()),
            }
        )
        return check_history(
            Evidence(
                attempts=tuple(self.clients.attempts),
                rows=tuple(Row(*(str(value) for value in row)) for row in rows),
                objects=await asyncio.to_thread(self._objects),
                heard=tuple(self.consumer.heard),
                unfinished_puts=tuple(await unfinished_puts(self.servers.store)),
                waiting=waiting[0][0],
                foreign_answers=tuple(self.clients.foreign_answers),
                peaks=tuple(Peak(what, value, LIMITS[what]) for what, value in self.peaks.items()),
                recovery_seconds=recovery_seconds,
                recovery_limit_seconds=RECOVERY_SECONDS,
            )
        )

    def _objects(self) -> dict[str, str]:
        """Return the hash of every object by key, read from the store's folder."""
        store = self.servers.store
        assert store.process is not None
        root = store.process.folder / "data" / store.bucket
        files = [path for path in root.rglob("*.avro") if ".sgwtmp" not in path.parts]
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }

    async def until(self, check: Callable[[], bool], *, seconds: float) -> bool:
        """Whether *check* became true in time."""
        deadline = time.monotonic() + seconds
        while not check():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True


@asynccontextmanager
async def world(seed: int, *, disks: bool, roles: tuple[str, ...] = ROLES) -> AsyncIterator[World]:
    """
    A running world; with *disks* database and spools have small ones, which needs leave to mount.

    Raises:
        ServerUnavailableError: one of the servers cannot be had here.
    """
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(work_folder(None))
        (folder / "faults").mkdir()
        database = stack.enter_context(postgres_server(disk_mib=DATABASE_MIB if disks else None))
        cache = stack.enter_context(redis_server())
        store = stack.enter_context(s3_server()).new_bucket()
        broker = stack.enter_context(stack.enter_context(rabbitmq_server()).new_virtual_host())
        servers = Servers(database, broker, cache, store)
        ways = [
            await stack.enter_async_context(proxy(port))
            for port in (database.port, broker.amqp_port, store.port)
        ]
        url = stack.enter_context(database.database())
        await migrate(url, timeout_seconds=60)
        settings = _settings(servers, Proxies(*ways), url, roles)
        fleet = Fleet(folder, settings, roles)
        spools = [stack.enter_context(_spool(fleet.spool(role))) for role in API] if disks else []
        stack.callback(fleet.stop)
        http = await stack.enter_async_context(
            httpx.AsyncClient(timeout=15, limits=httpx.Limits(max_connections=100))
        )
        chance = random.Random(seed)  # noqa: S311 - a run that can be repeated
        clients = Clients(fleet, chance, http)
        consumer = Consumer(broker)
        made = World(
            servers=servers,
            proxies=Proxies(*ways),
            database_url=url,
            fleet=fleet,
            clients=clients,
            consumer=consumer,
            faults=folder / "faults",
            random=chance,
            folder=folder,
            settings=settings[API[0]],
            spools=tuple(spools),
        )
        await asyncio.to_thread(consumer.declare)
        stack.push_async_callback(made.deafen)
        await made.heal()
        for role in API:
            await asyncio.to_thread(fleet.running[role].wait_until_ready)
        await clients.register(2)
        yield made


@contextmanager
def _spool(folder: Path) -> Iterator[Disk]:
    folder.mkdir(parents=True)
    with small_disk(folder, size_mib=SPOOL_MIB) as disk:
        yield disk


def _settings(
    servers: Servers, proxies: Proxies, url: str, roles: tuple[str, ...]
) -> dict[str, dict[str, str]]:
    harmed = url.replace(f":{servers.database.port}/", f":{proxies.database.port}/")
    ours = SETTINGS | {
        "STORE__ENDPOINT": f"http://127.0.0.1:{proxies.store.port}",
        "STORE__BUCKET": servers.store.bucket,
        "STORE__ACCESS_KEY_ID": servers.store.access_key_id,
        "STORE__SECRET_ACCESS_KEY": servers.store.secret_access_key,
        "BROKER__URL": servers.broker.amqp_url.replace(
            f":{servers.broker.amqp_port}/", f":{proxies.broker.port}/"
        ),
        "CACHE__URL": servers.cache.url,
        "IDENTITY__SIGNING_KEYS": new_key_pem(),
        "IDENTITY__ERASURE_KEY": new_key_text(),
    }
    return {role: ours | {"DATABASE__URL": harmed if role in API else url} for role in roles}
