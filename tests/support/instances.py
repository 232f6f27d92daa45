"""Fixtures of private servers: each starts when a test first asks, and gives every test its own room."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

import pytest

from support.servers.apiserver import ApiServer
from support.servers.apiserver import apiserver as start_apiserver
from support.servers.postgres import PostgresServer, postgres_server
from support.servers.process import ServerUnavailableError
from support.servers.rabbitmq import RabbitMQServer, rabbitmq_server
from support.servers.redis import RedisServer, redis_server
from support.servers.versitygw import S3Server
from support.servers.versitygw import s3_server as start_s3_server

Server = TypeVar("Server")


def _run(server: AbstractContextManager[Server]) -> Iterator[Server]:
    """Enter *server* for the whole run; a server that cannot be had skips the test with the reason."""
    try:
        running = server.__enter__()
    except ServerUnavailableError as error:
        pytest.skip(str(error))
    try:
        yield running
    finally:
        server.__exit__(None, None, None)


@pytest.fixture(scope="session", name="postgres")
def _postgres() -> Iterator[PostgresServer]:
    yield from _run(postgres_server())


@pytest.fixture(name="postgres_url")
def _postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A new, empty database: `postgresql://…`, as its owner."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session", name="redis_server")
def _redis_server() -> Iterator[RedisServer]:
    yield from _run(redis_server())


@pytest.fixture(name="redis_url")
def _redis_url(redis_server: RedisServer) -> str:
    """A Redis that all tests share: choose your own key prefix."""
    return redis_server.url


@pytest.fixture(scope="session", name="rabbitmq_server")
def _rabbitmq_server() -> Iterator[RabbitMQServer]:
    yield from _run(rabbitmq_server())


@pytest.fixture(name="rabbitmq")
def _rabbitmq(rabbitmq_server: RabbitMQServer) -> Iterator[RabbitMQServer]:
    """The broker with a new virtual host; `amqp_url` names it."""
    with rabbitmq_server.new_virtual_host() as server:
        yield server


@pytest.fixture(scope="session", name="s3_gateway")
def _s3_gateway() -> Iterator[S3Server]:
    yield from _run(start_s3_server())


@pytest.fixture(name="s3_server")
def _s3_server(s3_gateway: S3Server) -> S3Server:
    """The S3 server with a new, empty bucket."""
    return s3_gateway.new_bucket()


@pytest.fixture(scope="session", name="apiserver")
def _apiserver() -> Iterator[ApiServer]:
    """One control plane for the run: use a namespace of your own."""
    yield from _run(start_apiserver())
