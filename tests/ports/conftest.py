"""Fixtures: both databases, migrated and empty, and servers with faults."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.migrate import migrate
from support.broken_dependencies import WrongPorts, wrong_ports
from support.servers.postgres import PostgresServer
from support.servers.rabbitmq import RabbitMQServer
from support.servers.redis import RedisServer
from support.servers.versitygw import S3Server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/health.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a migrated database."""
    await migrate(database_url, timeout_seconds=20)
    async with open_engine(database_url, pool_size=5, timeout_seconds=5) as opened:
        yield opened


@pytest.fixture
async def wrong(
    rabbitmq_server: RabbitMQServer,
    s3_gateway: S3Server,
    redis_server: RedisServer,
    postgres: PostgresServer,
    tmp_path: Path,
) -> AsyncIterator[WrongPorts]:
    """Servers with faults."""
    async with wrong_ports(rabbitmq_server, s3_gateway, redis_server, postgres, tmp_path) as found:
        yield found
