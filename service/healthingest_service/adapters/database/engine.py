"""
One engine for both databases, and the one way to open a transaction.

PostgreSQL by asyncpg, SQLite by aiosqlite. A plain `postgresql://` address, as platforms hand it
out, is understood.
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
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import await_only

from healthingest_contract.database_address import read_database_address
from healthingest_service.uploads.errors import LedgerUnavailableError

_SQLITE_SCHEMES: Final = ("sqlite:", "sqlite+aiosqlite:")
_OUR_FAULT: Final = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
"""Errors that repeating cannot heal: they rise as they are."""
_DATA_EXCEPTION: Final = "22"
"""The class of SQLSTATE (PostgreSQL 17, appendix A): repeating cannot heal it."""
_LOCKED_PAUSE_SECONDS: Final = 0.02
_COMMITTING: Final[WeakKeyDictionary[AsyncEngine, AsyncEngine]] = WeakKeyDictionary()
_FRESH_SECONDS: Final = 1.0
"""A connection that answered so lately is not asked whether it still does."""


def check_url(url: str) -> None:
    """
    Check that *url* is the address of a PostgreSQL or SQLite database.

    Raises:
        ValueError: it is not; the address, which may hold a password, is not repeated.
    """
    if not _sqlite_address(url):
        read_database_address(_for_asyncpg(url))


def _sqlite_address(url: str) -> URL | None:
    """SQLAlchemy's reading of an address of SQLite; None for another scheme."""
    if not url.startswith(_SQLITE_SCHEMES):
        return None
    try:
        return make_url(url).set(drivername="sqlite+aiosqlite")
    except ArgumentError:
        message = "not the address of a SQLite database: sqlite:////folder/file"
        raise ValueError(message) from None


def _for_asyncpg(url: str) -> str:
    """SQLAlchemy's own spelling of the scheme is understood, too."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


@asynccontextmanager
async def open_engine(
    url: str, *, pool_size: int, timeout_seconds: float
) -> AsyncIterator[AsyncEngine]:
    """
    An engine of at most *pool_size* connections; nothing is connected before the first transaction.

    *timeout_seconds* bounds connecting, waiting for a connection, and every statement.
    """
    sqlite = _sqlite_address(url)
    if sqlite is not None:
        engine = _sqlite(sqlite, pool_size, timeout_seconds)
    else:
        engine = _postgresql(_for_asyncpg(url), pool_size, timeout_seconds)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def transaction(
    engine: AsyncEngine, *, timeout_seconds: float, writes: bool = True, single: bool = False
) -> AsyncIterator[AsyncConnection]:
    """
    One transaction with a deadline, committed at the end of the context.

    *single*: it has one statement, which PostgreSQL commits by itself: one question to the server
    instead of three.

    Raises:
        LedgerUnavailableError: unclear whether it was committed.
    """
    if single and is_postgresql(engine):
        engine = _committing_itself(engine)
    if not writes:
        engine = engine.execution_options(reads_only=True)
    try:
        async with asyncio.timeout(timeout_seconds), engine.begin() as connection:
            yield connection
    except _OUR_FAULT:
        raise
    except DBAPIError as error:
        if _is_of_data(error):
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


def _is_of_data(error: DBAPIError) -> bool:
    """
    Whether PostgreSQL objects to a value.

    SQLAlchemy has a class for a few of these errors only.
    """
    state = getattr(error.orig, "sqlstate", None)
    return isinstance(state, str) and state.startswith(_DATA_EXCEPTION)


def _committing_itself(engine: AsyncEngine) -> AsyncEngine:
    """The same pool; made once, since to make it costs as much as a statement."""
    if engine not in _COMMITTING:
        _COMMITTING[engine] = engine.execution_options(isolation_level="AUTOCOMMIT")
    return _COMMITTING[engine]


def is_postgresql(engine: AsyncEngine) -> bool:
    """Whether it is PostgreSQL, and not SQLite."""
    return engine.dialect.name == "postgresql"


def _postgresql(url: str, pool_size: int, timeout_seconds: float) -> AsyncEngine:
    address = read_database_address(url)
    settings = {
        # What was answered with success must outlive the server: a role's or database's default
        # cannot weaken it.
        "synchronous_commit": "on",
        "idle_in_transaction_session_timeout": str(int(timeout_seconds * 2000)),
    }
    if "application_name" not in address.parameters:
        settings["application_name"] = "healthingest"

    async def connect() -> asyncpg.Connection:
        # The address goes to asyncpg as it is, as in the operator: SQLAlchemy's reading knows fewer
        # parameters.
        return await asyncpg.connect(
            url, timeout=timeout_seconds, command_timeout=timeout_seconds, server_settings=settings
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
    """SQLAlchemy's connection of asyncpg."""

    driver_connection: asyncpg.Connection

    def ping(self) -> None:
        """Ask the server."""


def _check_idle(engine: AsyncEngine) -> None:
    """
    Let the pool replace a connection that is gone, before anything is sent on it.

    SQLAlchemy's `pool_pre_ping` asks the server each time, which costs as much as a commit: here
    only a connection is asked that lay idle. One that the server has closed knows it by itself.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def _note(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def _check(connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        used_at = record.info.get("used_at")
        if used_at is None:  # new
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
        connect_args={"timeout": timeout_seconds},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's connection has no type
        connection.isolation_level = None  # the driver's own BEGIN comes too late; ours is below
        cursor = connection.cursor()
        _write_ahead(cursor, timeout_seconds)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer that begins deferred gets SQLITE_BUSY at its first write, without waiting.
        reads_only = connection.get_execution_options().get("reads_only", False)
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")

    return engine


def _write_ahead(cursor: Any, timeout_seconds: float) -> None:  # noqa: ANN401 - the driver's cursor has no type
    """
    Turn on write-ahead logging.

    On a new file, SQLite does not wait for others that do the same at this moment.
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
