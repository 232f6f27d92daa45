"""
The baseline: the service's HTTP server and middleware with a handler that discards the body.

Usage: `… PORT`.
"""

import asyncio
import signal
import sys

import uvloop
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from healthingest_service.api.middleware import Observer
from healthingest_service.api.server import Listen, bind, serve
from healthingest_service.main.api import connection_rules
from healthingest_service.settings import Settings
from healthingest_service.telemetry.metrics import Metrics


async def discard(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    size_bytes = 0
    async for chunk in Request(scope, receive).stream():
        size_bytes += len(chunk)
    await JSONResponse({"size_bytes": size_bytes}, 201)(scope, receive, send)


async def main(port: int) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    listen = Listen("127.0.0.1", port, 5)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = Observer(discard, metrics=Metrics.create(), max_concurrency=500)
    await serve(app, bind(listen), listen, stop, rules=connection_rules(Settings()))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as in the service
        runner.run(main(int(sys.argv[1])))
