"""
An operator for some namespaces: a deleted namespace stops no other, and nothing hangs.

Runs after the tests of rights, because requests are refused here on purpose.
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest

import install
import kubectl as k8s
import operators
import podless
from sampling import LONG
from stopwatch import Stopwatch

STAYS: Final = "e2e-watched-stays"
GOES: Final = "e2e-watched-goes"
LATER: Final = "e2e-watched-later"
NAME: Final = "one"
GONE_SECONDS: Final = 90.0
"""The deadline of a deletion is 40 s; the namespace controller retries after some seconds."""
SILENCE_SECONDS: Final = 170.0 if LONG else 20.0
"""With `LONG=1`, the liveness probe would have ended the operator after this time."""
pytestmark = pytest.mark.story


def _chart(**more: str) -> None:
    images = install.images()
    install.chart(images["service"], images["operator"], more={**install.SHORT_WAITS, **more})


@pytest.fixture(scope="module", autouse=True)
def _watched() -> Iterator[None]:
    """
    Serve two namespaces that exist, and one that does not exist yet.

    Afterwards the operator serves all again.
    """
    k8s.remove_namespace(LATER)
    for name in (STAYS, GOES):
        podless.namespace(name)
    _chart(watchNamespaces=f"{{{STAYS},{GOES},{LATER}}}")
    for name in (STAYS, GOES):
        podless.make(name, [NAME])
        k8s.eventually(f"{name} is served", partial(_is_made, name), seconds=90)
    yield
    _chart()
    for name in (STAYS, GOES, LATER):
        k8s.remove_namespace(name)


def _is_made(namespace: str) -> bool:
    return podless.is_made(k8s.get("healthingest", NAME, namespace))


def _restarts() -> dict[str, int]:
    return {
        pod["metadata"]["name"]: operators.restarts(pod["metadata"]["name"])
        for pod in operators.pods()
    }


def _heals(namespace: str) -> bool:
    podless.mutate(namespace, NAME)
    k8s.eventually("it is healed", partial(podless.is_healed, namespace, NAME), seconds=30)
    return True


def test_1_a_namespace_is_deleted_to_the_end(stopwatch: Stopwatch) -> None:
    """
    Its Role is deleted first.

    The HealthIngest is released all the same, and the other namespace is served meanwhile.
    """
    began = time.monotonic()
    k8s.kubectl("delete", "namespace", GOES, "--wait=false")
    assert _heals(STAYS)
    words = ["wait", f"namespace/{GOES}", "--for=delete", f"--timeout={GONE_SECONDS:.0f}s"]
    k8s.kubectl(*words, seconds=GONE_SECONDS + 10)
    stopwatch.record(
        "a watched namespace is deleted", time.monotonic() - began, bound_seconds=GONE_SECONDS
    )


def test_2_the_operator_lives_on_without_it() -> None:
    """No pod is restarted though watches are refused, with `LONG=1` beyond the liveness limit."""
    before = _restarts()
    words = ["wait", "pods", "--namespace", install.OPERATOR, "--selector", operators.SELECTOR]
    # the wait itself is the test: there is no condition to wait for
    with pytest.raises(k8s.CommandError):
        k8s.kubectl(
            *words, "--for=condition=Ready=False", f"--timeout={SILENCE_SECONDS:.0f}s", seconds=200
        )
    assert _restarts() == before
    assert _heals(STAYS)


def test_3_a_namespace_that_comes_later_is_served_without_a_restart() -> None:
    """
    `helm upgrade` creates the Role once the namespace exists.

    Here the same manifest does it, so that no pod changes.
    """
    podless.namespace(LATER)
    role: dict[str, Any] = k8s.get("role", install.RELEASE, STAYS) or {}
    binding: dict[str, Any] = k8s.get("rolebinding", install.RELEASE, STAYS) or {}
    for found in (role, binding):
        k8s.apply({**found, "metadata": {"name": install.RELEASE, "namespace": LATER}})
    before = _restarts()
    podless.make(LATER, [NAME])
    k8s.eventually("it is served", partial(_is_made, LATER), seconds=90)
    assert _restarts() == before
