"""PostgreSQL through asyncpg: checks, and the role and database of a HealthIngest."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import unquote, urlsplit

import asyncpg
from typing_extensions import override

from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial, database_tls
from healthingest_operator.adapters.postgres.answers import connection_error, named, place
from healthingest_operator.adapters.postgres.hosts import connect
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import Database
from healthingest_operator.reconcile.ttl_cache import TtlCache
from healthingest_operator.status import outside_causes as causes

_CLOSE_SECONDS: Final = 2.0
MARK_TABLE: Final = "healthingest_operator_mark"
"""
The table of installations: one row for each HealthIngest.

The service's migrations do not manage it. A dump of the database contains it.
"""
_MAKE_TABLE: Final = (
    "SELECT pg_advisory_xact_lock(7309454);"
    f"CREATE TABLE IF NOT EXISTS {MARK_TABLE} (owner text PRIMARY KEY, installation text NOT NULL)"
)
"""
One transaction. Without the lock, of several HealthIngests that begin at once in a database all but
one fail: PostgreSQL checks IF NOT EXISTS before the tables of others are visible. The number only
has to differ from those of other locks.
"""
# S608: a constant name
_READ_MARK: Final = f"SELECT installation FROM {MARK_TABLE} WHERE owner = $1"  # noqa: S608
_WRITE_MARK: Final = f"""
INSERT INTO {MARK_TABLE} (owner, installation) VALUES ($1, $2)
ON CONFLICT (owner) DO UPDATE SET installation = excluded.installation
"""  # noqa: S608 - a constant name
_STRANGE: Final = (asyncpg.InternalClientError, asyncpg.UnsupportedClientFeatureError)
"""Errors that asyncpg raises if the server speaks another protocol."""


class PostgresDatabase(Database):
    """Implements the port `Database`."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._checked = TtlCache()

    @override
    async def check(
        self, url: str, owner: str | None = None, *, tls: TlsMaterial = NO_TLS_MATERIAL
    ) -> str | None:

        async def check() -> str | None:
            async with self._connection(url, tls) as connection:
                await _refuse_read_only(connection, url)
                if (
                    owner is None
                    or await connection.fetchval("SELECT to_regclass($1)", MARK_TABLE) is None
                ):
                    return None
                found: str | None = await connection.fetchval(_READ_MARK, owner)
                return found

        return await self._checked.get((url, owner or "", tls.fingerprint), time.monotonic(), check)

    @override
    async def write_installation(
        self, url: str, owner: str, installation: str, *, tls: TlsMaterial = NO_TLS_MATERIAL
    ) -> bool:
        self._checked.clear()
        async with self._connection(url, tls) as connection:
            try:
                await connection.execute(_MAKE_TABLE)
                await connection.execute(_WRITE_MARK, owner, installation)
            except asyncpg.InsufficientPrivilegeError as error:
                if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
                    raise DependencyError.of(causes.DATABASE_NO_CREATE, **named(url)) from error
                return False
        return True

    @override
    async def exists(self, admin_url: str, url: str, *, tls: TlsMaterial = NO_TLS_MATERIAL) -> bool:
        async with self._connection(admin_url, tls) as connection:
            return await _has_database(connection, unquote(urlsplit(url).path.lstrip("/")))

    @override
    async def provision(
        self, admin_url: str, url: str, *, tls: TlsMaterial = NO_TLS_MATERIAL
    ) -> bool:
        self._checked.clear()
        wanted = urlsplit(url)
        role = unquote(wanted.username or "")
        password = unquote(wanted.password or "")
        name = unquote(wanted.path.lstrip("/"))
        async with self._connection(admin_url, tls) as connection:
            exists = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
            verb = "ALTER" if exists else "CREATE"
            words = (
                f"'{verb} ROLE %I WITH LOGIN PASSWORD %L VALID UNTIL %L', $1::text,"
                " $2::text, $3::text"
            )
            await _execute(connection, words, role, password, "infinity")
            if role != name:
                await _let_act_as(connection, role, name)
            if await _has_database(connection, name):
                return True
            # Since PostgreSQL 16 the creator of a role must grant the role to itself before it can
            # act as this role.
            await _execute(connection, "'GRANT %I TO CURRENT_USER', $1::text", name)
            await _execute(
                connection, "'CREATE DATABASE %I OWNER %I', $1::text, $2::text", name, name
            )
            await _execute(connection, "'REVOKE ALL ON DATABASE %I FROM PUBLIC', $1::text", name)
        return True

    @override
    async def revoke(
        self, admin_url: str, role: str, *, tls: TlsMaterial = NO_TLS_MATERIAL
    ) -> None:
        self._checked.clear()
        async with self._connection(admin_url, tls) as connection:
            if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
                return
            await _execute(connection, "'ALTER ROLE %I WITH NOLOGIN PASSWORD NULL', $1::text", role)
            # Only a member of the role may end its sessions: see `provision`.
            await _execute(connection, "'GRANT %I TO CURRENT_USER', $1::text", role)
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND"
                " pid <> pg_backend_pid()",
                role,
            )

    @asynccontextmanager
    async def _connection(self, url: str, tls: TlsMaterial) -> AsyncIterator[asyncpg.Connection]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                connection = await connect(
                    url, timeout_seconds=self._timeout_seconds, ssl=database_tls(url, tls)
                )
                try:
                    yield connection
                finally:
                    await connection.close(timeout=_CLOSE_SECONDS)
        except (
            TimeoutError,
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            *_STRANGE,
        ) as error:
            raise await connection_error(error, url) from error


async def _refuse_read_only(connection: asyncpg.Connection, url: str) -> None:
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        raise DependencyError.of(causes.DATABASE_READ_ONLY, where=place(url), why="it is a standby")
    if await connection.fetchval("SELECT current_setting('transaction_read_only')::bool"):
        why = "default_transaction_read_only is on"
        raise DependencyError.of(causes.DATABASE_READ_ONLY, where=place(url), why=why)


async def _has_database(connection: asyncpg.Connection, name: str) -> bool:
    return bool(await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name))


async def _execute(connection: asyncpg.Connection, words: str, *names: str) -> None:
    """Execute a utility statement; it takes no parameters, so the server quotes the values."""
    await connection.execute(await connection.fetchval(f"SELECT format({words})", *names))


async def _let_act_as(connection: asyncpg.Connection, role: str, owner: str) -> None:
    """Make *role* act as *owner*, so that its objects belong to *owner* and outlive *role*."""
    if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", owner):
        await _execute(connection, "'CREATE ROLE %I NOLOGIN', $1::text", owner)
    await _execute(connection, "'GRANT %I TO %I', $1::text, $2::text", owner, role)
    await _execute(connection, "'ALTER ROLE %I SET role = %L', $1::text, $2::text", role, owner)
