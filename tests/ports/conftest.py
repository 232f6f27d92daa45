"""Fixtures: both databases, migrated and empty, and servers with faults."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.engine import is_postgresql, open_engine
from healthingest_service.adapters.folder import FolderStore
from healthingest_service.adapters.folder_erasure_log import FolderErasureLog
from healthingest_service.adapters.s3.erasure_log import S3ErasureLog
from healthingest_service.adapters.s3.store import open_s3_store
from support.broken_dependencies import WrongPorts, wrong_ports
from support.deadlines import HANG_SECONDS
from support.erasures import ErasureWorld
from support.migrated import migrate_by_copy, migrated_template
from support.s3 import access_to
from support.servers.postgres import PostgresServer
from support.servers.rabbitmq import RabbitMQServer
from support.servers.redis import RedisServer
from support.servers.versitygw import S3Server

NODE_TOOLS: Final = Path(__file__).parents[1] / "tools" / "node"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/health.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
async def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The address of a migrated database without rows, of each kind."""
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path}/health.db"
        await migrate_by_copy(url)
        yield url
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database(template=await migrated_template(server.address)) as url:
        yield url


@pytest.fixture
async def engine(migrated_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a migrated database."""
    async with open_engine(migrated_url, pool_size=5, timeout_seconds=5) as opened:
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


@pytest.fixture
async def world(
    engine: AsyncEngine, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[ErasureWorld]:
    """A world of erasures: on SQLite with a folder, and on PostgreSQL with an S3 server."""
    if not is_postgresql(engine):
        root = tmp_path / "objects"
        yield ErasureWorld(engine, FolderStore(root), FolderErasureLog(root), tmp_path)
        return
    access = access_to(request.getfixturevalue("s3_server"))
    async with open_s3_store(access) as store:
        await store.bucket.client.put_bucket_versioning(
            Bucket=access.bucket, VersioningConfiguration={"Status": "Enabled"}
        )
        yield ErasureWorld(engine, store, S3ErasureLog(store.bucket), tmp_path)


@pytest.fixture(scope="session")
def node_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts of tests/tools/node and the packages that they need."""
    if shutil.which("npm") is None:
        pytest.skip("needs Node.js with npm")
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(
        NODE_TOOLS, folder, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True
    )
    command = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    subprocess.run(command, cwd=folder, check=True, timeout=HANG_SECONDS, capture_output=True)
    return folder
