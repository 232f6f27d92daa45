"""
Watches of children, which request only metadata and keep no object.

kopf would keep a state and, for some seconds, a task for each watched object. With fourteen
children of each HealthIngest that would be most of the operator's memory. Source: Kubernetes docs,
"Kubernetes API Concepts" (watches, bookmarks, metadata-only requests).
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from healthingest_operator.adapters.kubernetes.cluster import (
    METADATA,
    METADATA_LIST,
    KubernetesCluster,
)
from healthingest_operator.reconcile.errors import ClusterError

_GONE: Final = 410
_REFUSED: Final = frozenset({403, 404})
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class WatchCallbacks:
    """
    The callbacks of a watch.

    `changed`: namespace and metadata of an object that was created, changed or deleted.
    `lost`: changes may have been missed.
    `opened`: the server has accepted the watch of this path.
    `refused`: the server has refused it, because the path does not exist or is forbidden; the watch
    tries again.
    """

    changed: Callable[[str | None, Mapping[str, Any]], None]
    lost: Callable[[], None]
    opened: Callable[[str], None]
    refused: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ChildWatch:
    """
    Watches objects with the labels of *selector*.

    The server is asked to end each watch after *seconds*.
    """

    cluster: KubernetesCluster
    selector: str
    seconds: int
    callbacks: WatchCallbacks

    async def run(self, path: str) -> NoReturn:
        """
        Watch the objects of *path* until cancelled.

        Objects that exist at the beginning are not reported.
        """
        version: str | None = None
        pause = _FIRST_PAUSE_SECONDS
        first = True
        self.callbacks.opened(path)
        while True:
            try:
                if version is None:
                    version = await self._now(path)
                    if not first:
                        self.callbacks.lost()
                    first = False
                version = await self._follow(path, version)
                pause = _FIRST_PAUSE_SECONDS
            except ClusterError as error:
                version = None if error.status == _GONE else version
                if error.status in _REFUSED:
                    self.callbacks.refused(path)
                # S311: jitter, not a secret
                await asyncio.sleep(pause * (0.5 + 0.5 * random.random()))  # noqa: S311
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _now(self, path: str) -> str:
        """Return the collection's current resource version, from a list request for one object."""
        query = [("labelSelector", self.selector), ("limit", "1")]
        found = await self.cluster.call("GET", path, query=query, accept=METADATA_LIST)
        return str((found or {})["metadata"]["resourceVersion"])

    async def _follow(self, path: str, version: str) -> str:
        """
        Report changes after *version*; returns the version of the last change.

        Raises:
            ClusterError: the watch was refused or interrupted; status 410: changes after *version*
                are no longer available.
        """
        query = [
            ("labelSelector", self.selector),
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(self.seconds)),
            ("resourceVersion", version),
        ]
        async for event in self.cluster.stream(
            path, query=query, accept=METADATA, seconds=self.seconds
        ):
            if event is None:
                self.callbacks.opened(path)
                continue
            about = event["object"]
            if event["type"] == "ERROR":
                # A list request gives a valid version after every kind of error.
                raise ClusterError(_GONE, f"the watch of {path} ends: {about.get('reason')}")
            version = about["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                self.callbacks.changed(about["metadata"].get("namespace"), about["metadata"])
        return version
