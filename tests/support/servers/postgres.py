"""PostgreSQL: one server a run, one database a test."""

import asyncio
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from support.servers.containers import container
from support.servers.disk import Disk, small_disk
from support.servers.process import (
    ServerProcess,
    ServerUnavailableError,
    accepts_connections,
    as_user,
    free_port,
    program,
    running,
    work_folder,
)

USER = "healthingest"
PASSWORD = "postgres-test-password"


@dataclass(frozen=True)
class PostgresServer:
    """A running server; `url` leads to its maintenance database, as a superuser."""

    port: int
    process: ServerProcess | None = None
    disk: Disk | None = None

    @property
    def url(self) -> str:
        """With user and password, to the database `postgres`."""
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        """The same server, another database."""
        return f"{self.address}/{name}"

    @property
    def address(self) -> str:
        """With user and password, without a database."""
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    @contextmanager
    def database(self, *, template: str = "template1") -> Iterator[str]:
        """The address of a new database, a copy of *template*: empty. It is dropped at the end."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.database_url(name)
        finally:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @contextmanager
    def role(self, password: str, words: str = "LOGIN") -> Iterator[tuple[str, str]]:
        """
        A role with these attributes that has a database: the name of both, and the address.

        They go at the end.
        """
        name = f"role_{uuid.uuid4().hex}"
        self.execute(f"CREATE ROLE {name} PASSWORD '{password}' {words}")
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield name, f"postgresql://{name}:{password}@127.0.0.1:{self.port}/{name}"
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")
            self.execute(f"DROP ROLE {name}")

    def execute(self, statement: str) -> None:
        """Run one statement in the maintenance database."""

        async def work() -> None:
            connection = await asyncpg.connect(self.url, timeout=10)
            try:
                await connection.execute(
                    statement, timeout=120
                )  # a busy disk makes a database slowly
            finally:
                await connection.close()

        _in_thread(lambda: asyncio.run(work()))


def _in_thread(work: Callable[[], None]) -> None:
    """Run *work* where no event loop runs, whatever the caller is."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            failures.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


@contextmanager
def postgres_server(
    *, disk_mib: int | None = None, durable: bool = True
) -> Iterator[PostgresServer]:
    """
    A server on a free port; its data on a disk of *disk_mib* of their own, if asked for.

    One that is not *durable* is quicker and outlives a killed process, but no power cut.

    Raises:
        ServerUnavailableError: neither the package nor an image is to be had.
    """
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders = tuple(str(version) for version in versions)
    try:
        initdb = program("initdb", folders=folders)
        postgres = program("postgres", folders=folders)
    except ServerUnavailableError:
        environment = {"POSTGRES_USER": USER, "POSTGRES_PASSWORD": PASSWORD}
        with container(
            "postgres:17", ports=[5432], environment=environment, ready=lambda p: _answers(p[5432])
        ) as ports:
            yield PostgresServer(ports[5432])
        return
    owner = "nobody"  # the server refuses to run as root
    with work_folder(owner) as folder, ExitStack() as stack:
        (folder / "password").write_text(PASSWORD)
        data = folder / "data"
        port = free_port()
        disk = None
        if disk_mib is not None:
            data.mkdir()
            disk = stack.enter_context(small_disk(data, size_mib=disk_mib, owner=owner))
        words = [
            initdb,
            "--pgdata",
            str(data),
            "--username",
            USER,
            "--pwfile",
            str(folder / "password"),
        ]
        words += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
        subprocess.run(
            [*as_user(owner), *words], cwd=folder, check=True, capture_output=True, timeout=60
        )
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "max_connections": 200,
        }
        if not durable:
            options |= {"fsync": "off", "full_page_writes": "off"}
        if disk_mib is not None:  # else old parts of its log alone would fill it
            options |= {"max_wal_size": f"{disk_mib // 8}MB", "min_wal_size": "32MB"}
        command = [*as_user(owner), postgres, "-D", str(data)]
        command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with running(command, folder=folder, ready=lambda: _answers(port)) as process:
            yield PostgresServer(port, process, disk)


def _answers(port: int) -> bool:
    if not accepts_connections(port):
        return False
    try:
        PostgresServer(port).execute("SELECT 1")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        return False
    return True
