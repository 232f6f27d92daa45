"""The application of the public port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from healthingest_service.api import accounts, health, uploads
from healthingest_service.api.middleware import Observer
from healthingest_service.api.openapi import ProblemView
from healthingest_service.api.problems import RequestRefusedError, answer
from healthingest_service.api.wire import Wire
from healthingest_service.identity.errors import IdentityError
from healthingest_service.uploads.errors import UploadError

TITLE: Final = "HealthIngest upload API"


def create_app(wire: Wire) -> FastAPI:
    """An application on *wire*; while it lives, the readiness of its dependencies is watched."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(wire.health.run(stop))
            try:
                yield
            finally:
                stop.set()

    app = FastAPI(title=TITLE, version=wire.version, lifespan=lifespan, redoc_url=None, redirect_slashes=False)
    app.state.wire = wire
    for error in (UploadError, IdentityError, RequestRefusedError, RequestValidationError, HTTPException):
        app.add_exception_handler(error, answer)
    for router in (uploads.routes(), accounts.routes(), health.routes()):
        app.include_router(router)
    app.add_middleware(Observer, metrics=wire.metrics, max_concurrency=wire.max_concurrency)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign] # FastAPI's documented way to extend it
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        components = document.setdefault("components", {})
        schema = ProblemView.model_json_schema(ref_template="#/components/schemas/{model}")
        components.setdefault("schemas", {}).update(schema.pop("$defs", {}), ProblemView=schema)
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
        for path, methods in document["paths"].items():
            for operation in methods.values():
                if path.startswith("/v1/") or path.endswith("/logout"):
                    operation["security"] = [{"bearer": []}]
        app.openapi_schema = document
    return app.openapi_schema
