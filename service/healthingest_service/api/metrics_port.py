"""The application of the metrics port: metrics, probes and the states of dependencies."""

from dataclasses import asdict

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from healthingest_service.health.board import HealthBoard
from healthingest_service.telemetry.metrics import CONTENT_TYPE, Metrics


def create_metrics_app(metrics: Metrics, health: HealthBoard, *, decisive: str) -> Starlette:
    """
    Return the application of the metrics port; every process has one.

    Its readiness is the outcome of the check named *decisive*.
    """

    async def metrics_text(_request: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> Response:
        outcome = health.outcomes.get(decisive)
        is_ready = outcome is None or outcome.up  # ready also before the first round of checks
        return JSONResponse(
            {"status": "ok" if is_ready else "stalled"}, status_code=200 if is_ready else 503
        )

    async def dependencies(_request: Request) -> Response:
        outcomes = {name: asdict(one) for name, one in sorted(health.outcomes.items())}
        return JSONResponse(
            {"ready": health.is_ready, "started": health.has_started, "dependencies": outcomes}
        )

    return Starlette(
        routes=[
            Route("/metrics", metrics_text),
            Route("/health/live", live),
            Route("/health/ready", ready),
            Route("/health/dependencies", dependencies),
        ]
    )
