"""The operator's database port on a real PostgreSQL."""

from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg
import pytest

from healthingest_contract.conditions import Reason
from healthingest_operator.adapters.postgres import PostgresDatabase
from healthingest_operator.reconcile.errors import DependencyError
from support.servers.postgres import PostgresServer
from support.servers.process import free_port


@pytest.fixture(name="database")
def _database() -> PostgresDatabase:
    return PostgresDatabase(10)


@dataclass(frozen=True)
class Login:
    """A role and a database of the same name, with a quote in it: the server quotes, not we."""

    server: PostgresServer
    name: str
    password: str = "it's-$$-secret"

    @property
    def url(self) -> str:
        """As the service gets it."""
        host = urlsplit(self.server.url).netloc.rpartition("@")[2]
        return f"postgresql://{self.name}:{self.password.replace(chr(39), '%27')}@{host}/{self.name}"


@pytest.fixture(name="login")
def _login(postgres: PostgresServer) -> Login:
    return Login(postgres, f"operator_{free_port()}")


async def test_role_and_database_are_made_once(
    database: PostgresDatabase, postgres: PostgresServer, login: Login
) -> None:
    """Twice is fine; a changed password is set, and the role owns its database."""
    await database.provision(postgres.url, login.url)
    await database.provision(postgres.url, login.url)
    await database.check(login.url)
    connection = await asyncpg.connect(login.url)
    await connection.execute("CREATE TABLE public.t (a int)")
    await connection.close()


async def test_an_unknown_database_has_a_name(database: PostgresDatabase, postgres: PostgresServer) -> None:
    """The message says what to do."""
    with pytest.raises(DependencyError) as raised:
        await database.check(postgres.database_url("nowhere"))
    assert raised.value.reason is Reason.REQUEST_REFUSED
    assert "no such database" in raised.value.message


async def test_nobody_there_is_unreachable(database: PostgresDatabase) -> None:
    """A closed port; no password in the message."""
    with pytest.raises(DependencyError) as raised:
        await database.check(f"postgresql://user:hush-hush@127.0.0.1:{free_port()}/a")
    assert raised.value.reason is Reason.UNREACHABLE
    assert "hush" not in raised.value.message
