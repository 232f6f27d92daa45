"""Real faults that stop a migration: a short code for the operator, one line for people."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg
import pytest

from healthingest_contract.stop_causes import StopCause, stop_cause
from healthingest_service.adapters.database.migrate import migrate
from healthingest_service.main.process_exit import report_failure, write_stop_cause
from support.servers.disk import Disk, small_disk
from support.servers.postgres import PostgresServer, postgres_server
from support.servers.process import free_port
from support.service_process import COMMAND, environment

SECRET = "hush-hush"


async def left(url: str, folder: Path, *, seconds: float = 20) -> StopCause | None:
    """Return what a failed migration writes to the file for the operator."""
    log = folder / "termination-log"
    log.write_text("")
    # PT011: whatever it is, it is what a process would end with
    with pytest.raises(Exception) as raised:  # noqa: PT011
        await migrate(url, timeout_seconds=seconds)
    report_failure(raised.value, log=log)
    return stop_cause(log.read_text())


BROKEN = [
    ("ALTER ROLE {name} SET default_transaction_read_only = on", StopCause.DATABASE_READ_ONLY),
    ("ALTER ROLE {name} VALID UNTIL '2020-01-01'", StopCause.DATABASE_LOGIN_REFUSED),
    ("ALTER ROLE {name} NOLOGIN", StopCause.DATABASE_LOGIN_REFUSED),
    ("ALTER ROLE {name} CONNECTION LIMIT 0", StopCause.DATABASE_CONNECTION_LIMIT),
    ("REVOKE ALL ON DATABASE {name} FROM PUBLIC", StopCause.DATABASE_PERMISSION_DENIED),
    ("SELECT 1", StopCause.DATABASE_PERMISSION_DENIED),
]


@pytest.mark.parametrize(("statement", "cause"), BROKEN)
async def test_a_migration_that_is_refused_says_why(
    postgres: PostgresServer, tmp_path: Path, statement: str, cause: StopCause
) -> None:
    """A role that is not the owner may not create tables (since PostgreSQL 15)."""
    with postgres.role(SECRET) as (name, url):
        postgres.execute(statement.format(name=name))
        assert await left(url, tmp_path) is cause


async def test_other_reasons_are_told_apart(postgres: PostgresServer, tmp_path: Path) -> None:
    """No such database, no server, an unknown revision, foreign tables."""
    with postgres.database() as url:
        assert await left(f"{url}_not", tmp_path) is StopCause.DATABASE_MISSING
        await migrate(url, timeout_seconds=20)
        await execute(url, "UPDATE alembic_version SET version_num = 'foreign'")
        assert await left(url, tmp_path) is StopCause.SCHEMA_UNKNOWN
        await execute(url, "DELETE FROM alembic_version")
        assert await left(url, tmp_path) is StopCause.SCHEMA_DIFFERS
    nobody = f"postgresql://a:{SECRET}@127.0.0.1:{free_port()}/a"
    assert await left(nobody, tmp_path) is StopCause.DATABASE_UNREACHABLE


async def test_a_lock_of_another_session_is_named(postgres: PostgresServer, tmp_path: Path) -> None:
    """The migration waits until its time is over; the lock gone, it succeeds."""
    with postgres.database() as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE alembic_version (version_num varchar(32))")
        async with connection.transaction():
            await connection.execute("LOCK TABLE alembic_version")
            assert await left(url, tmp_path, seconds=2) is StopCause.DATABASE_LOCKED
        await connection.close()
        await migrate(url, timeout_seconds=20)


async def test_a_full_disk_of_the_database_is_named(tmp_path: Path) -> None:
    """With room again, the migration succeeds."""
    with postgres_server() as server, database_on_small_disk(server) as (disk, url):
        await execute(url, "SELECT 1")  # the first session of a database writes files of its own
        disk.fill()
        assert await left(url, tmp_path) is StopCause.DATABASE_FULL
        disk.free()
        await migrate(url, timeout_seconds=20)


@contextmanager
def database_on_small_disk(server: PostgresServer) -> Iterator[tuple[Disk, str]]:
    """A database whose tables have a disk of their own, so that the server itself goes on."""
    if server.process is None or os.geteuid() != 0:
        pytest.skip("needs a server of its own and the right to mount a small file system")
    name = f"small_{uuid.uuid4().hex}"
    folder = server.process.folder / name
    folder.mkdir()
    with ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(folder, size_mib=64, owner="nobody"))
        except subprocess.CalledProcessError:
            pytest.skip("needs the right to mount a small file system")
        server.execute(f"CREATE TABLESPACE {name} LOCATION '{folder}'")
        server.execute(f"CREATE DATABASE {name} TABLESPACE {name}")
        try:
            yield disk, server.database_url(name)
        finally:
            disk.free()
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
            server.execute(f"DROP TABLESPACE {name}")


async def execute(url: str, statement: str) -> None:
    """Run it in this database."""
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize("command", ["migrate"])
def test_the_command_ends_with_one_line_for_people(
    postgres: PostgresServer, tmp_path: Path, command: str
) -> None:
    """Exit code 1, a log line with types and places, no traceback, no text of the server."""
    with postgres.role(SECRET) as (_, url):
        words = {**environment(tmp_path), "HEALTHINGEST_DATABASE__URL": url}
        done = subprocess.run(
            [*COMMAND, command], env=words, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "healthingest-service: the database user lacks a permission: grant CREATE on its schema"
    )
    assert "Traceback" not in done.stderr
    assert "permission denied" not in done.stderr
    assert SECRET not in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_nothing_is_written_where_kubernetes_looks_for_nothing(tmp_path: Path) -> None:
    """Outside of Kubernetes there is no such file, and none is created."""
    write_stop_cause(StopCause.SETTINGS_REFUSED, log=tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
