"""
Signs of life of the watches: a watch that is silent for long is dead, whatever the event loop says.

The API server is asked to end every watch after `WATCH_SECONDS`, and kopf opens it anew at once, from where it was. So
each opening that succeeds is the sign, and its absence means that the operator no longer hears of changes.
"""

import types
from collections.abc import Callable
from typing import Final

import aiohttp

WATCH_SECONDS: Final = 50
SILENCE_SECONDS: Final = 150
"""Three openings missed; kopf itself gives up a silent connection after 70 seconds."""


class Watches:
    """When each watch was last opened; *clock* gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._opened: dict[str, float] = {}

    def opened(self, path: str) -> None:
        """The server has answered a watch of *path*."""
        self._opened[path] = self._clock()

    def age_seconds(self) -> float:
        """Since the oldest sign of life; 0 before there was any."""
        return max((self._clock() - opened for opened in self._opened.values()), default=0.0)

    def are_alive(self) -> bool:
        """Whether every watch has given a sign lately."""
        return self.age_seconds() < SILENCE_SECONDS

    def tracing(self) -> aiohttp.TraceConfig:
        """For the session that the watches run in."""
        trace = aiohttp.TraceConfig()

        async def ended(
            _: aiohttp.ClientSession, __: types.SimpleNamespace, request: aiohttp.TraceRequestEndParams
        ) -> None:
            if request.url.query.get("watch") == "true" and request.response.ok:
                self.opened(request.url.path)

        trace.on_request_end.append(ended)
        return trace
