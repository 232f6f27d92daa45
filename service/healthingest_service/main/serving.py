"""Serves ASGI applications as work of a process, and shuts them down in order."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from starlette.types import ASGIApp

from healthingest_service.api.connection import ConnectionRules
from healthingest_service.api.server import Listen, bind, serve
from healthingest_service.health.board import HealthBoard
from healthingest_service.main.runtime import Work
from healthingest_service.telemetry.metrics import Metrics

STARTED: Final = "listening"


def serve_app(
    name: str, app: ASGIApp, listen: Listen, rules: ConnectionRules, metrics: Metrics
) -> Work:
    """Bind the port of *app* now, and return the work that serves it."""
    # Bind before any task begins, so that a port in use ends the process with a clear message.
    listening = bind(listen)

    async def work(stop: asyncio.Event) -> None:
        host, port, *_ = listening.getsockname()
        structlog.get_logger("healthingest.main").info(STARTED, server=name, host=host, port=port)
        refused = metrics.connections_refused
        await serve(
            app,
            listening,
            listen,
            stop,
            rules=rules,
            on_refused=lambda reason: refused.labels(reason).inc(),
        )

    return work


def with_shutdown_delay(serving: Work, health: HealthBoard, seconds: float) -> Work:
    """Return work that, once stopped, is not ready but still serves for *seconds*."""

    async def work(stop: asyncio.Event) -> None:
        late = asyncio.Event()

        async def leave() -> None:
            await stop.wait()
            health.leave()
            await asyncio.sleep(seconds)
            late.set()

        async with asyncio.TaskGroup() as tasks:
            leaving = tasks.create_task(leave())
            await serving(late)
            leaving.cancel()

    return work


async def run_until(stop: asyncio.Event, work: Sequence[Work], metrics_server: Work) -> None:
    """Run *work* until *stop* is set; the metrics port is served until all work has ended."""
    metrics_stop = asyncio.Event()
    async with asyncio.TaskGroup() as outer:
        outer.create_task(metrics_server(metrics_stop))
        try:
            async with asyncio.TaskGroup() as inner:
                for one in work:
                    inner.create_task(one(stop))
        finally:
            metrics_stop.set()
