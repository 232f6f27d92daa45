"""The outermost middleware: correlation id, log line, metrics, and the last exception handler."""

import time
from dataclasses import dataclass
from typing import Final, TypedDict

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, reset_contextvars

from healthingest_service.api.correlation import HEADER, correlation_id
from healthingest_service.api.problems import PROBLEMS, problem_response
from healthingest_service.identity.model import Principal
from healthingest_service.identity.throttling import Decision, Unit
from healthingest_service.telemetry.metrics import Metrics

REQUEST: Final = "http_request"
FAILED: Final = "http_request_failed"
UPLOAD_ROUTE: Final = "/v1/upload"
UNMATCHED: Final = "unmatched"
DISCONNECTED: Final = 499
_UPLOAD_OUTCOMES: Final = {200: "replayed", 201: "accepted", 204: "accepted"}
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
QUIET_ROUTES: Final = frozenset({"/health/live", "/health/ready", "/health/startup"})
_NO_PAGE: Final = "default-src 'none'; frame-ancestors 'none'"
"""What a browser may load for an answer that is no page, and who may show it in a frame."""
_ENCODED_SLASH: Final = b"%2f"


class _State(TypedDict, total=False):
    """The state of a request (`request.state`), which routes and handlers fill in."""

    correlation_id: str
    rate_limits: list[Decision]
    answer_headers: dict[str, str]
    problem_key: str
    principal: Principal
    decides_upload: bool
    """Whether the answer says what became of a file. Unset: that to `POST /v1/upload` does."""


@dataclass(slots=True)
class _Answer:
    """The response so far; `status` is None until its head is sent."""

    status: int | None = None


class Observer:
    """
    Observes every request.

    It sets the correlation id, writes one log line, counts, and answers unhandled exceptions with
    500. More than *max_concurrency* requests at once are answered with 503.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, max_concurrency: int) -> None:
        self._app = app
        self._metrics = metrics
        self._max_concurrency = max_concurrency
        self._in_flight = 0
        self._log = structlog.get_logger("healthingest.api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request as the class describes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state: _State = scope.setdefault("state", {})
        state["correlation_id"] = correlation_id(headers.get(HEADER), headers.get("traceparent"))
        state["rate_limits"] = []
        state["answer_headers"] = {}
        seen = _Answer()
        began = time.monotonic()

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                _add_headers(message, state)
            await send(message)

        self._in_flight += 1
        bound = bind_contextvars(correlation_id=state["correlation_id"])
        try:
            await self._guarded(scope, receive, observed, seen)
        finally:
            reset_contextvars(**bound)
            self._in_flight -= 1
            self._record(scope, state, seen.status or DISCONNECTED, time.monotonic() - began)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send, seen: _Answer) -> None:
        if self._in_flight > self._max_concurrency and scope["path"] not in QUIET_ROUTES:
            await _refuse(scope, receive, send, "overloaded", {"Retry-After": "1"})
            return
        # The router would treat an encoded slash as a path separator.
        if _ENCODED_SLASH in scope.get("raw_path", b"").lower():
            await _refuse(scope, receive, send, "not-found", {})
            return
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the outermost edge logs and answers
            self._log.error(FAILED, exc_info=error)
            if seen.status is None:
                await _refuse(scope, receive, send, "internal-error", {})

    def _record(self, scope: Scope, state: _State, status: int, seconds: float) -> None:
        route = _route(scope)
        problem = state.get("problem_key")
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        self._metrics.request_seconds.labels(method, route, str(status)).observe(seconds)
        outcome = _upload_outcome(route, method, status, state)
        if outcome is not None:
            self._metrics.uploads.labels(outcome).inc()
        if route in QUIET_ROUTES and status < 500:  # noqa: PLR2004 - not a server error
            return
        principal = state.get("principal")
        self._log.info(
            REQUEST,
            http_request_method=method,
            http_route=route,
            http_response_status_code=status,
            duration_seconds=round(seconds, 4),
            correlation_id=state["correlation_id"],
            problem=problem,
            account_id=None if principal is None else str(principal.account_id),
        )


def _upload_outcome(route: str, method: str, status: int, state: _State) -> str | None:
    """Return what became of a file; None: the request did not decide that."""
    if not state.get("decides_upload", (route, method) == (UPLOAD_ROUTE, "POST")):
        return None
    return state.get("problem_key") or _UPLOAD_OUTCOMES.get(status, "interrupted")


def _route(scope: Scope) -> str:
    route = getattr(scope.get("route"), "path", None)
    return route if isinstance(route, str) else UNMATCHED


def _add_headers(message: Message, state: _State) -> None:
    headers = MutableHeaders(scope=message)
    headers[HEADER] = state["correlation_id"]
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Cache-Control", "no-store")
    headers.setdefault("Content-Security-Policy", _NO_PAGE)
    headers.update(state["answer_headers"])
    for decision in state["rate_limits"]:
        rule = decision.rule
        rate = decision.rule.rate
        # draft-ietf-httpapi-ratelimit-headers-10: r = remaining requests, t = seconds until reset,
        # q = quota, qu = its unit, by default requests, w = window in seconds.
        headers.append(
            "RateLimit", f'"{rule.name}";r={decision.remaining};t={decision.retry_after_seconds}'
        )
        unit = "" if rule.unit is Unit.REQUESTS else f';qu="{rule.unit}"'
        headers.append(
            "RateLimit-Policy", f'"{rule.name}";q={rate.amount}{unit};w={rate.window_seconds}'
        )


async def _refuse(
    scope: Scope, receive: Receive, send: Send, code: str, headers: dict[str, str]
) -> None:
    state = scope["state"]
    state["problem_key"] = code
    response = problem_response(
        PROBLEMS[code], correlation_id=state["correlation_id"], headers=headers
    )
    await response(scope, receive, send)
