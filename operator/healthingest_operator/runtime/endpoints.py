"""The HTTP endpoints of the operator: /healthz for the kubelet, /metrics for Prometheus."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


@dataclass(frozen=True, slots=True)
class ListenPorts:
    """TCP ports of the endpoints; 0: any free port."""

    health: int
    metrics: int


@asynccontextmanager
async def endpoints(
    ports: ListenPorts,
    registry: CollectorRegistry,
    refresh: Callable[[], None],
    is_alive: Callable[[], bool],
) -> AsyncIterator[None]:
    """
    Serve both ports within the context.

    *refresh* updates the gauges before each scrape; *is_alive* decides the status of /healthz.
    """

    async def healthz(_: web.Request) -> web.Response:
        alive = is_alive()
        return web.json_response(
            {"status": "ok" if alive else "watches are silent"}, status=200 if alive else 503
        )

    async def metrics(_: web.Request) -> web.Response:
        refresh()
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    runners = [
        await _serve(ports.health, "/healthz", healthz),
        await _serve(ports.metrics, "/metrics", metrics),
    ]
    try:
        yield
    finally:
        for runner in runners:
            await runner.cleanup()


async def _serve(port: int, path: str, handler: Callable[[web.Request], object]) -> web.AppRunner:
    application = web.Application()
    # mypy: aiohttp accepts coroutine functions
    application.router.add_get(path, handler)  # type: ignore[arg-type]
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
