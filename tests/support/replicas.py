"""API processes on fixed ports that are killed and replaced, as pods are."""

import asyncio
import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from healthingest_service.adapters.database.migrate import migrate
from support.deadlines import HANG_SECONDS
from support.servers.postgres import postgres_server
from support.servers.process import free_port
from support.servers.redis import redis_server
from support.servers.versitygw import S3Server, s3_server
from support.service_process import ServiceProcess, service


@dataclass
class Replica:
    """An API process on a fixed port, which can be replaced by a new one."""

    folder: Path
    settings: dict[str, str]
    stack: ExitStack
    port: int
    process: ServiceProcess
    kills: int = 0

    @classmethod
    def started(cls, folder: Path, settings: dict[str, str], stack: ExitStack) -> "Replica":
        """Start a process."""
        port = free_port()
        more = settings | {"SERVER__PORT": str(port)}
        return cls(folder, more, stack, port, stack.enter_context(service(folder, **more)))

    def replace(self) -> None:
        """Kill the process, and start another one."""
        self.process.end(signal.SIGKILL)
        self.kills += 1
        own = self.folder / f"again-{self.kills}"
        self.process = self.stack.enter_context(service(own, **self.settings))
        self.process.wait_until_ready()


def started_replicas(stack: ExitStack, folder: Path, **limits: str) -> list[Replica]:
    """Start two replicas that share database, bucket and cache, with limits for many."""
    database_url = stack.enter_context(stack.enter_context(postgres_server()).database())
    store = stack.enter_context(s3_server()).new_bucket()
    cache = stack.enter_context(redis_server())
    asyncio.run(migrate(database_url, timeout_seconds=HANG_SECONDS))
    settings = _settings(database_url, store, folder) | {"CACHE__URL": cache.url} | limits
    replicas = [Replica.started(folder / name, settings, stack) for name in ("one", "two")]
    for one in replicas:
        one.process.wait_until_ready()
    return replicas


def _settings(database_url: str, store: S3Server, folder: Path) -> dict[str, str]:
    return {
        "DATABASE__URL": database_url,
        "STORE__BUCKET": store.bucket,
        "STORE__ENDPOINT": store.endpoint,
        "STORE__ACCESS_KEY_ID": store.access_key_id,
        "STORE__SECRET_ACCESS_KEY": store.secret_access_key,
        "LIMITS__UPLOADS": "100000/minute",
        "LIMITS__REQUESTS": "100000/minute",
        "DATA_FOLDER": str(folder / "shared"),
    }


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
