"""
Row-level security of PostgreSQL: the second wall between studies.

The statements here forget their study on purpose.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from healthingest_operator.adapters.postgres.database import PostgresDatabase
from healthingest_service.adapters.database import migrate as migrations
from healthingest_service.adapters.database.engine import open_engine, transaction
from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.migrate import migrate
from healthingest_service.adapters.database.row_security import (
    PRIVILEGES,
    STUDY_ROLE,
    is_restricted,
)
from healthingest_service.adapters.database.studies import DatabaseStudies
from healthingest_service.adapters.database.tables import Base
from healthingest_service.api.app import openapi_document
from healthingest_service.identity.model import AccountId
from healthingest_service.main.row_security import ROW_SECURITY_MISSING, report_row_security
from healthingest_service.main.runtime import open_runtime
from healthingest_service.settings import Settings
from healthingest_service.studies import decisions
from healthingest_service.studies.model import DEFAULT_STUDY
from support.audit import event
from support.deadlines import HANG_SECONDS
from support.edge import open_edge
from support.row_security import (
    STUDIES,
    StudyTransactions,
    fill,
    of_studies,
    shown,
    study_column,
    tables_in,
)
from support.samples import good_file
from support.servers.postgres import PostgresServer
from support.studies import SLUG, study, subject
from support.study_people import LIMITS, SLEEP, SUBJECT, person
from support.uploads import NOON, message, owner, upload

A, B = STUDIES
TABLES: Final = of_studies()
OTHERS: Final = sorted(
    table.name for table in Base.metadata.sorted_tables if study_column(table) is None
)
PASSWORD: Final = "a-password"
BEFORE: Final = "0014"
ROWS: Final = 2000


@pytest.fixture(name="filled")
async def _filled(postgres_url: str) -> AsyncIterator[AsyncEngine]:
    """A database with a row of two studies in each table, and one connection to it."""
    await migrate(postgres_url, timeout_seconds=HANG_SECONDS)
    async with open_engine(postgres_url, pool_size=1, timeout_seconds=HANG_SECONDS) as engine:
        async with transaction(engine, timeout_seconds=HANG_SECONDS) as connection:
            await fill(connection)
        yield engine


@asynccontextmanager
async def within(engine: AsyncEngine, study: str | None) -> AsyncIterator[AsyncConnection]:
    """Open a transaction that is restricted to *study*, or the service's own one."""
    async with transaction(engine, timeout_seconds=HANG_SECONDS, study=study) as connection:
        yield connection


async def seen(connection: AsyncConnection, table: str) -> list[str]:
    """Return the study of each row, except the first study, with a query without a condition."""
    # S608: a table of the code
    statement = f"SELECT {TABLES[table]} FROM {table} ORDER BY 1"  # noqa: S608
    return [one for one in await connection.scalars(text(statement)) if one != DEFAULT_STUDY]


async def seen_in_all(connection: AsyncConnection) -> dict[str, list[str]]:
    """Return the same for each table."""
    return {table: await seen(connection, table) for table in TABLES}


def test_each_table_of_studies_has_privileges() -> None:
    """A new table with a study needs a row there and a policy, or a test below fails."""
    assert PRIVILEGES.keys() == TABLES.keys()
    assert len(TABLES) == 11


async def test_a_study_has_its_rows_only(filled: AsyncEngine) -> None:
    """Without any condition in the query; the service's own transactions see all rows."""
    for name in STUDIES:
        async with within(filled, name) as connection:
            assert await seen_in_all(connection) == {table: [name] for table in TABLES}
    async with within(filled, None) as connection:
        assert await seen_in_all(connection) == {table: [A, B] for table in TABLES}


async def test_without_a_study_there_is_nothing(filled: AsyncEngine) -> None:
    """Neither before a study was ever named on the connection, nor after its transaction."""
    nothing: dict[str, list[str]] = {table: [] for table in TABLES}
    act = text(f"SET LOCAL ROLE {STUDY_ROLE}")
    for _ in range(2):
        async with within(filled, None) as connection:
            await connection.execute(act)
            assert await seen_in_all(connection) == nothing
        async with within(filled, A) as connection:
            assert await seen(connection, "upload") == [A]


async def test_other_tables_cannot_be_read(filled: AsyncEngine) -> None:
    """A query for a study needs no rows without a study."""
    assert len(OTHERS) > 9
    for table in OTHERS:
        with pytest.raises(ProgrammingError, match="permission denied"):
            async with within(filled, A) as connection:
                await connection.execute(text(f"SELECT 1 FROM {table}"))  # noqa: S608 - of the code


CHANGES: Final = {
    "subject": "UPDATE subject SET state = 'withdrawn'",
    "upload": "UPDATE upload SET erasure_id = id",
    "resumable_upload": "UPDATE resumable_upload SET state = 'ended'",
    "device_token": "UPDATE device_token SET revoked_at = now()",
    "study_member": "DELETE FROM study_member",
    "enrolment_code": "DELETE FROM enrolment_code",
    "study": "UPDATE study SET name = 'X'",
}


async def test_a_change_stays_in_its_study(filled: AsyncEngine) -> None:
    """A change without any condition changes one row of two."""
    for table, change in CHANGES.items():
        async with within(filled, A) as connection:
            assert (await connection.execute(text(change))).rowcount == 1, table
        async with within(filled, None) as connection:
            assert (await seen(connection, table)).count(B) == 1, table


async def test_nothing_is_written_into_another_study(filled: AsyncEngine) -> None:
    """Neither a new row nor a row that changes its study."""
    member = "INSERT INTO study_member (study, account_id, role) VALUES (:study, :id, 'reader')"
    async with within(filled, A) as connection:
        values = {"study": A, "id": await connection.scalar(text("SELECT id FROM subject"))}
        await connection.execute(text("DELETE FROM study_member"))
    for statement, given in (
        (member, values | {"study": B}),
        ("UPDATE subject SET study = 'b'", {}),
    ):
        with pytest.raises(ProgrammingError, match="row-level security policy"):
            async with within(filled, A) as connection:
                await connection.execute(text(statement), given)


async def test_a_failed_transaction_leaves_nothing_behind(filled: AsyncEngine) -> None:
    """The next transaction on the same connection is the service's own."""
    with pytest.raises(ProgrammingError):
        async with within(filled, A) as connection:
            await connection.execute(text("SELECT 1 FROM outbox"))
    async with within(filled, None) as connection:
        assert await seen(connection, "upload") == [A, B]
        assert not await is_restricted(connection)


def _study_operations() -> set[str]:
    return {
        operation["operationId"]
        for path, methods in openapi_document("0")["paths"].items()
        if "{study}" in path
        for method, operation in methods.items()
        if method != "head"
    }


def _calls(of: str, code: str, token: str) -> dict[str, tuple[str, str, object]]:
    """Return a request that succeeds for each operation of a study, in an order that works."""
    consent = {"version": "v1", "given_at": NOON.isoformat()}
    return {
        "getStudy": ("GET", SLEEP, None),
        "changeStudy": ("PATCH", SLEEP, {"name": "Other"}),
        "listMembers": ("GET", f"{SLEEP}/members", None),
        "putMember": ("PUT", f"{SLEEP}/members/{of}", {"roles": ["reader"]}),
        "removeMember": ("DELETE", f"{SLEEP}/members/{of}", None),
        "enrolSubject": ("PUT", SUBJECT, {}),
        "giveConsent": ("PUT", f"{SUBJECT}/consent", consent),
        "getSubject": ("GET", SUBJECT, None),
        "listSubjects": ("GET", f"{SLEEP}/subjects", None),
        "listStudyUploads": ("GET", f"{SLEEP}/uploads?subject=P-1", None),
        "getCoverage": ("GET", f"{SLEEP}/coverage?subject=P-1", None),
        "listGaps": ("GET", f"{SLEEP}/gaps", None),
        "listAuditEvents": ("GET", f"{SLEEP}/audit", None),
        "listDisclosures": ("GET", f"{SUBJECT}/disclosures", None),
        "createEnrolment": ("POST", f"{SLEEP}/enrolments", {"scopes": ["upload:write"]}),
        "cancelEnrolment": ("DELETE", f"{SLEEP}/enrolments/{code}", None),
        "listStudyTokens": ("GET", f"{SLEEP}/tokens", None),
        "revokeStudyToken": ("DELETE", f"{SLEEP}/tokens/{token}", None),
        "withdrawSubject": ("PUT", f"{SUBJECT}/withdrawal", None),
        "eraseSubject": ("POST", f"{SUBJECT}/erasure", None),
        "eraseStudy": ("POST", f"{SLEEP}/erasure", None),
    }


async def test_each_route_of_a_study_is_restricted(tmp_path: Path, postgres_url: str) -> None:
    """
    Each statement of each route acts for its study.

    Exempt are the guard, which looks up the study and the caller's roles, and the audit log's own
    insert.
    """
    database = {"url": postgres_url}
    async with open_edge(tmp_path, limits=LIMITS, database=database) as edge:
        manager = await person(edge, roles=("manager", "uploader"))
        scopes = {"scopes": ["upload:write"]}
        made = [
            (await manager.sends("POST", f"{SLEEP}/enrolments", scopes)).json() for _ in range(2)
        ]
        await edge.http.post("/v1/enrolments/redeem", json={"code": made[0]["code"]})
        tokens = (await manager.sends("GET", f"{SLEEP}/tokens")).json()["tokens"]
        member = (await person(edge)).id
        transactions = StudyTransactions()
        transactions.listen(edge.runtime.engine)
        calls = _calls(str(member), made[1]["id"], tokens[0]["id"])
        assert calls.keys() == _study_operations()
        for name, (method, path, document) in calls.items():
            answer = await manager.sends(method, path, document)
            assert answer.status_code < 300, (name, answer.text)
            statements = transactions.take()
            free = {
                one.statement
                for one in statements
                if one.study is None and tables_in(one.statement)
            }
            exempt = {one for one in free if _is_exempt(one)}
            assert free == exempt, f"{name}: {shown(free - exempt)}"
            studies = {one.study for one in statements}
            assert studies == ({None} if name == "getStudy" else {None, "sleep"})


def _is_exempt(statement: str) -> bool:
    is_guard = tables_in(statement) == {"study", "study_member"} and "account" in statement
    return is_guard or statement.startswith("INSERT INTO audit_event")


async def test_an_upload_needs_no_further_statement(tmp_path: Path, postgres_url: str) -> None:
    """Of a known subject none of its statements is restricted; a new subject costs one more."""
    database = {"url": postgres_url}
    async with open_edge(tmp_path, limits=LIMITS, database=database) as edge:
        uploader = await person(edge, roles=("uploader",))
        about = {"Healthingest-Study": "sleep", "Healthingest-Subject": "P-1"}
        transactions = StudyTransactions()
        transactions.listen(edge.runtime.engine)
        counts = []
        for records in (1, 2):
            answer = await edge.upload(good_file(records), uploader.headers | about)
            assert answer.status_code == 201, answer.text
            await asyncio.sleep(0)  # asyncpg tells of a statement in the next turn of the loop
            statements = transactions.take()
            counts.append([one.study for one in statements].count("sleep"))
        assert counts == [3, 0]  # lock the subject and its study, and insert it
        named = [tables_in(one.statement) for one in statements]
        assert [tables for tables in named if tables] == [
            {"study", "study_member", "subject"},
            {"upload", "tombstone"},
            {"upload", "tombstone", "subject", "audit_event"},
        ]


@contextmanager
def own_database(server: PostgresServer, words: str = "LOGIN") -> Iterator[tuple[str, str]]:
    """Return role and address of a login that owns its database, as CloudNativePG makes it."""
    with server.role(PASSWORD, words) as (name, url):
        server.execute(f"ALTER DATABASE {name} OWNER TO {name}")
        yield name, url


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[AsyncEngine]:
    """Open a migrated database."""
    await migrate(url, timeout_seconds=HANG_SECONDS)
    async with open_engine(url, pool_size=1, timeout_seconds=HANG_SECONDS) as engine:
        yield engine


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    """Open a transaction on a new connection."""
    async with (
        open_engine(url, pool_size=1, timeout_seconds=HANG_SECONDS) as engine,
        within(engine, None) as connection,
    ):
        yield connection


async def restricts(engine: AsyncEngine) -> bool:
    """Return whether a transaction for a study is restricted."""
    async with within(engine, A) as connection:
        return await is_restricted(connection)


async def uses_studies(engine: AsyncEngine) -> None:
    """Create a study with a subject, and read it."""
    studies = DatabaseStudies(engine, timeout_seconds=HANG_SECONDS)
    await studies.create(study())
    new = subject()
    await studies.change_subject(SLUG, new.pseudonym, partial(decisions.enrolled, new))
    assert [one.id for one in (await studies.subjects(SLUG, limit=9)).subjects] == [new.id]


async def test_an_ordinary_owner_is_restricted(postgres: PostgresServer) -> None:
    """Without any attribute: neither superuser nor CREATEROLE."""
    with own_database(postgres) as (_, url):
        async with opened(url) as engine:
            assert await restricts(engine)
            await uses_studies(engine)


async def test_tables_may_be_in_a_schema_of_the_owners_name(postgres: PostgresServer) -> None:
    """The path of schemas has "$user", and the login changes its role."""
    with own_database(postgres) as (name, url):
        async with connected(url) as connection:
            await connection.execute(text(f"CREATE SCHEMA {name}"))
        async with opened(url) as engine:
            assert await restricts(engine)
            await uses_studies(engine)


async def test_a_login_of_the_operator_is_restricted(postgres: PostgresServer) -> None:
    """The second login of a rotation acts as the owner, of which it is a member."""
    name = f"clinic_{uuid4().hex}"
    host = urlsplit(postgres.url).netloc.rpartition("@")[2]
    for login in (name, f"{name}_b"):
        url = f"postgresql://{login}:{PASSWORD}@{host}/{name}"
        await PostgresDatabase(HANG_SECONDS).provision(postgres.url, url)
        async with opened(url) as engine:
            assert await restricts(engine)
    async with opened(url) as engine:
        await uses_studies(engine)


async def test_a_login_that_owns_no_database_has_one_wall(postgres: PostgresServer) -> None:
    """It works, and the owner of the database gets no privileges."""
    with postgres.role(PASSWORD) as (name, url):
        async with connected(postgres.database_url(name)) as connection:
            await connection.execute(text(f"GRANT CREATE ON SCHEMA public TO {name}"))
        async with opened(url) as engine:
            assert not await restricts(engine)
            await uses_studies(engine)
            async with within(engine, None) as connection:
                granted = text("SELECT has_table_privilege(:role, 'upload', 'SELECT')")
                assert not await connection.scalar(granted, {"role": STUDY_ROLE})
        postgres.execute(f"ALTER DATABASE {name} OWNER TO {name}")
        async with opened(url) as engine:
            assert await restricts(engine)


@pytest.mark.parametrize("owns", [True, False])
async def test_the_service_reports_what_it_has(
    tmp_path: Path,
    postgres: PostgresServer,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    owns: bool,  # noqa: FBT001 - a table
) -> None:
    """The metric, and a warning if queries of studies have one wall."""
    with postgres.role(PASSWORD) as (name, url):
        postgres.execute(f"ALTER DATABASE {name} OWNER TO {name}")
        await migrate(url, timeout_seconds=HANG_SECONDS)
        if not owns:
            postgres.execute(f"ALTER DATABASE {name} OWNER TO CURRENT_USER")
        settings = Settings.model_validate({"data_folder": tmp_path, "database": {"url": url}})
        async with AsyncExitStack() as stack:
            runtime = await open_runtime(settings, stack)
            (work,) = report_row_security(runtime)
            async with asyncio.timeout(HANG_SECONDS):
                await work(asyncio.Event())
            value = runtime.metrics.registry.get_sample_value("healthingest_row_security")
        assert value == owns
        written = caplog.text + "".join(capsys.readouterr())
        assert (ROW_SECURITY_MISSING in written) is not owns


def copied(source: str, target: str, *words: str) -> None:
    """Copy a database, as a restored backup."""
    dumped = subprocess.run(
        ["pg_dump", *words, source], capture_output=True, timeout=HANG_SECONDS, check=True
    )
    subprocess.run(
        ["psql", "--quiet", "--set", "ON_ERROR_STOP=1", target],
        input=dumped.stdout,
        capture_output=True,
        timeout=HANG_SECONDS,
        check=True,
    )


@pytest.mark.parametrize("words", [[], ["--no-privileges"]], ids=["all", "without-privileges"])
async def test_a_dump_of_the_owner_has_all_rows(postgres: PostgresServer, words: list[str]) -> None:
    """
    A copy has all rows and its policies.

    Without privileges nothing is restricted, until the schema is migrated again.
    """
    with own_database(postgres) as (name, url), own_database(postgres) as (_, copy):
        await migrate(url, timeout_seconds=HANG_SECONDS)
        async with connected(postgres.database_url(name)) as connection:
            await fill(connection, ["upload"])
        await asyncio.to_thread(copied, url, copy, "--no-owner", *words)
        async with open_engine(copy, pool_size=1, timeout_seconds=HANG_SECONDS) as engine:
            async with within(engine, None) as connection:
                assert await seen(connection, "upload") == [A, B]
            assert await restricts(engine) == (not words)
        async with opened(copy) as engine:
            assert await restricts(engine)
            async with within(engine, A) as connection:
                assert await seen(connection, "upload") == [A]


async def test_a_dump_of_another_role_needs_an_option(postgres: PostgresServer) -> None:
    """A role that may read all tables sees all rows; its dump says that it must be told so."""
    with own_database(postgres) as (name, url), postgres.role(PASSWORD) as (reader, reading):
        postgres.execute(f"GRANT pg_read_all_data TO {reader}")
        source = f"{reading.rpartition('/')[0]}/{name}"
        await migrate(url, timeout_seconds=HANG_SECONDS)
        async with connected(postgres.database_url(name)) as connection:
            await fill(connection)
        async with connected(source) as connection:
            assert await seen(connection, "upload") == [A, B]
        command_line = ["pg_dump", "--data-only", "--table=upload", source]
        refused = await _run(*command_line)
        assert b"row-level security policy" in refused.stderr
        dumped = await _run(*command_line, "--enable-row-security")
        assert dumped.returncode == 0, dumped.stderr
        assert all(name.encode() in dumped.stdout for name in STUDIES)


async def _run(*words: str) -> subprocess.CompletedProcess[bytes]:
    return await asyncio.to_thread(
        subprocess.run, words, capture_output=True, timeout=HANG_SECONDS, check=False
    )


def _upgrade_to_previous(connection: Connection) -> None:
    config = migrations._config()  # the only way to an earlier revision
    config.attributes["connection"] = connection
    command.upgrade(config, BEFORE)


async def test_the_previous_version_goes_on(postgres: PostgresServer) -> None:
    """
    Its statements succeed before, during and after the migration, on the connections that it has.

    The statements of uploads are those of this version. The list of a study is as the previous
    version sends it: one statement without a transaction.
    """
    listed = text("SELECT study FROM upload WHERE subject <> '' AND study = 'sleep-2026'")
    with own_database(postgres) as (_, url):
        async with open_engine(url, pool_size=3, timeout_seconds=HANG_SECONDS) as engine:
            async with within(engine, None) as connection:
                await connection.run_sync(_upgrade_to_previous)
                await connection.execute(text(_MANY.format(rows=ROWS)))
            done: asyncio.Queue[int] = asyncio.Queue()
            stop = asyncio.Event()
            async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as tasks:
                tasks.create_task(_upload_until(stop, engine, done))
                reading = tasks.create_task(_read_until(stop, engine, listed))
                await done.get()
                await migrate(url, timeout_seconds=HANG_SECONDS)
                for _ in range(done.qsize() + 3):
                    await done.get()
                stop.set()
            assert reading.result() == {ROWS}


_MANY: Final = """
INSERT INTO upload (id, owner_id, state, object_key, correlation_id, record_type, record_count,
  file_size_bytes, file_hash, schema_name, schema_fingerprint, received_at, stored_at, study,
  subject)
SELECT md5('u' || n)::uuid, md5('a')::uuid, 'stored', 'raw/T/' || n, 'c', 'T', 1, 1, 'h' || n, 'T',
  'f', now(), now(), 'sleep-2026', 'p' FROM generate_series(1, {rows}) n
"""


async def _upload_until(stop: asyncio.Event, engine: AsyncEngine, done: asyncio.Queue[int]) -> None:
    ledger = DatabaseLedger(engine, timeout_seconds=HANG_SECONDS)
    while not stop.is_set():
        new = upload(uuid4().bytes, of=AccountId(owner()))
        await ledger.begin(new, idempotency_key=None, lease_seconds=60)
        await ledger.complete(new.id, message(new), stored_at=NOON, event=event())
        await done.put(1)


async def _read_until(stop: asyncio.Event, engine: AsyncEngine, wanted: Any) -> set[int]:  # noqa: ANN401
    counts = set()
    while not stop.is_set():
        async with transaction(
            engine, timeout_seconds=HANG_SECONDS, writes=False, single=True
        ) as connection:
            counts.add(len((await connection.execute(wanted)).all()))
    return counts
