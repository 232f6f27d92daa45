"""The upload API as `main` composes it: embedded adapters, in process, without a socket."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from fastapi import FastAPI

from healthingest_service.adapters.folder import FolderStore
from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.app import create_app
from healthingest_service.health.board import HealthBoard
from healthingest_service.main.api import api_dependencies, open_api_ports
from healthingest_service.main.decorators import Decorators
from healthingest_service.main.erasure import make_erase_data
from healthingest_service.main.runtime import (
    LOCAL_BUCKET,
    Runtime,
    Store,
    database_url,
    objects_folder,
    open_runtime,
    open_store,
)
from healthingest_service.main.tracing import open_tracing
from healthingest_service.settings import Settings
from support.migrated import migrate_by_copy

PASSWORD: Final = "correct horse battery"
AVRO: Final = {"Content-Type": "application/avro"}


@dataclass(frozen=True)
class Edge:
    """One API and a client for it."""

    app: FastAPI
    deps: ApiDependencies
    runtime: Runtime
    http: httpx.AsyncClient
    folder: Path

    async def registered(self, email: str | None = None) -> str:
        """Return the e-mail address of a new account."""
        email = email or f"{secrets.token_hex(6)}@clinic.example"
        answer = await self.http.post("/auth/register", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        return email

    async def login(self, email: str, password: str = PASSWORD) -> httpx.Response:
        """Return the answer to a login."""
        return await self.http.post(
            "/auth/jwt/login", data={"username": email, "password": password}
        )

    async def signed_in(self) -> dict[str, str]:
        """Return the headers for a new account."""
        tokens = (await self.login(await self.registered())).json()
        return {"Authorization": f"Bearer {tokens['access_token']}"}

    # ANN401: as httpx takes it
    async def upload(self, content: Any, headers: dict[str, str]) -> httpx.Response:  # noqa: ANN401
        """Return the answer to an upload."""
        return await self.http.post("/v1/upload", content=content, headers=AVRO | headers)

    async def erase(self) -> None:
        """Do the janitor's work on erasures until none is due."""
        store = Store(FolderStore(objects_folder(self.runtime.settings)), LOCAL_BUCKET)
        erasing = make_erase_data(self.runtime, store, Decorators())
        while await erasing.erase_next() is not None:
            pass

    def objects(self) -> list[Path]:
        """Return every stored file."""
        return sorted((self.folder / "objects").rglob("*.avro"))


@asynccontextmanager
# ANN401: groups of settings
async def open_edge(folder: Path, **groups: Any) -> AsyncIterator[Edge]:  # noqa: ANN401
    """Open an API with new embedded adapters in *folder*; *groups* are those of `Settings`."""
    settings = Settings(data_folder=folder, **groups)
    await migrate_by_copy(database_url(settings))
    async with AsyncExitStack() as stack:
        tracing = open_tracing(settings, service="healthingest-api", version="1")
        runtime = await open_runtime(
            settings, stack, tracing=await stack.enter_async_context(tracing)
        )
        store = await open_store(runtime, stack)
        ports = await open_api_ports(
            runtime, stack, store, decorate=Decorators(), checks_broker=True
        )
        checks = (*runtime.checks, store.check, *ports.checks)
        health = HealthBoard(
            checks, metrics=runtime.metrics, interval_seconds=60, timeout_seconds=2
        )
        deps = api_dependencies(runtime, ports, health)
        app = create_app(deps)
        transport = httpx.ASGITransport(app=app, client=("192.0.2.1", 50_000))
        http = await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://test")
        )
        yield Edge(app, deps, runtime, http, folder)
