"""
Watches of children: of each change the metadata alone, and nothing is kept of any object.

kopf keeps a memory and for some seconds a task for each object that it watches; with fourteen
children to each HealthIngest that is most of an operator's memory, for a question that labels and
owners answer. Source: Kubernetes documentation, "Kubernetes API Concepts" (watches, bookmarks,
metadata-only requests).
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
class Told:
    """
    What a watch tells.

    `changed`: namespace and metadata of an object that is new, another one, or gone. `lost`:
    changes may have passed unseen. `opened`: the server has answered the watch of this path.
    `refused`: it has refused it, because there is no such path or no right to it; it is asked again
    all the same.
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
    told: Told

    async def run(self, path: str) -> NoReturn:
        """
        Watch the objects of *path* until cancelled.

        What is there at the beginning is not told.
        """
        version: str | None = None
        pause, first = _FIRST_PAUSE_SECONDS, True
        self.told.opened(path)
        while True:
            try:
                if version is None:
                    version = await self._now(path)
                    if not first:
                        self.told.lost()
                    first = False
                version = await self._follow(path, version)
                pause = _FIRST_PAUSE_SECONDS
            except ClusterError as error:
                version = None if error.status == _GONE else version
                if error.status in _REFUSED:
                    self.told.refused(path)
                await asyncio.sleep(pause * (0.5 + 0.5 * random.random()))  # noqa: S311 - spreads, hides nothing
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _now(self, path: str) -> str:
        """The version from which to watch: that of a list, of which one element is enough."""
        query = [("labelSelector", self.selector), ("limit", "1")]
        found = await self.cluster.call("GET", path, query=query, accept=METADATA_LIST)
        return str((found or {})["metadata"]["resourceVersion"])

    async def _follow(self, path: str, version: str) -> str:
        """
        Tell what changes after *version*; returns the version of the last change.

        Raises:
            ClusterError: the watch was refused or broke off; status 410: what came after *version*
                is not known now.
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
                self.told.opened(path)
                continue
            about = event["object"]
            if event["type"] == "ERROR":
                # Whatever it was: a new list is always right.
                raise ClusterError(_GONE, f"the watch of {path} ends: {about.get('reason')}")
            version = about["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                self.told.changed(about["metadata"].get("namespace"), about["metadata"])
        return version
