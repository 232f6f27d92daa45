"""Starts the servers that are measured: the service on a folder and on real servers, and others."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from upload_client import Target, signed_in

from healthingest_contract.topology import DEFAULT_EXCHANGE
from healthingest_service.identity.access_tokens import new_key_pem
from support.faults.consumer import Consumer
from support.servers.postgres import PostgresServer, postgres_server
from support.servers.process import accepts_connections, as_user, free_port, running, work_folder
from support.servers.rabbitmq import RabbitMQServer, rabbitmq_server
from support.servers.redis import RedisServer, redis_server
from support.servers.versitygw import S3Server, s3_server
from support.service_process import COMMAND, environment, service

HERE: Final = Path(__file__).parent
TUSD: Final = HERE.parent / ".cache" / "bin" / "tusd"
"""Built by the Makefile, if there is Go."""
_AVRO: Final = {"Content-Type": "application/avro"}
UNLIMITED: Final = {
    "LIMITS__UPLOADS": "1000000/minute",
    "LIMITS__UPLOADS_AT_ONCE_PER_ACCOUNT": "10000",
    "LIMITS__UPLOADS_AT_ONCE_PER_ADDRESS": "10000",
    "HTTP__MAX_CONNECTIONS": "10000",
    "HTTP__MAX_CONNECTIONS_PER_ADDRESS": "10000",
    "LIMITS__REQUESTS": "1000000/minute",
    "LIMITS__OUTBOX_MESSAGES": "1000000",
    "IDENTITY__ACCESS_TOKEN_SECONDS": "3600",
    "SPOOL__FILES": "64",
}


@dataclass(frozen=True, slots=True)
class Server:
    """
    The address of a server, and its first process.

    *others* are further processes of the same server, as further pods; *helpers* are process ids of
    programs that an answer waits for, *background* those of relay and janitor, which work later.
    """

    target: Target
    process_id: int
    others: tuple["Server", ...] = ()
    helpers: tuple[int, ...] = ()
    background: tuple[int, ...] = ()

    @property
    def all(self) -> tuple["Server", ...]:
        """Return this process and the others."""
        return (self, *self.others)

    @property
    def process_ids(self) -> tuple[int, ...]:
        """Return all processes, without their children."""
        return (*(one.process_id for one in self.all), *self.helpers)


@dataclass(frozen=True, slots=True)
class Backing:
    """The real servers that the service and the plain service use."""

    database_url: str
    broker: RabbitMQServer
    cache_url: str
    store: S3Server

    def settings(self) -> dict[str, str]:
        """Return the settings for the service."""
        return {
            "DATABASE__URL": self.database_url,
            "STORE__ENDPOINT": self.store.endpoint,
            "STORE__BUCKET": self.store.bucket,
            "STORE__ACCESS_KEY_ID": self.store.access_key_id,
            "STORE__SECRET_ACCESS_KEY": self.store.secret_access_key,
            "BROKER__URL": self.broker.amqp_url,
            "CACHE__URL": self.cache_url,
        }


@dataclass(frozen=True, slots=True)
class RealServers:
    """PostgreSQL, RabbitMQ, Redis and versitygw."""

    postgres: PostgresServer
    rabbitmq: RabbitMQServer
    redis: RedisServer
    s3: S3Server

    @contextmanager
    def backing(self) -> Iterator[Backing]:
        """Create a database, a virtual host with a queue for uploads, and a bucket."""
        with self.postgres.database() as url, self.rabbitmq.new_virtual_host() as broker:
            Consumer(broker).declare()
            yield Backing(url, broker, self.redis.url, self.s3.new_bucket())


@contextmanager
def real_servers() -> Iterator[RealServers]:
    """Start all servers."""
    with (
        postgres_server() as postgres,
        rabbitmq_server() as rabbitmq,
        redis_server() as redis,
        # As other S3 servers do; by default versitygw closes the connection.
        s3_server(keep_alive=True) as s3,
    ):
        yield RealServers(postgres, rabbitmq, redis, s3)


@contextmanager
def backing() -> Iterator[Backing]:
    """Start all servers for one installation."""
    with real_servers() as servers, servers.backing() as one:
        yield one


@contextmanager
def on_a_folder(folder: Path, **settings: str) -> Iterator[Server]:
    """Start the embedded default: one process, SQLite, a folder."""
    with service(folder, "serve", **(UNLIMITED | settings)) as running_service:
        running_service.wait_until_ready()
        yield _ours("folder", running_service.address(), running_service.process.pid)


@contextmanager
def on_servers(
    folder: Path, on: Backing, *, apis: int = 1, run_by: Sequence[str] = (), **settings: str
) -> Iterator[Server]:
    """
    Start *apis* API processes, a relay and a janitor, as in an installation.

    *run_by* is a command that runs each of them.
    """
    all_settings = UNLIMITED | on.settings() | {"IDENTITY__SIGNING_KEYS": new_key_pem()} | settings
    migrate = [*run_by, *COMMAND, "migrate"]
    subprocess.run(migrate, env=environment(folder, **all_settings), check=True, timeout=60)
    with ExitStack() as stack:
        names = [*["api"] * apis, "relay", "janitor"]
        running_services = [
            stack.enter_context(service(folder / f"{at}", n, run_by=run_by, **all_settings))
            for at, n in enumerate(names)
        ]
        serving = running_services[:apis]
        for api in serving:
            api.wait_until_ready()
        token = signed_in(_port(serving[0].address()))
        first, *others = [_ours("s3", api.address(), api.process.pid, token) for api in serving]
        later = tuple(one.process.pid for one in running_services[apis:])
        yield replace(first, others=tuple(others), background=later)


@contextmanager
def api_alone(folder: Path, on: Backing, **settings: str) -> Iterator[Server]:
    """Start the API without relay and janitor: messages stay in the outbox."""
    all_settings = UNLIMITED | on.settings() | settings
    subprocess.run(
        [*COMMAND, "migrate"], env=environment(folder, **all_settings), check=True, timeout=60
    )
    with service(folder, "api", **all_settings) as api:
        api.wait_until_ready()
        yield _ours("api", api.address(), api.process.pid)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _ours(name: str, address: str, process_id: int, token: str | None = None) -> Server:
    port = _port(address)
    headers = _AVRO | {"Authorization": f"Bearer {token or signed_in(port)}"}
    return Server(Target(name, port, "/v1/upload", headers), process_id)


@contextmanager
def discarding() -> Iterator[Server]:
    """Start the same HTTP server with a handler that discards the body."""
    with _process("discard", [sys.executable, str(HERE / "upload_discard.py")]) as (
        port,
        process_id,
    ):
        yield Server(Target("discard", port, "/", _AVRO), process_id)


@contextmanager
def plain(on: Backing) -> Iterator[Server]:
    """Start the plain service."""
    command = [sys.executable, str(HERE / "upload_plain.py")]
    with _process("plain", command, _plain_variables(on)) as (port, process_id):
        yield Server(Target("plain", port, "/upload", _AVRO), process_id)


def _plain_variables(on: Backing) -> dict[str, str]:
    return {
        "PLAIN_STORE_ENDPOINT": on.store.endpoint,
        "PLAIN_STORE_BUCKET": on.store.bucket,
        "PLAIN_STORE_KEY": on.store.access_key_id,
        "PLAIN_STORE_SECRET": on.store.secret_access_key,
        "PLAIN_BROKER_URL": on.broker.amqp_url,
        "PLAIN_EXCHANGE": DEFAULT_EXCHANGE,
    }


@contextmanager
def tusd(folder: Path, *hooks: str) -> Iterator[Server | None]:
    """
    Start tusd with a folder; a request creates an upload and contains the whole file.

    None if it could not be built. *hooks* are options; without them it calls none.

    https://tus.io/protocols/resumable-upload#creation-with-upload
    """
    if not TUSD.exists():
        yield None
        return
    options = [
        "-host",
        "127.0.0.1",
        "-upload-dir",
        str(folder),
        "-base-path",
        "/files/",
        *(hooks or ("-hooks-enabled-events", "")),
    ]
    headers = {"Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0"}
    with _process("tusd", [str(TUSD), *options, "-port"]) as (port, process_id):
        yield Server(Target("tusd", port, "/files/", headers, "Upload-Length"), process_id)


@contextmanager
def tusd_with_hook(folder: Path, on: Backing) -> Iterator[Server | None]:
    """Start tusd with a hook that does the work of the plain service (`tusd_hook.py`)."""
    command = [sys.executable, str(HERE / "tusd_hook.py")]
    with _process("hook", command, _plain_variables(on)) as (port, process_id):
        url = f"http://127.0.0.1:{port}/hook"
        options = ("-hooks-http", url, "-hooks-enabled-events", "pre-finish")
        with tusd(folder, *options) as server:
            if server is None:
                yield None
                return
            target = replace(server.target, name="tusd with hook")
            yield replace(server, target=target, helpers=(process_id,))


@contextmanager
def _process(
    name: str, command: list[str], variables: Mapping[str, str] | None = None
) -> Iterator[tuple[int, int]]:
    """Start a program that takes its port as the last argument; return port and process."""
    port = free_port()
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith("HEALTHINGEST_")
    }
    with (
        work_folder(None) as folder,
        running(
            [*as_user(None), *command, str(port)],
            folder=folder,
            environment=inherited | dict(variables or {}),
            ready=lambda: accepts_connections(port),
        ) as started,
    ):
        if started.process is None:
            raise AssertionError(name)
        yield port, started.process.pid
