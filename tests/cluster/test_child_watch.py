"""Watches of children on a real apiserver."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from healthingest_operator.adapters.kubernetes.child_watch import ChildWatch, WatchCallbacks
from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster
from support.deadlines import HANG_SECONDS

LABELS = {"watched": "yes"}
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


class Ears:
    """What was told, and a way to wait for it."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[str] = asyncio.Queue()
        self.whole: list[Mapping[str, Any]] = []

    @property
    def callbacks(self) -> WatchCallbacks:
        """As the watch takes them."""
        return WatchCallbacks(
            self._changed, lambda: self.told.put_nowait("lost"), self.told.put_nowait, self._refused
        )

    def _refused(self, path: str) -> None:
        self.told.put_nowait(f"refused {path}")

    def _changed(self, namespace: str | None, metadata: Mapping[str, Any]) -> None:
        self.whole.append(metadata)
        self.told.put_nowait(f"{namespace}/{metadata['name']}")

    async def hear(self) -> str:
        """The next thing that is told."""
        async with asyncio.timeout(HANG_SECONDS):
            return await self.told.get()


def config_map(name: str, labels: dict[str, str], value: str) -> dict[str, Any]:
    """With something in it."""
    return {"metadata": {"name": name, "labels": labels}, "data": {"key": value}}


async def test_changes_are_told_and_nothing_else(cluster: KubernetesCluster) -> None:
    """
    Not what was there, not what has other labels, not what is in an object.

    A watch that ends is opened anew.
    """
    await cluster.call("POST", CONFIG_MAPS, body=config_map("before", LABELS, "old"))
    callbacks = Ears()
    watching = asyncio.create_task(
        ChildWatch(cluster, "watched=yes", 1, callbacks.callbacks).run(CONFIG_MAPS)
    )
    try:
        assert [await callbacks.hear(), await callbacks.hear()] == [CONFIG_MAPS, CONFIG_MAPS]
        await cluster.call("POST", CONFIG_MAPS, body=config_map("other", {}, "new"))
        for _ in range(2):
            while await callbacks.hear() != CONFIG_MAPS:
                pytest.fail("nothing was changed that is watched")
        await cluster.call("DELETE", f"{CONFIG_MAPS}/before")
        heard = await callbacks.hear()
        while heard == CONFIG_MAPS:
            heard = await callbacks.hear()
        assert heard == "default/before"
        assert all("data" not in metadata for metadata in callbacks.whole)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        for name in ("before", "other"):
            await cluster.call("DELETE", f"{CONFIG_MAPS}/{name}", missing_is_none=True)


async def test_a_refused_watch_says_so_and_goes_on_when_it_is_allowed(
    cluster: KubernetesCluster,
) -> None:
    """A namespace whose Role is gone is asked for again, and watched once the Role is there."""
    cluster._connection.headers["Impersonate-User"] = "nobody"
    callbacks = Ears()
    watching = asyncio.create_task(
        ChildWatch(cluster, "watched=yes", 1, callbacks.callbacks).run(CONFIG_MAPS)
    )
    try:
        assert [await callbacks.hear(), await callbacks.hear()] == [
            CONFIG_MAPS,
            f"refused {CONFIG_MAPS}",
        ]
        cluster._connection.headers.pop("Impersonate-User")
        heard = await callbacks.hear()
        while heard != CONFIG_MAPS:
            heard = await callbacks.hear()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
