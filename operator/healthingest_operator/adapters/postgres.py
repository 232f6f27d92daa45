"""PostgreSQL through asyncpg: a look, and the role and database of a HealthIngest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import unquote, urlsplit

import asyncpg

from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.errors import DependencyError

_CLOSE_SECONDS: Final = 2.0


class PostgresDatabase:
    """The port `Database`."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds

    async def check(self, url: str) -> None:
        """See `Database.check`."""
        async with self._connection(url) as connection:
            await connection.fetchval("SELECT 1")

    async def provision(self, admin_url: str, url: str) -> bool:
        """See `Database.provision`."""
        wanted = urlsplit(url)
        role, password = unquote(wanted.username or ""), unquote(wanted.password or "")
        name = unquote(wanted.path.lstrip("/"))
        async with self._connection(admin_url) as connection:
            exists = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
            verb = "ALTER" if exists else "CREATE"
            # Utility statements take no parameters: the server itself quotes.
            statement = await connection.fetchval(
                f"SELECT format('{verb} ROLE %I WITH LOGIN PASSWORD %L', $1::text, $2::text)", role, password
            )
            await connection.execute(statement)
            if await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
                return True
            # From PostgreSQL 16 on, who creates a role may act as it only after granting it to himself.
            await connection.execute(
                await connection.fetchval("SELECT format('GRANT %I TO CURRENT_USER', $1::text)", role)
            )
            create = "SELECT format('CREATE DATABASE %I OWNER %I', $1::text, $2::text)"
            await connection.execute(await connection.fetchval(create, name, role))
            revoke = "SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', $1::text)"
            await connection.execute(await connection.fetchval(revoke, name))
        return True

    @asynccontextmanager
    async def _connection(self, url: str) -> AsyncIterator[asyncpg.Connection]:
        place = urlsplit(url).netloc.rpartition("@")[2]
        user = unquote(urlsplit(url).username or "")
        try:
            async with asyncio.timeout(self._timeout_seconds):
                connection = await asyncpg.connect(
                    url, timeout=self._timeout_seconds, command_timeout=self._timeout_seconds
                )
                try:
                    yield connection
                finally:
                    await connection.close(timeout=_CLOSE_SECONDS)
        except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
            message = f"PostgreSQL at {place} refuses user {user}: check user and password in the Secret"
            raise DependencyError(Reason.AUTHENTICATION_FAILED, message) from error
        except asyncpg.InvalidCatalogNameError as error:
            message = f"PostgreSQL at {place} has no such database: create it, or give key adminUrl instead of url"
            raise DependencyError(Reason.REQUEST_REFUSED, message) from error
        except asyncpg.InsufficientPrivilegeError as error:
            message = f"PostgreSQL at {place}: user {user} may not do what is needed (CREATEROLE, CREATEDB)"
            raise DependencyError(Reason.PERMISSION_DENIED, message) from error
        except (TimeoutError, OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as error:
            message = f"no answer from PostgreSQL at {place}: {type(error).__name__}"
            raise DependencyError(Reason.UNREACHABLE, message) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            message = f"PostgreSQL at {place} refuses: {type(error).__name__}"
            raise DependencyError(Reason.REQUEST_REFUSED, message) from error
