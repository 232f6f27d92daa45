"""
Signs of life of the watches: a watch that is silent for long is dead, whatever the event loop says.

The API server is asked to end every watch after `WATCH_SECONDS`, and kopf opens it anew at once,
from where it was. So each opening that succeeds is the sign, and its absence means that the
operator no longer hears of changes.

A watch of one namespace that is refused is none of the silent ones: the namespace is gone, or the
operator's rights in it are. A restart would change nothing about that, and would take the operator
away from all other namespaces.
"""

import re
import types
from collections.abc import Callable
from typing import Final, Protocol

import aiohttp

WATCH_SECONDS: Final = 50
SILENCE_SECONDS: Final = 150
"""Three openings missed; kopf itself gives up a silent connection after 70 seconds."""
REFUSALS: Final = frozenset({403, 404})
"""Statuses of a namespace that is gone or in which the operator has no rights."""

_NAMESPACE: Final = re.compile("/namespaces/([^/]+)/")


def _ignored(_: str, *, served: bool) -> None:
    del served


class NamespaceChanged(Protocol):
    """WatchCallbacks when a namespace is served no longer, or again."""

    def __call__(self, namespace: str, /, *, served: bool) -> None:
        """*served*: False when the namespace's first watch is refused, True when all are open."""


class Watches:
    """When each watch was last opened, and which are refused; *clock* gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float], changed: NamespaceChanged = _ignored) -> None:
        self._clock = clock
        self._changed = changed
        self._opened: dict[str, float] = {}
        self._refused: dict[str, set[str]] = {}

    def opened(self, path: str) -> None:
        """The server has answered a watch of *path*."""
        self._opened[path] = self._clock()
        namespace = _namespace(path)
        paths = self._refused.get(namespace, set())
        paths.discard(path)
        if not paths and self._refused.pop(namespace, None) is not None:
            self._changed(namespace, served=True)

    def refused(self, path: str) -> None:
        """
        The server has refused a list or watch of *path* (`REFUSALS`).

        Without a namespace that is a failure.
        """
        namespace = _namespace(path)
        if not namespace:
            return
        self._opened.pop(path, None)
        if namespace not in self._refused:
            self._changed(namespace, served=False)
        self._refused.setdefault(namespace, set()).add(path)

    def refused_namespaces(self) -> int:
        """How many namespaces are not served now, because a watch in them is refused."""
        return len(self._refused)

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
            _: aiohttp.ClientSession,
            __: types.SimpleNamespace,
            request: aiohttp.TraceRequestEndParams,
        ) -> None:
            if request.method != "GET":
                return
            if request.response.status in REFUSALS:
                self.refused(request.url.path)
            elif request.url.query.get("watch") == "true" and request.response.ok:
                self.opened(request.url.path)

        trace.on_request_end.append(ended)
        return trace


def _namespace(path: str) -> str:
    """The namespace of a path of the Kubernetes API; empty for all of them."""
    found = _NAMESPACE.search(path)
    return found[1] if found else ""
