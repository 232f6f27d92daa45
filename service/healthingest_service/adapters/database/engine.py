"""
The engine for both databases, and the function that opens a transaction.

PostgreSQL uses asyncpg, SQLite aiosqlite. `postgresql://` addresses need no driver name.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol, cast
from weakref import WeakKeyDictionary

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, Pool, QueuePool
from sqlalchemy.util import await_only

from healthingest_contract.database_address import read_database_address, with_hosts_first
from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial, database_tls
from healthingest_service.adapters.database.hosts import connect_to_a_host
from healthingest_service.adapters.database.row_security import restrict_to_study
from healthingest_service.adapters.database.sqlite_connection import ClosingConnection
from healthingest_service.uploads.errors import LedgerUnavailableError

_SQLITE_SCHEMES: Final = ("sqlite:", "sqlite+aiosqlite:")
_PERMANENT_ERRORS: Final = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
"""Errors that occur again when the transaction is repeated; they propagate unchanged."""
_DATA_EXCEPTION: Final = "22"
"""SQLSTATE class of invalid values (PostgreSQL 17, appendix A), also a permanent error."""
_LOCKED_PAUSE_SECONDS: Final = 0.02
_AUTOCOMMIT_ENGINES: Final[WeakKeyDictionary[AsyncEngine, AsyncEngine]] = WeakKeyDictionary()
_TURNS: Final[WeakKeyDictionary[Pool, asyncio.Semaphore]] = WeakKeyDictionary()
"""What `turn` returns for each pool."""
_FRESH_SECONDS: Final = 1.0
"""A pooled connection that was used within this time is not pinged before its next use."""


def check_url(url: str) -> None:
    """
    Check that *url* is the address of a PostgreSQL or SQLite database.

    Raises:
        ValueError: the address is invalid; the message does not contain it, since it may have a
            password.
    """
    if not _sqlite_address(url):
        read_database_address(_for_asyncpg(url))


def _sqlite_address(url: str) -> URL | None:
    """Return the parsed address of a SQLite database; None for another scheme."""
    if not url.startswith(_SQLITE_SCHEMES):
        return None
    try:
        return make_url(url).set(drivername="sqlite+aiosqlite")
    except ArgumentError:
        message = "must be an address such as sqlite:////folder/file"
        raise ValueError(message) from None


def _for_asyncpg(url: str) -> str:
    """Return *url* without the driver name that SQLAlchemy allows, and with the hosts first."""
    return with_hosts_first(url.replace("postgresql+asyncpg://", "postgresql://", 1))


@asynccontextmanager
async def open_engine(
    url: str, *, pool_size: int, timeout_seconds: float, tls: TlsMaterial = NO_TLS_MATERIAL
) -> AsyncIterator[AsyncEngine]:
    """
    Open an engine with at most *pool_size* connections; the first transaction connects.

    *timeout_seconds* is the deadline of connecting, of waiting for a connection, and of every
    statement. SQLite ignores *tls*.

    Raises:
        ValueError: *tls* is unusable.
    """
    sqlite = _sqlite_address(url)
    if sqlite is not None:
        engine = _sqlite(sqlite, pool_size, timeout_seconds)
    else:
        engine = _postgresql(_for_asyncpg(url), pool_size, timeout_seconds, tls)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def transaction(
    engine: AsyncEngine,
    *,
    timeout_seconds: float,
    writes: bool = True,
    single: bool = False,
    study: str | None = None,
) -> AsyncIterator[AsyncConnection]:
    """
    Open a transaction with a deadline, which is committed at the end of the context.

    *single* declares that it has one statement. PostgreSQL then uses autocommit: one round trip
    instead of three. With *study*, PostgreSQL shows and changes only rows of this study.

    Raises:
        LedgerUnavailableError: unclear whether it was committed.
    """
    study = study if is_postgresql(engine) else None
    engine = _for_transaction(engine, writes=writes, single=single and study is None)
    try:
        async with asyncio.timeout(timeout_seconds), turn(engine), engine.begin() as connection:
            if study is not None:
                await restrict_to_study(connection, study)
            yield connection
    except _PERMANENT_ERRORS:
        raise
    except DBAPIError as error:
        if _is_data_error(error):
            raise
        raise LedgerUnavailableError from error
    except (
        TimeoutError,
        PoolTimeoutError,
        OSError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
    ) as error:
        raise LedgerUnavailableError from error


@asynccontextmanager
async def transaction_raising(  # noqa: PLR0913 - those of `transaction`
    unavailable: type[Exception],
    engine: AsyncEngine,
    *,
    timeout_seconds: float,
    writes: bool = True,
    single: bool = False,
    study: str | None = None,
) -> AsyncIterator[AsyncConnection]:
    """Open a transaction as `transaction` does; raises *unavailable* if its outcome is unclear."""
    opening = transaction(
        engine, timeout_seconds=timeout_seconds, writes=writes, single=single, study=study
    )
    try:
        async with opening as connection:
            yield connection
    except LedgerUnavailableError as error:
        raise unavailable from error


def turn(engine: AsyncEngine) -> asyncio.Semaphore:
    """
    Return what to enter before a connection is taken from the pool: first come, first served.

    The pool gives a returned connection to whoever asks next, and who waited for it waits again at
    the end of the line (decision 0112).
    """
    pool = cast("QueuePool", engine.pool)
    if pool not in _TURNS:
        _TURNS[pool] = asyncio.Semaphore(pool.size())
    return _TURNS[pool]


def _is_data_error(error: DBAPIError) -> bool:
    """Return whether a value was invalid; SQLAlchemy maps only some of these to `DataError`."""
    state = getattr(error.orig, "sqlstate", None)
    return isinstance(state, str) and state.startswith(_DATA_EXCEPTION)


def _for_transaction(engine: AsyncEngine, *, writes: bool, single: bool) -> AsyncEngine:
    """Return the engine with the options of a transaction."""
    if is_postgresql(engine):
        return _autocommit(engine) if single else engine
    return engine if writes else engine.execution_options(reads_only=True)


def _autocommit(engine: AsyncEngine) -> AsyncEngine:
    """Return the engine in autocommit mode, with the same pool; it is cached."""
    if engine not in _AUTOCOMMIT_ENGINES:
        _AUTOCOMMIT_ENGINES[engine] = engine.execution_options(isolation_level="AUTOCOMMIT")
    return _AUTOCOMMIT_ENGINES[engine]


def is_postgresql(engine: AsyncEngine) -> bool:
    """Return whether the database is PostgreSQL, not SQLite."""
    return engine.dialect.name == "postgresql"


def _postgresql(url: str, pool_size: int, timeout_seconds: float, tls: TlsMaterial) -> AsyncEngine:
    address = read_database_address(url)
    context = database_tls(url, tls)
    settings = {
        # Commits must be durable, also if the default of the role or database is weaker.
        "synchronous_commit": "on",
        "idle_in_transaction_session_timeout": str(int(timeout_seconds * 2000)),
    }
    if "application_name" not in address.parameters:
        settings["application_name"] = "healthingest"

    async def connect() -> asyncpg.Connection:
        # asyncpg parses the address, as in the operator; SQLAlchemy supports fewer parameters.
        return await connect_to_a_host(
            url, timeout_seconds=timeout_seconds, settings=settings, ssl=context
        )

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout_seconds,
        pool_recycle=1800,
        hide_parameters=True,
    )
    _check_idle(engine)
    return engine


class _Pooled(Protocol):
    """The pooled connection of SQLAlchemy with asyncpg."""

    driver_connection: asyncpg.Connection

    def ping(self) -> None:
        """Check with one round trip that the server answers."""


def _check_idle(engine: AsyncEngine) -> None:
    """
    Let the pool replace broken connections before they are used.

    Only connections that were idle are pinged. SQLAlchemy's `pool_pre_ping` would ping at each use,
    which costs as much as a commit. A connection that the server has closed needs no ping.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def _note(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def _check(connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        used_at = record.info.get("used_at")
        if used_at is None:  # a new connection
            return
        pooled = cast("_Pooled", connection)
        try:
            if pooled.driver_connection.is_closed():
                raise DisconnectionError
            if time.monotonic() - used_at > _FRESH_SECONDS:
                pooled.ping()
        except (engine.dialect.loaded_dbapi.Error, OSError) as error:
            raise DisconnectionError from error


def _sqlite(address: URL, pool_size: int, timeout_seconds: float) -> AsyncEngine:
    engine = create_async_engine(
        address,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout_seconds,
        hide_parameters=True,
        connect_args={"timeout": timeout_seconds, "factory": ClosingConnection},
    )

    @event.listens_for(engine.sync_engine, "connect")
    # ANN401: the driver's connection has no type
    def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401
        connection.isolation_level = None  # `_begin` emits BEGIN, not the driver
        cursor = connection.cursor()
        _write_ahead(cursor, timeout_seconds)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        # After a plain BEGIN, a write fails with SQLITE_BUSY at once instead of waiting.
        reads_only = connection.get_execution_options().get("reads_only", False)
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")

    return engine


# ANN401: the driver's cursor has no type
def _write_ahead(cursor: Any, timeout_seconds: float) -> None:  # noqa: ANN401
    """
    Turn on write-ahead logging, and retry while another process does the same.

    On a new file SQLite fails at once instead of waiting for the lock.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            await_only(asyncio.sleep(_LOCKED_PAUSE_SECONDS))
        else:
            return
