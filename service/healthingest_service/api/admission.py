"""Middleware that refuses logins while all slots for password hashing are taken."""

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from healthingest_service.api.problems import PROBLEMS, UNAVAILABLE, problem_response

_HASHING_ROUTES: Final = frozenset(
    {
        ("DELETE", "/auth/me"),
        ("POST", "/auth/change-password"),
        ("POST", "/auth/jwt/login"),
        ("POST", "/auth/reset-password"),
        ("POST", "/auth/register"),
        ("POST", "/ui/session"),
    }
)
_KEY: Final = f"{UNAVAILABLE}/accounts"
_RETRY_SECONDS: Final = "2"


class PasswordAdmission:
    """
    Refuses requests with a password before the body is read, while the hashing queue is full.

    So a flood of logins does not slow down uploads on the same event loop. The middleware reserves
    no slot, because a client that sends its body slowly must not hold one.
    """

    def __init__(self, app: ASGIApp, *, is_full: Callable[[], bool]) -> None:
        self._app = app
        self._is_full = is_full

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 503 if the queue is full, else pass the request on."""
        if _hashes(scope) and self._is_full():
            state = scope["state"]
            state["problem_key"] = _KEY
            response = problem_response(
                PROBLEMS[_KEY],
                correlation_id=state["correlation_id"],
                headers={"Retry-After": _RETRY_SECONDS},
            )
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _hashes(scope: Scope) -> bool:
    return scope["type"] == "http" and (scope["method"], scope["path"]) in _HASHING_ROUTES
