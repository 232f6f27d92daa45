"""
Fixtures of private servers.

Each starts at its first use, and gives every test its own namespace.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from support.servers.apiserver import ApiServer
from support.servers.pool import PoolServer, RemotePool, ServerPool
from support.servers.postgres import PostgresServer
from support.servers.process import ServerUnavailableError
from support.servers.rabbitmq import RabbitMQServer, rabbitmq_server
from support.servers.redis import RedisServer
from support.servers.versitygw import S3Server

_POOL = pytest.StashKey[ServerPool | RemotePool]()
_ADDRESS = "healthingest_pool_address"
_KEY = "healthingest_pool_key"


class _Nodes:
    """Hooks of pytest-xdist, which are unknown where it is not in use."""

    def __init__(self, server: PoolServer) -> None:
        self._server = server

    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - xdist has no types
        """Tell a worker where the servers of the run are."""
        node.workerinput[_ADDRESS] = self._server.address
        node.workerinput[_KEY] = self._server.key


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """The first process of a run owns the servers; workers of pytest-xdist ask it for them."""
    given = getattr(config, "workerinput", None)
    if given is not None:
        config.stash[_POOL] = RemotePool(given[_ADDRESS], given[_KEY])
        return
    pool = config.stash[_POOL] = ServerPool()
    if config.pluginmanager.hasplugin("dsession"):
        config.pluginmanager.register(_Nodes(PoolServer(pool)))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers that this process owns."""
    pool = config.stash.get(_POOL, None)
    if isinstance(pool, ServerPool):
        pool.close()


# ANN401: each fixture names its class
def _server(request: pytest.FixtureRequest, kind: str) -> Any:  # noqa: ANN401
    """Return the server of the run, or skip the test with the reason."""
    try:
        return request.config.stash[_POOL].get(kind)
    except ServerUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session", name="postgres")
def _postgres(request: pytest.FixtureRequest) -> PostgresServer:
    server: PostgresServer = _server(request, "postgres")
    return server


@pytest.fixture(name="postgres_url")
def _postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A new, empty database: `postgresql://…`, as its owner."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session", name="redis_server")
def _redis_server(request: pytest.FixtureRequest) -> RedisServer:
    server: RedisServer = _server(request, "redis")
    return server


@pytest.fixture(name="redis_url")
def _redis_url(redis_server: RedisServer) -> str:
    """A Redis that all tests share: choose your own key prefix."""
    return redis_server.url


@pytest.fixture(scope="session", name="rabbitmq_server")
def _rabbitmq_server(request: pytest.FixtureRequest) -> RabbitMQServer:
    server: RabbitMQServer = _server(request, "rabbitmq")
    return server


@pytest.fixture(name="rabbitmq")
def _rabbitmq(rabbitmq_server: RabbitMQServer) -> Iterator[RabbitMQServer]:
    """The broker with a new virtual host; `amqp_url` names it."""
    with rabbitmq_server.new_virtual_host() as server:
        yield server


@pytest.fixture(scope="module", name="own_broker")
def _own_broker() -> Iterator[RabbitMQServer]:
    """
    A broker that no other module uses.

    For tests that change what holds for all its virtual hosts.
    """
    try:
        with rabbitmq_server() as server:
            if server.process is None:
                pytest.skip("no rabbitmqctl: the broker runs in a container")
            yield server
    except ServerUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(name="own_rabbitmq")
def _own_rabbitmq(own_broker: RabbitMQServer) -> Iterator[RabbitMQServer]:
    """The module's own broker with a new virtual host."""
    with own_broker.new_virtual_host() as server:
        yield server


@pytest.fixture(scope="session", name="s3_gateway")
def _s3_gateway(request: pytest.FixtureRequest) -> S3Server:
    server: S3Server = _server(request, "s3")
    return server


@pytest.fixture(name="s3_server")
def _s3_server(s3_gateway: S3Server) -> S3Server:
    """The S3 server with a new, empty bucket."""
    return s3_gateway.new_bucket()


@pytest.fixture(scope="session", name="apiserver")
def _apiserver(request: pytest.FixtureRequest) -> ApiServer:
    """One control plane for the run: use a namespace of your own."""
    server: ApiServer = _server(request, "apiserver")
    return server
