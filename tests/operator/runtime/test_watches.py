"""Is the operator still told of changes?"""

from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from healthingest_operator.runtime.endpoints import ListenPorts, endpoints
from healthingest_operator.runtime.watches import SILENCE_SECONDS, Watches
from support.servers.process import free_port


@dataclass
class Ticks:
    """A monotonic clock that stands still until told."""

    seconds: float = 0.0


@pytest.fixture(name="ticks")
def _ticks() -> Ticks:
    return Ticks()


@pytest.fixture(name="watches")
def _watches(ticks: Ticks) -> Watches:
    return Watches(lambda: ticks.seconds)


def test_one_silent_watch_is_enough(watches: Watches, ticks: Ticks) -> None:
    """The age is that of the oldest sign of life, and before the first there is none to miss."""
    assert watches.are_alive()
    watches.opened("/pods")
    watches.opened("/services")
    ticks.seconds = SILENCE_SECONDS - 1
    watches.opened("/pods")
    assert watches.are_alive()
    ticks.seconds += 1
    assert not watches.are_alive()
    watches.opened("/services")
    assert watches.age_seconds() == 1


def test_a_refused_namespace_is_not_silent(watches: Watches, ticks: Ticks) -> None:
    """It is reported once when its first watch is refused, once when the last is open again."""
    told: list[tuple[str, bool]] = []
    watches = Watches(
        lambda: ticks.seconds, lambda namespace, *, served: told.append((namespace, served))
    )
    for path in (
        "/api/v1/namespaces/a/pods",
        "/api/v1/namespaces/a/services",
        "/api/v1/namespaces/b/pods",
    ):
        watches.opened(path)
    ticks.seconds = SILENCE_SECONDS - 1
    watches.opened("/api/v1/namespaces/b/pods")
    for _ in range(2):
        for kind in ("pods", "services"):
            watches.refused(f"/api/v1/namespaces/a/{kind}")
    ticks.seconds += 2
    assert watches.are_alive()
    assert watches.refused_namespaces() == 1
    assert told == [("a", False)]
    watches.opened("/api/v1/namespaces/a/pods")
    assert told == [("a", False)]
    watches.opened("/api/v1/namespaces/a/services")
    assert told == [("a", False), ("a", True)]
    assert watches.refused_namespaces() == 0


def test_a_refused_watch_of_all_namespaces_is_silent(watches: Watches, ticks: Ticks) -> None:
    """Then the operator serves nobody, which must not look well."""
    watches.opened("/api/v1/pods")
    watches.refused("/api/v1/pods")
    ticks.seconds = SILENCE_SECONDS
    assert not watches.are_alive()


async def test_only_an_opened_watch_is_a_sign(watches: Watches, ticks: Ticks) -> None:
    """A list or a refused watch tells of no changes."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=403 if request.path.endswith("/refused") else 200)

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    ticks.seconds = 1
    try:
        async with aiohttp.ClientSession(trace_configs=[watches.tracing()]) as session:
            for path in (
                "listed",
                "refused?watch=true",
                "watched?watch=true",
                "namespaces/a/refused",
            ):
                async with session.get(f"http://127.0.0.1:{port}/{path}") as answered:
                    await answered.read()
    finally:
        await runner.cleanup()
    assert watches._opened == {"/watched": 1}
    assert watches.refused_namespaces() == 1


async def test_the_kubelet_is_told(watches: Watches, ticks: Ticks) -> None:
    """/healthz fails while a watch is silent, so that the pod is restarted."""
    ports = ListenPorts(free_port(), free_port())
    statuses = []
    async with (
        endpoints(ports, CollectorRegistry(), lambda: None, watches.are_alive),
        aiohttp.ClientSession() as session,
    ):
        watches.opened("/pods")
        for ticks.seconds in (0.0, SILENCE_SECONDS + 1.0):
            async with session.get(f"http://127.0.0.1:{ports.health}/healthz") as answered:
                statuses.append(answered.status)
    assert statuses == [200, 503]


@pytest.mark.parametrize("place", ["", "namespaces/a/"])
def test_a_kind_that_the_cluster_lacks_is_no_silence(
    watches: Watches, ticks: Ticks, place: str
) -> None:
    """Its watch is refused until somebody installs it; then it counts like every other one."""
    path = f"/apis/gateway.networking.k8s.io/v1/{place}httproutes"
    watches.opened(path)
    watches.refused(path)
    ticks.seconds = 2 * SILENCE_SECONDS
    assert watches.are_alive()
    assert watches.refused_namespaces() == 0
    watches.opened(path)
    ticks.seconds += SILENCE_SECONDS
    assert not watches.are_alive()
