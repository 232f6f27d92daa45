"""
Why a migration cannot be done, broken for real.

A short code for the operator, one line for people, no traceback.
"""

import subprocess
from pathlib import Path

import pytest

from healthingest_contract.stop_causes import StopCause, stop_cause
from healthingest_service.adapters.database.migrate import migrate
from healthingest_service.main.process_exit import report_failure, write_stop_cause
from support.servers.postgres import PostgresServer
from support.servers.process import free_port
from support.service_process import COMMAND, environment

SECRET = "hush-hush"


async def left(url: str, folder: Path, *, seconds: float = 20) -> StopCause | None:
    """What a migration that fails leaves in the file for the operator."""
    log = folder / "termination-log"
    log.write_text("")
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it is, it is what a process would end with
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
    """
    The last one breaks nothing.

    A role that is not the owner may create no tables (from PostgreSQL 15 on).
    """
    with postgres.role(SECRET) as (name, url):
        postgres.execute(statement.format(name=name))
        assert await left(url, tmp_path) is cause


async def test_other_reasons_are_told_apart(postgres: PostgresServer, tmp_path: Path) -> None:
    """Cases: no such database, no server, an unknown revision, foreign tables."""
    with postgres.database() as url:
        assert await left(f"{url}_not", tmp_path) is StopCause.DATABASE_MISSING
        await migrate(url, timeout_seconds=20)
        await execute(url, "UPDATE alembic_version SET version_num = 'foreign'")
        assert await left(url, tmp_path) is StopCause.SCHEMA_UNKNOWN
        await execute(url, "DELETE FROM alembic_version")
        assert await left(url, tmp_path) is StopCause.SCHEMA_DIFFERS
    nobody = f"postgresql://a:{SECRET}@127.0.0.1:{free_port()}/a"
    assert await left(nobody, tmp_path) is StopCause.DATABASE_UNREACHABLE


async def execute(url: str, statement: str) -> None:
    """Run it in this database."""
    import asyncpg  # noqa: PLC0415 - here alone

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
    """On a machine of one's own there is no such file, and none is made."""
    write_stop_cause(StopCause.SETTINGS_REFUSED, log=tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
