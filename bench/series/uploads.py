"""Measures uploads: kinds of servers, and growth of files, clients, accounts, rows, processes."""

import asyncio
import hashlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final
from uuid import UUID

from benchmarks.model import Row
from processes import family, processor_seconds
from series.sizes import GIB, MB, Sizes
from study_cost import settled
from upload_client import Burst, Connection, Target, burst
from upload_files import file_of
from upload_measures import CLIENTS, SMALL_BYTES, large, small
from upload_servers import (
    Backing,
    RealServers,
    Server,
    discarding,
    on_a_folder,
    on_servers,
    plain,
    real_servers,
    tusd,
    tusd_with_hook,
)

from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.migrate import migrate
from healthingest_service.identity.access_tokens import AccessTokens, SigningKeys, new_key_pem
from healthingest_service.identity.model import AccountId, Scope, SessionId
from healthingest_service.settings.groups import IdentitySettings
from support.many_rows import fill
from support.servers.process import ServerProcess, work_folder

Choose = Callable[[Target, int], Target]
"""Returns the target of an upload by its number."""

OURS: Final = "HealthIngest"
READS_ALL: Final = ("plain", "tusd with hook")
MAX_READ_BYTES: Final = 10 * MB
_FILES_BYTES: Final = 50 * MB
_MAX_FILES: Final = 50
_DEVICE: Final = "watch-" + "0" * 122
"""Keeps a file of 1 GiB below the gate's limit of records."""
_FILL_SECONDS: Final = 3600.0
_LARGE_FILES: Final = {"LIMITS__MAX_FILE_SIZE_BYTES": str(2 * GIB), "SPOOL__FILES": "2"}
_AUDIT_TABLES: Final = ("audit_event", "audit_link")
_UPLOAD_TABLES: Final = ("account", "upload", "idempotency_key", "tombstone")
_ACCOUNT_TABLES: Final = ("account", "login_session")


@dataclass
class Place:
    """The servers of a series; they end with it."""

    folder: Path
    stack: ExitStack
    servers: RealServers
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def backing(self) -> Backing:
        """Return a new database, virtual host and bucket."""
        return self.stack.enter_context(self.servers.backing())

    def tusd(self, on: Backing) -> list[Server]:
        """Return tusd, alone and with its hook, if it can be built."""
        folders = [self.folder / name for name in ("tusd", "hooked")]
        for folder in folders:
            folder.mkdir()
        found = [
            self.stack.enter_context(tusd(folders[0])),
            self.stack.enter_context(tusd_with_hook(folders[1], on)),
        ]
        return [server for server in found if server is not None]

    def send(
        self, server: Server, *, clients: int, seconds: float, choose: Choose | None = None
    ) -> Burst:
        """Send files of 20 kB."""
        return burst(
            [one.target for one in server.all],
            lambda number: file_of(SMALL_BYTES, number),
            clients=clients,
            seconds=seconds,
            numbers=self.numbers,
            choose=choose,
        )


@contextmanager
def place() -> Iterator[Place]:
    """Start the servers."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(work_folder(None)))
        yield Place(folder, stack, stack.enter_context(real_servers()))


def measure_small(sizes: Sizes) -> Iterator[Row]:
    """Yield rows of files of 20 kB for each server."""
    with place() as here:
        on = here.backing()
        ours = here.stack.enter_context(on_servers(here.folder / "s3", on, apis=2))
        one = _named(replace(ours, others=()), f"{OURS}, 1 process")
        both = _named(ours, f"{OURS}, 2 processes")
        other = [here.stack.enter_context(plain(on)), *here.tusd(on)]
        found = small([one, both, *other], sizes.rounds, sizes.seconds, here.numbers)
        for name, seen in found.items():
            figures = {
                "per_second": seen.rate.median,
                "p99_ms": seen.p99_ms.median,
                "processor_ms": seen.processor_ms.median,
            }
            yield Row("20 kB", name, figures)


def measure_large(sizes: Sizes) -> Iterator[Row]:
    """Yield rows of files of 50 MB for each server."""
    with place() as here:
        on = here.backing()
        ours = on_servers(here.folder / "s3", on, **_LARGE_FILES)
        servers = [
            here.stack.enter_context(discarding()),
            _named(
                here.stack.enter_context(on_a_folder(here.folder / "folder")), f"{OURS}, folder"
            ),
            _named(here.stack.enter_context(ours), f"{OURS}, S3"),
            here.stack.enter_context(plain(on)),
            *here.tusd(on),
        ]
        for name, seen in large(servers, sizes.rounds, here.numbers).items():
            figures = {
                "mb_per_s": seen.rate.median,
                "processor_ms": seen.processor_ms.median,
            }
            yield Row("50 MB", name, figures)


def measure_size(sizes: Sizes) -> Iterator[Row]:
    """Yield a row for each size of a file and server."""
    with place() as here:
        on = here.backing()
        ours = on_servers(here.folder / "s3", on, **_LARGE_FILES)
        servers = [_named(here.stack.enter_context(ours), OURS)]
        servers += [here.stack.enter_context(plain(on)), *here.tusd(on)]
        for size_bytes in sizes.bytes:
            for server in servers:
                name = server.target.name
                if name not in READS_ALL or size_bytes <= MAX_READ_BYTES:
                    yield Row(size_bytes, name, _one_after_the_other(here, server, size_bytes))


def _one_after_the_other(here: Place, server: Server, size_bytes: int) -> dict[str, float]:
    files = max(1, min(_MAX_FILES, _FILES_BYTES // size_bytes))
    took = []
    sent = 0
    os.sync()
    with Connection(server.target.port) as connection:
        for number in range(files + 1):
            file = file_of(size_bytes, next(here.numbers), device=_DEVICE)
            began = time.monotonic()
            status = connection.upload(server.target, file)
            assert status == 201, (server.target.name, status)
            if number:  # the first file starts workers
                took.append(time.monotonic() - began)
                sent += file.size_bytes
    return {"mb_per_s": sent / MB / sum(took), "ms": statistics.median(took) * 1000}


def measure_concurrency(sizes: Sizes) -> Iterator[Row]:
    """Yield a row for each number of clients and server."""
    with place() as here:
        on = here.backing()
        servers = [_named(here.stack.enter_context(on_servers(here.folder / "s3", on)), OURS)]
        servers += [here.stack.enter_context(plain(on)), *here.tusd(on)]
        for clients in sizes.clients:
            for server in servers:
                here.send(server, clients=clients, seconds=0.5)
                seen = here.send(server, clients=clients, seconds=sizes.seconds)
                yield Row(clients, server.target.name, _figures(seen))


def measure_accounts(sizes: Sizes) -> Iterator[Row]:
    """Yield a row for each number of accounts, whose tokens the bench signs itself."""
    with place() as here:
        for accounts in sizes.accounts:
            on = here.backing()
            pem = new_key_pem()
            folder = here.folder / f"accounts-{accounts}"
            with on_servers(folder, on, IDENTITY__SIGNING_KEYS=pem) as server:
                asyncio.run(_fill(on.database_url, accounts, _ACCOUNT_TABLES))
                choose = _chooser(pem, accounts)
                here.send(server, clients=CLIENTS, seconds=0.5, choose=choose)
                seen = here.send(server, clients=CLIENTS, seconds=sizes.seconds, choose=choose)
                yield Row(accounts, OURS, _figures(seen))


def _chooser(pem: str, accounts: int) -> Choose:
    """Return a function that gives each upload the token of the next account."""
    identity = IdentitySettings()
    tokens = AccessTokens(
        keys=SigningKeys.from_pem(pem),
        issuer=identity.issuer,
        audience=identity.audience,
        lifetime=timedelta(hours=1),
    )

    def choose(target: Target, number: int) -> Target:
        account = number % accounts + 1
        token = tokens.issue(
            AccountId(_uuid_of("a", account)),
            SessionId(_uuid_of("s", account)),
            frozenset({Scope.UPLOAD_WRITE}),
            at=datetime.now(UTC),
        )
        return replace(target, headers={**target.headers, "Authorization": f"Bearer {token}"})

    return choose


def _uuid_of(kind: str, number: int) -> UUID:
    """Return the id that `many_rows.sql` gives a row."""
    return UUID(hashlib.md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest())


def measure_rows(sizes: Sizes) -> Iterator[Row]:
    """Yield a row for each number of uploads in the database."""
    with place() as here:
        for rows in sizes.rows:
            on = here.backing()
            if rows:  # before the service chains events of its own
                asyncio.run(migrate(on.database_url, timeout_seconds=_FILL_SECONDS))
                asyncio.run(_fill(on.database_url, rows, _AUDIT_TABLES))
            with on_servers(here.folder / f"rows-{rows}", on) as server:
                if rows:  # after the service has removed expired rows
                    asyncio.run(_fill(on.database_url, rows, _UPLOAD_TABLES))
                here.send(server, clients=CLIENTS, seconds=0.5)
                process = here.servers.postgres.process
                before = _used(process)
                seen = here.send(server, clients=CLIENTS, seconds=sizes.seconds)
                asyncio.run(settled(on.database_url))
                used = (_used(process) - before) * 1000 / len(seen.each_seconds)
                yield Row(rows, OURS, _figures(seen) | {"database_ms": used})


def measure_replicas(sizes: Sizes) -> Iterator[Row]:
    """Yield a row for each number of API processes."""
    with place() as here:
        on = here.backing()
        most = max(sizes.replicas)
        server = here.stack.enter_context(on_servers(here.folder / "s3", on, apis=most))
        for replicas in sizes.replicas:
            some = replace(server, others=server.others[: replicas - 1])
            here.send(some, clients=CLIENTS, seconds=0.5)
            seen = here.send(some, clients=CLIENTS, seconds=sizes.seconds)
            yield Row(replicas, OURS, _figures(seen))


def measure_demands(sizes: Sizes) -> Iterator[Row]:
    """Yield the processor time of an upload for each component, in milliseconds."""
    with place() as here:
        on = here.backing()
        server = here.stack.enter_context(on_servers(here.folder / "s3", on))
        here.send(server, clients=CLIENTS, seconds=1.0)
        asyncio.run(settled(on.database_url))
        components = _components(here.servers, server)
        before = {name: read() for name, read in components.items()}
        uploads = 0
        for _ in range(sizes.rounds):
            uploads += len(here.send(server, clients=CLIENTS, seconds=sizes.seconds).each_seconds)
            asyncio.run(settled(on.database_url))
        for name, read in components.items():
            used = (read() - before[name]) * 1000 / uploads
            yield Row(name, OURS, {"processor_ms": used})


def _components(servers: RealServers, server: Server) -> dict[str, Callable[[], float]]:
    relay, janitor = server.background

    def api() -> float:
        return processor_seconds(server.process_id) - gate()

    def gate() -> float:
        return sum(processor_seconds(one) for one in _children(server.process_id))

    return {
        "API": api,
        "gate": gate,
        "relay": lambda: processor_seconds(relay),
        "janitor": lambda: processor_seconds(janitor),
        "PostgreSQL": lambda: _used(servers.postgres.process),
        "S3": lambda: _used(servers.s3.process),
        "RabbitMQ": lambda: _used(servers.rabbitmq.process),
        "Redis": lambda: _used(servers.redis.process),
    }


def _children(process_id: int) -> list[int]:
    """Return the descendants that are no descendants of other ones."""
    others = family(process_id)[1:]
    below = {one for child in others for one in family(child)[1:]}
    return [one for one in others if one not in below]


def _used(process: ServerProcess | None) -> float:
    if process is None or process.process is None:
        message = "a server in a container has no processes here"
        raise RuntimeError(message)
    return processor_seconds(process.process.pid)


def _named(server: Server, name: str) -> Server:
    return replace(server, target=replace(server.target, name=name))


def _figures(seen: Burst) -> dict[str, float]:
    """Return the figures of a burst, all of whose uploads must be accepted."""
    assert set(seen.statuses) == {201}, seen.statuses
    return {"per_second": seen.per_second, "p99_ms": seen.percentile(0.99) * 1000}


async def _fill(url: str, rows: int, tables: Sequence[str]) -> None:
    async with open_engine(url, pool_size=1, timeout_seconds=_FILL_SECONDS) as engine:
        await fill(engine, rows, tables)
