"""What the operator serves: /healthz for the kubelet, /metrics for Prometheus."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


@asynccontextmanager
async def endpoints(
    health_port: int, metrics_port: int, registry: CollectorRegistry, refresh: Callable[[], None]
) -> AsyncIterator[None]:
    """Serve both ports; *refresh* brings gauges up to date before each scrape."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def metrics(_: web.Request) -> web.Response:
        refresh()
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    runners = [await _serve(health_port, "/healthz", healthz), await _serve(metrics_port, "/metrics", metrics)]
    try:
        yield
    finally:
        for runner in runners:
            await runner.cleanup()


async def _serve(port: int, path: str, handler: Callable[[web.Request], object]) -> web.AppRunner:
    application = web.Application()
    application.router.add_get(path, handler)  # type: ignore[arg-type] # a coroutine function is one
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
