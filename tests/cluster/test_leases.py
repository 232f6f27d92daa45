"""Leader election on a real apiserver: the Lease itself, and two operators as processes."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster
from healthingest_operator.adapters.kubernetes.leases import KubernetesLeases
from healthingest_operator.reconcile.leader_election import ElectionTimes
from support.control_plane import kubectl
from support.deadlines import HANG_SECONDS
from support.servers.apiserver import ApiServer
from support.servers.process import free_port


@pytest.fixture(name="namespace")
def _namespace(apiserver: ApiServer) -> str:
    name = f"lease-{uuid4().hex[:8]}"
    kubectl(apiserver, "create", "namespace", name)
    return name


async def test_only_one_of_two_writes_is_taken(cluster: KubernetesCluster, namespace: str) -> None:
    """
    The server refuses who has not seen the last version.

    A renewal keeps the time at which it was acquired.
    """
    leases = KubernetesLeases(cluster, namespace, "one")
    assert await leases.read() is None
    first = await leases.take(None, "a")
    assert first is not None
    assert await leases.take(None, "b") is None
    renewed = await leases.take(first, "a")
    assert renewed is not None
    assert (renewed.holder, renewed.transitions, renewed.acquired) == ("a", 0, first.acquired)
    assert await leases.take(first, "b") is None
    taken = await leases.take(renewed, "b")
    assert taken is not None
    assert (taken.holder, taken.transitions) == ("b", 1)
    assert await leases.read() == taken


TIMES = ElectionTimes(lease_duration=6, renew_deadline=4, retry_period=1)


class Operators:
    """Operators as processes; they serve one namespace, which is empty."""

    def __init__(self, server: ApiServer, namespace: str, folder: Path) -> None:
        self._server = server
        self._namespace = namespace
        self._folder = folder
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        """One more."""
        more = {
            "KUBECONFIG": str(self._server.kubeconfig),
            "HEALTHINGEST_OPERATOR_SERVICE_IMAGE": "service:1",
            "HEALTHINGEST_OPERATOR_NAMESPACES": self._namespace,
            "HEALTHINGEST_OPERATOR_LEASE_NAMESPACE": self._namespace,
            "HEALTHINGEST_OPERATOR_LEASE_DURATION_SECONDS": str(TIMES.lease_duration),
            "HEALTHINGEST_OPERATOR_LEASE_RENEW_DEADLINE_SECONDS": str(TIMES.renew_deadline),
            "HEALTHINGEST_OPERATOR_LEASE_RETRY_PERIOD_SECONDS": str(TIMES.retry_period),
            "HEALTHINGEST_OPERATOR_HEALTH_PORT": str(free_port()),
            "HEALTHINGEST_OPERATOR_METRICS_PORT": str(free_port()),
        }
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("KUBERNETES_")
        }
        with (self._folder / f"{len(self.running)}.log").open("wb") as log:
            command = [sys.executable, "-m", "healthingest_operator.main"]
            process = subprocess.Popen(command, env=inherited | more, stdout=log, stderr=log)
        self.running.append(process)
        return process

    def events(self, process: subprocess.Popen[bytes]) -> list[str]:
        """What it has said of leadership, in order."""
        found = []
        for line in (self._folder / f"{self.running.index(process)}.log").read_text().splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line)["event"])
        return [
            event
            for event in found
            if event in {"waits_for_leadership", "leads", "leadership_lost"}
        ]

    def leader(self) -> int | None:
        """Its process id, as the Lease says; None: nobody."""
        found = kubectl(self._server, "get", "leases", "-n", self._namespace, "-o", "json")
        for item in json.loads(found)["items"]:
            number = re.search(r"-(\d+)$", item["spec"].get("holderIdentity") or "")
            return int(number[1]) if number else None
        return None


def wait_until(holds: Callable[[], bool]) -> None:
    """Return when *holds* is true; e2e/test_8_leader.py measures how soon that is."""
    deadline = time.monotonic() + HANG_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)  # the pause of a poll


@pytest.fixture(name="operators")
def _operators(with_crd: ApiServer, namespace: str, tmp_path: Path) -> Iterator[Operators]:
    found = Operators(with_crd, namespace, tmp_path)
    yield found
    for process in found.running:
        process.kill()
        process.wait()


def test_a_killed_leader_is_followed(operators: Operators) -> None:
    """
    By the other one; one that was frozen steps down without ending.

    One that is asked to end hands over at once.
    """
    first = operators.start()
    wait_until(lambda: operators.leader() == first.pid)
    second = operators.start()
    first.kill()
    first.wait()
    wait_until(lambda: operators.leader() == second.pid)
    third = operators.start()
    second.send_signal(signal.SIGSTOP)
    wait_until(lambda: operators.leader() == third.pid)
    second.send_signal(signal.SIGCONT)
    wait_until(lambda: operators.events(second)[-2:] == ["leadership_lost", "waits_for_leadership"])
    third.terminate()
    wait_until(lambda: operators.leader() == second.pid)
    assert third.wait(timeout=HANG_SECONDS) == 0
    assert second.poll() is None
    second.terminate()
    wait_until(lambda: operators.leader() is None)
    assert second.wait(timeout=HANG_SECONDS) == 0
    writes = [event for event in operators.events(second) if event.startswith("lead")]
    assert writes == ["leads", "leadership_lost", "leads"]


def test_an_operator_without_processor_leads_on(operators: Operators) -> None:
    """Frozen past its Lease, again and again, the same process leads again each time."""
    only = operators.start()
    wait_until(lambda: operators.leader() == only.pid)
    for terms in (2, 3, 4):
        only.send_signal(signal.SIGSTOP)
        frozen = time.monotonic()
        wait_until(partial(_is_over, frozen + TIMES.lease_duration))
        only.send_signal(signal.SIGCONT)
        wait_until(partial(_leads_again, operators, only, terms))
    assert only.poll() is None


def _is_over(moment: float) -> bool:
    return time.monotonic() > moment


def _leads_again(operators: Operators, process: "subprocess.Popen[bytes]", terms: int) -> bool:
    return operators.events(process).count("leads") == terms
