"""The operator's database port on a real PostgreSQL."""

import asyncio
import subprocess
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg
import pytest

from healthingest_contract.conditions import Reason
from healthingest_operator.adapters.postgres.database import MARK_TABLE, PostgresDatabase
from healthingest_operator.reconcile.errors import DependencyError
from support.servers.postgres import PostgresServer
from support.servers.process import free_port


@pytest.fixture(name="database")
def _database() -> PostgresDatabase:
    return PostgresDatabase(10)


@dataclass(frozen=True)
class Login:
    """A role and a database of the same name, with a quote in it, which the server must escape."""

    server: PostgresServer
    name: str
    password: str = "it's-$$-secret"

    @property
    def url(self) -> str:
        """As the service gets it."""
        host = urlsplit(self.server.url).netloc.rpartition("@")[2]
        return (
            f"postgresql://{self.name}:{self.password.replace(chr(39), '%27')}@{host}/{self.name}"
        )


@pytest.fixture(name="login")
def _login(postgres: PostgresServer) -> Login:
    return Login(postgres, f"operator_{free_port()}")


async def test_role_and_database_are_made_once(
    database: PostgresDatabase, postgres: PostgresServer, login: Login
) -> None:
    """A repeat is safe; a changed password is set, and the role owns its database."""
    assert not await database.exists(postgres.url, login.url)
    await database.provision(postgres.url, login.url)
    await database.provision(postgres.url, login.url)
    assert await database.exists(postgres.url, login.url)
    await database.check(login.url)
    connection = await asyncpg.connect(login.url)
    await connection.execute("CREATE TABLE public.t (a int)")
    await connection.close()


async def test_an_unknown_database_has_a_name(
    database: PostgresDatabase, postgres: PostgresServer
) -> None:
    """The message has the remedy."""
    with pytest.raises(DependencyError) as raised:
        await database.check(postgres.database_url("nowhere"))
    assert raised.value.reason is Reason.REQUEST_REFUSED
    assert "has no database nowhere: create the database" in raised.value.message


async def test_nobody_there_is_unreachable(database: PostgresDatabase) -> None:
    """A closed port; the message does not contain the password."""
    with pytest.raises(DependencyError) as raised:
        await database.check(f"postgresql://user:hush-hush@127.0.0.1:{free_port()}/a")
    assert raised.value.reason is Reason.UNREACHABLE
    assert "hush" not in raised.value.message


async def plain_administrator(server: PostgresServer, name: str) -> str:
    """The address of a role with CREATEROLE and CREATEDB, as managed servers give it."""
    connection = await asyncpg.connect(server.url)
    await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'word' CREATEROLE CREATEDB")
    await connection.close()
    host = urlsplit(server.url).netloc.rpartition("@")[2]
    return f"postgresql://{name}:word@{host}/{urlsplit(server.url).path.lstrip('/')}"


@pytest.mark.parametrize("superuser", [True, False])
async def test_two_logins_take_turns(
    database: PostgresDatabase,
    postgres: PostgresServer,
    login: Login,
    superuser: bool,  # noqa: FBT001 - a table
) -> None:
    """
    Objects of both belong to one owner.

    A revoked login is refused at once, and its sessions end.
    """
    other_url = login.url.replace(f"//{login.name}:", f"//{login.name}_b:")
    admin = (
        postgres.url if superuser else await plain_administrator(postgres, f"{login.name}_admin")
    )
    await database.provision(admin, login.url)
    old = await asyncpg.connect(login.url)
    await old.execute("CREATE TABLE public.before (a int)")
    await database.provision(admin, other_url)
    await database.check(login.url)
    new = await asyncpg.connect(other_url)
    await new.execute("ALTER TABLE public.before ADD COLUMN b int")
    await new.execute("CREATE TABLE public.after (a int)")
    owners = await new.fetch("SELECT tableowner FROM pg_tables WHERE schemaname = 'public'")
    assert {row["tableowner"] for row in owners} == {login.name}
    await database.revoke(admin, login.name)
    await database.revoke(admin, login.name)
    await database.revoke(admin, "nobody_of_this_name")
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
        await old.execute("SELECT 1")
    with pytest.raises(DependencyError) as raised:
        await database.check(login.url)
    assert raised.value.reason is Reason.AUTHENTICATION_FAILED
    await new.execute("INSERT INTO public.before VALUES (1, 2)")
    await database.provision(admin, login.url)
    await database.revoke(admin, f"{login.name}_b")
    await database.check(login.url)
    await new.close(timeout=2)


async def test_a_server_of_several_hosts_gets_role_and_database(
    database: PostgresDatabase, postgres: PostgresServer, login: Login
) -> None:
    """The first host is dead, in the administrator's address and in that of the service."""
    place = f"127.0.0.1:{postgres.port}"
    hosts = f"127.0.0.1:{free_port()},{place}"
    query = "?target_session_attrs=read-write"
    admin = postgres.url.replace(place, hosts) + query
    url = login.url.replace(place, hosts) + query
    await database.provision(admin, url)
    assert await database.exists(admin, url)
    assert await database.write_installation(url, "a/b", "uid-1")
    assert await database.check(url, "a/b") == "uid-1"
    await database.revoke(admin, login.name)
    with pytest.raises(DependencyError) as raised:
        await database.check(url)
    assert raised.value.reason is Reason.AUTHENTICATION_FAILED


async def test_the_owner_of_a_database_needs_no_other_right(
    database: PostgresDatabase, postgres: PostgresServer
) -> None:
    """As CloudNativePG's `<cluster>-app`: an ordinary login can be used, and creates no role."""
    with postgres.role("word", "LOGIN NOCREATEROLE NOCREATEDB") as (name, url):
        await run(postgres.url, f"ALTER DATABASE {name} OWNER TO {name}")
        assert await database.check(url, "a/b") is None
        assert await database.write_installation(url, "a/b", "uid-1")
        await run(url, "CREATE TABLE t (a int)")
        assert await database.check(url, "a/b") == "uid-1"
        with pytest.raises(DependencyError) as raised:
            await database.provision(url, postgres.database_url(f"{name}_other"))
    assert raised.value.reason is Reason.PERMISSION_DENIED
    assert "use the key url with a user that owns an existing database" in raised.value.message


async def test_a_mark_is_kept_in_the_database(
    database: PostgresDatabase, postgres: PostgresServer, login: Login
) -> None:
    """
    The service's login writes it; this login and its successor find it.

    Each owner has its own.
    """
    await database.provision(postgres.url, login.url)
    assert await database.check(login.url, "a/b") is None
    assert await database.write_installation(login.url, "a/b", "uid-1")
    assert await database.check(login.url, "a/b") == "uid-1"
    assert await database.write_installation(login.url, "a/b", "uid-2")
    assert await database.write_installation(login.url, "a/c", "uid-3")
    other_url = login.url.replace(f"//{login.name}:", f"//{login.name}_b:")
    await database.provision(postgres.url, other_url)
    assert [await database.check(other_url, owner) for owner in ("a/b", "a/c", "a/d")] == [
        "uid-2",
        "uid-3",
        None,
    ]
    assert await database.check(other_url) is None


async def test_marks_that_are_written_at_once_make_one_table(
    database: PostgresDatabase, postgres: PostgresServer
) -> None:
    """PostgreSQL refuses all but one `CREATE TABLE IF NOT EXISTS` of the same moment."""
    owners = [f"a/{number}" for number in range(4)]
    with postgres.database() as url:
        for _ in range(20):
            await run(url, f"DROP TABLE IF EXISTS {MARK_TABLE}")
            await asyncio.gather(
                *(database.write_installation(url, owner, "uid") for owner in owners)
            )
            assert [await database.check(url, owner) for owner in owners] == ["uid"] * 4


def copy_database(source: str, target: str) -> None:
    """Copy the database, as a restored backup."""
    dumped = subprocess.run(
        ["pg_dump", "--no-owner", source], capture_output=True, timeout=60, check=True
    )
    subprocess.run(
        ["psql", "--quiet", target],
        input=dumped.stdout,
        capture_output=True,
        timeout=60,
        check=True,
    )


async def test_a_dump_carries_the_mark(
    database: PostgresDatabase, postgres: PostgresServer, login: Login
) -> None:
    """In another database it names the same owner."""
    await database.provision(postgres.url, login.url)
    await database.write_installation(login.url, "a/b", "uid-1")
    with postgres.database() as copy:
        source = urlsplit(postgres.url)._replace(path=f"/{login.name}").geturl()
        await asyncio.to_thread(copy_database, source, copy)
        assert await database.check(copy, "a/b") == "uid-1"


async def test_without_the_right_to_make_tables_there_is_no_mark(
    database: PostgresDatabase, postgres: PostgresServer
) -> None:
    """It is an error before the service's tables exist, and only reported afterwards."""
    name = f"marked_{free_port()}"
    postgres.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'word'")
    with postgres.database() as url:
        mine = url.replace("//healthingest:postgres-test-password@", f"//{name}:word@")
        await run(url, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
        await run(url, f"GRANT USAGE ON SCHEMA public TO {name}")
        with pytest.raises(DependencyError) as raised:
            await database.write_installation(mine, "a/b", "uid-1")
        assert raised.value.reason is Reason.PERMISSION_DENIED
        assert "may not create tables" in raised.value.message
        await run(url, "CREATE TABLE public.alembic_version (version_num text)")
        assert not await database.write_installation(mine, "a/b", "uid-1")
        assert await database.check(mine, "a/b") is None
    postgres.execute(f"DROP ROLE {name}")


async def run(url: str, statement: str) -> None:
    """Run it in this database."""
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()
