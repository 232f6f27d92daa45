"""
Liveness of the watches: a watch that was not reopened for long reports no changes any more.

The API server is asked to end every watch after `WATCH_SECONDS`, and kopf reopens it at once, from
the same version. So every watch is opened successfully within that time. A refused watch of a
single namespace does not count: the namespace is deleted, or the operator has no rights in it. A
restart would not help, and would interrupt the work for all other namespaces.
"""

import re
import types
from collections.abc import Callable
from typing import Final, Protocol

import aiohttp

WATCH_SECONDS: Final = 50
SILENCE_SECONDS: Final = 150
"""Three missed openings; kopf itself closes a silent connection after 70 seconds."""
REFUSALS: Final = frozenset({403, 404})
"""HTTP statuses for a namespace that does not exist or is forbidden."""

_NAMESPACE: Final = re.compile("/namespaces/([^/]+)/")

_OPTIONAL: Final = "/apis/gateway.networking.k8s.io/"
"""Root of the paths that a cluster may not have; a refusal then says nothing about the watches."""


def _ignored(_: str, *, served: bool) -> None:
    del served


class NamespaceChanged(Protocol):
    """Called when a namespace is no longer served, or served again."""

    def __call__(self, namespace: str, /, *, served: bool) -> None:
        """*served*: False when the namespace's first watch is refused, True when all are open."""


class Watches:
    """
    The time when each watch was last opened, and the refused ones.

    *clock* gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float], changed: NamespaceChanged = _ignored) -> None:
        self._clock = clock
        self._changed = changed
        self._opened: dict[str, float] = {}
        self._refused: dict[str, set[str]] = {}

    def opened(self, path: str) -> None:
        """Record that the server has accepted a watch of *path*."""
        self._opened[path] = self._clock()
        namespace = _namespace(path)
        paths = self._refused.get(namespace, set())
        paths.discard(path)
        if not paths and self._refused.pop(namespace, None) is not None:
            self._changed(namespace, served=True)

    def refused(self, path: str) -> None:
        """
        Record that the server has refused a list or watch of *path* with one of `REFUSALS`.

        A refused path of the whole cluster counts as a failure.
        """
        if path.startswith(_OPTIONAL):
            self._opened.pop(path, None)
            return
        namespace = _namespace(path)
        if not namespace:
            return
        self._opened.pop(path, None)
        if namespace not in self._refused:
            self._changed(namespace, served=False)
        self._refused.setdefault(namespace, set()).add(path)

    def refused_namespaces(self) -> int:
        """Return the number of namespaces that are not served, because a watch is refused."""
        return len(self._refused)

    def age_seconds(self) -> float:
        """Return the seconds since the oldest opening of a watch; 0 without watches."""
        return max((self._clock() - opened for opened in self._opened.values()), default=0.0)

    def are_alive(self) -> bool:
        """Whether every watch was opened recently."""
        return self.age_seconds() < SILENCE_SECONDS

    def tracing(self) -> aiohttp.TraceConfig:
        """Return a trace configuration for the HTTP session of the watches."""
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
    """Return the namespace in a path of the Kubernetes API; empty: the whole cluster."""
    found = _NAMESPACE.search(path)
    return found[1] if found else ""
