"""The leading operator dies or freezes: the other one takes over, and no two write at once."""

import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import pytest

import install
import kubectl as k8s
import operators
import podless
from sampling import LONG
from stopwatch import Stopwatch

NAMESPACE: Final = "e2e-leader"
NAMES: Final = ("one", "two", "three")
TAKEOVER_SECONDS: Final = 20.0
"""
Lease duration and retry period are 17 seconds.

The rest is for the start of the watches and the first pass.
"""
ROUNDS: Final = 5 if LONG else 1


@pytest.fixture(scope="module", autouse=True)
def _resources() -> Iterator[None]:
    """A HealthIngest with children to restore."""
    podless.namespace(NAMESPACE)
    podless.make(NAMESPACE, NAMES, "Delete")
    k8s.eventually("all are made", _all_made, seconds=90)
    yield
    k8s.remove_namespace(NAMESPACE)


def _all_made() -> bool:
    return all(podless.is_made(body) for body in k8s.items("healthingest", NAMESPACE))


def _another(old: str) -> str | None:
    """Return the leader, if it is another one."""
    found = operators.leader()
    return found if found not in {"", old} else None


def _transitions() -> int:
    lease: dict[str, Any] = k8s.get("lease", install.RELEASE, install.OPERATOR) or {}
    transitions: int = lease["spec"]["leaseTransitions"]
    return transitions


def _taken_over(
    old: str, strike: Callable[[], None], stopwatch: Stopwatch, what: str
) -> tuple[str, float]:
    """
    Return the new leader, once it has healed what was changed right after the signal, and its time.

    The time is when the signal had arrived: until then the old leader works rightly.
    """
    before = _transitions()
    began = time.monotonic()
    strike()
    struck_at = time.time()
    for name in NAMES:
        podless.mutate(NAMESPACE, name)
    new = k8s.eventually("another one leads", partial(_another, old), seconds=60)
    taken = time.monotonic() - began
    healed = [partial(podless.is_healed, NAMESPACE, name) for name in NAMES]
    k8s.eventually("it heals", lambda: all(look() for look in healed), seconds=30)
    healing = time.monotonic() - began
    stopwatch.record(f"leader {what}: another one leads", taken, bound_seconds=TAKEOVER_SECONDS)
    stopwatch.record(
        f"leader {what}: the other one has healed", healing, bound_seconds=TAKEOVER_SECONDS
    )
    assert _transitions() == before + 1
    return new, struck_at


def _ready() -> str:
    """Return the leader, once another operator is ready to follow it."""
    k8s.eventually("two operators", operators.are_ready, seconds=90)
    return k8s.eventually("a leader", operators.leader, seconds=30)


def _check(journal: operators.Journal, old: str, new: str, struck_at: float) -> None:
    """
    The old leader began no reconciliation after the blow, and the new one none before it led.

    Nor did a write.
    """
    led = next(
        line.at for line in journal.lines("leads") if line.pod == new and line.at > struck_at
    )
    reconciliations = [line for line in journal.lines("reconcile_ended") if line.at > struck_at]
    assert [line for line in reconciliations if line.pod == old and line.began > struck_at] == []
    assert [line for line in reconciliations if line.pod == new and line.began < led] == []
    assert [line for line in reconciliations if line.pod == new]
    writes = operators.audited_writes(struck_at)
    if writes is not None:
        first = min(at for at, pod in writes if pod == new)
        assert [at for at, pod in writes if pod == old and at >= first] == []


def test_1_a_killed_leader_is_followed(stopwatch: Stopwatch) -> None:
    """
    The process is killed, and its pod deleted.

    Within 20 s the other one holds the Lease and has restored a change.
    """
    with operators.journal() as journal, operators.signals() as signals:
        for number in range(1, ROUNDS + 1):
            old = _ready()

            def kill(pod: str = old) -> None:
                signals.send(pod, signal.SIGKILL)
                operators.remove(pod)

            new, struck_at = _taken_over(old, kill, stopwatch, f"killed ({number} of {ROUNDS})")
            _check(journal, old, new, struck_at)
        _ready()


def test_2_a_frozen_leader_is_followed_and_steps_down_when_it_thaws(stopwatch: Stopwatch) -> None:
    """
    When it continues, it notices the lost Lease before it writes anything.

    Its container is not restarted.
    """
    with operators.journal() as journal, operators.signals() as signals:
        for number in range(1, ROUNDS + 1):
            old = _ready()
            freeze = partial(signals.send, old, signal.SIGSTOP)
            new, struck_at = _taken_over(old, freeze, stopwatch, f"frozen ({number} of {ROUNDS})")
            for name in NAMES:
                podless.mutate(NAMESPACE, name)
            signals.send(old, signal.SIGCONT)

            restarts = operators.restarts(old)

            def waits(pod: str = old, since: float = struck_at) -> bool:
                said = {
                    line.event for line in journal.lines() if line.pod == pod and line.at > since
                }
                return {"leadership_lost", "waits_for_leadership"} <= said

            k8s.eventually("the old one waits", waits, seconds=60)
            _ready()
            assert operators.restarts(old) == restarts
            _check(journal, old, new, struck_at)
