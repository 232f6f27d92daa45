"""Two hundred HealthIngests are deleted at once."""

import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Final, Self

import pytest

import kubectl as k8s
import outside
import podless
from sampling import LONG
from stopwatch import Stopwatch

NAMESPACE: Final = "e2e-crowd"
COUNT: Final = 200
MADE_SECONDS: Final = 400.0
GONE_SECONDS: Final = 30.0
pytestmark = pytest.mark.skipif(
    not LONG, reason="two hundred HealthIngests take minutes to make: LONG=1"
)


@pytest.fixture(scope="module", autouse=True)
def _crowd() -> Iterator[None]:
    """
    Create all of them, with bucket, virtual host, users and queues.

    None has pods, see `podless`.
    """
    podless.namespace(NAMESPACE)
    podless.make(NAMESPACE, [f"n{number:03}" for number in range(COUNT)], "Delete")
    k8s.eventually("all are made", _all_made, seconds=MADE_SECONDS)
    yield
    k8s.remove_namespace(NAMESPACE)


def _all_made() -> bool:
    found = k8s.items("healthingest", NAMESPACE)
    return len(found) == COUNT and all(podless.is_made(body) for body in found)


class Watch:
    """
    Records when each was gone, by one watch.

    A kubectl for each would take processor time from the operator.
    """

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.gone: list[float] = []
        words = [
            "kubectl",
            "get",
            "healthingests",
            "--namespace",
            NAMESPACE,
            "--watch",
            "--output-watch-events",
        ]
        self._process = subprocess.Popen(
            [*words, "--no-headers"], stdout=subprocess.PIPE, text=True
        )
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._thread.join()
        self._process.communicate()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            event, name, *_ = line.split()
            if event == "DELETED":
                self.gone.append(time.monotonic())
            else:
                self.there.add(name)


@pytest.mark.timeout(400)
def test_two_hundred_deleted_at_once_are_gone_in_half_a_minute(stopwatch: Stopwatch) -> None:
    """
    The 99th percentile of the times of deletion is bounded.

    With `Delete`, buckets, virtual hosts and users are deleted too.
    """
    with Watch() as watch:
        k8s.eventually("all are seen", lambda: len(watch.there) == COUNT, seconds=30)
        began = time.monotonic()
        # one request for all of them; `kubectl delete --all` would send one after the other
        k8s.kubectl(
            "delete",
            "--raw",
            f"/apis/healthingest.dev/v1alpha1/namespaces/{NAMESPACE}/healthingests",
        )
        k8s.eventually("all are gone", lambda: len(watch.gone) == COUNT, seconds=180)
    gone = [at - began for at in watch.gone]
    asked = f"{COUNT} deleted at once"
    stopwatch.record(
        f"{asked}: median until gone", gone[COUNT // 2 - 1], bound_seconds=GONE_SECONDS
    )
    stopwatch.record(
        f"{asked}: 99th percentile until gone",
        gone[COUNT * 99 // 100 - 1],
        bound_seconds=GONE_SECONDS,
    )
    assert not [name for name in outside.buckets() if name.startswith(NAMESPACE)]
    assert not [
        entry for entry in outside.broker("/api/vhosts") if entry["name"].startswith(NAMESPACE)
    ]
    assert not [
        entry for entry in outside.broker("/api/users") if entry["name"].startswith(NAMESPACE)
    ]
