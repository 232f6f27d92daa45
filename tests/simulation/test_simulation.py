"""
The operator's core through a few hundred random histories.

`make simulate` runs as many as you like.
"""

import os
from collections.abc import Iterator

import pytest

from healthingest_contract import environment as env
from healthingest_contract.conditions import ROTATE_ANNOTATION
from healthingest_operator.reconcile import dependencies
from healthingest_operator.reconcile.change_detection import ChangeDetector
from healthingest_operator.reconcile.finalize import finalize
from healthingest_operator.reconcile.reconcile import reconcile
from healthingest_operator.resources.pruning import Superfluous
from healthingest_operator.resources.secrets import decode, password_of, user_of
from healthingest_operator.resources.topology import is_password
from simulation.disappearing import ORDERS, disappear
from simulation.history import DEADLINE, BrokenPromiseError, History
from simulation.rivals import rival
from simulation.seeds import replay
from support.operator_fakes import KEY

SEEDS = int(os.environ.get("HEALTHINGEST_SIMULATION_SEEDS", "300"))
BATCHES = 10
SHORT_BATCHES = 2
_BATCHES = [
    pytest.param(n, marks=[pytest.mark.long] if n >= SHORT_BATCHES else []) for n in range(BATCHES)
]


@pytest.mark.parametrize("batch", _BATCHES)
def test_every_history_ends_well(batch: int) -> None:
    """It comes to rest as wanted, leaks and loses nothing, and is then Ready and silent."""
    for seed in range(batch, SEEDS, BATCHES):
        try:
            replay(seed)
        except Exception as error:
            error.add_note(f"alone: make simulate SEEDS=1 FROM={seed}")
            raise


@pytest.mark.parametrize("batch", _BATCHES)
def test_whatever_disappears_in_whatever_order(batch: int) -> None:
    """
    Each ordered pair and triple: a deletion ends in time, and what stays outside is named.

    Else all comes back.
    """
    for order in ORDERS[batch::BATCHES]:
        try:
            disappear(batch, order)
        except Exception as error:
            error.add_note(f"seed {batch}, order {order}")
            raise


def test_a_second_owner_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that lets whoever comes take over does not pass."""

    async def yes(*_: object) -> bool:
        return True

    monkeypatch.setattr("healthingest_operator.reconcile.steps.outranked", yes)
    with pytest.raises(BrokenPromiseError):
        _all(rival(seed) for seed in range(10))


def test_what_is_left_unnamed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that leaves without a look at the broker does not pass."""

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(
        "healthingest_operator.reconcile.finalize._remove_broker_resources", nothing
    )
    with pytest.raises(BrokenPromiseError):
        _all(disappear(0, order) for order in ORDERS)


def test_an_external_check_that_sees_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that takes everything for unchanged does not pass."""

    async def always(*_: object) -> bool:
        return True

    monkeypatch.setattr(ChangeDetector, "is_unchanged", always)
    with pytest.raises(AssertionError):
        _all(replay(seed) for seed in range(0, 40, 4))


@pytest.mark.parametrize("seed", [1, 2, 3, 5, 8, 13])
def test_a_seed_replays_bit_for_bit(seed: int) -> None:
    """
    Every call, fault, kill and act of people, in the same order.

    Another seed is another history.
    """
    assert replay(seed) == replay(seed)
    assert replay(seed) != replay(seed + 1)


@pytest.mark.long
async def test_it_may_die_at_every_wait_of_the_first_passes() -> None:
    """Killed at each in turn, a new operator brings the work to its end."""
    for kill in range(1, 400):
        history = History(0)
        for _ in range(3):
            await history.attempt(reconcile(history.ports, KEY), kill)
            history.fakes.cluster.settle()
        await history.rest()
        if history.kills == 0:
            return
    pytest.fail("there were more waits than were tried")


@pytest.mark.long
async def test_it_may_die_at_every_wait_of_a_rotation() -> None:
    """
    Killed at each in turn, a new operator ends it.

    Before that the pods' logins are valid at each of its ends.
    """
    for kill in range(1, 400):
        history = History(0)
        await history.rest()
        history.fakes.cluster.get("HealthIngest", KEY.name)["metadata"]["annotations"] = {
            ROTATE_ANNOTATION: "now"
        }
        for _ in range(3):
            await history.attempt(reconcile(history.ports, KEY), kill)
            values = decode(history.fakes.cluster.get("Secret", "clinic-service"))
            assert values[env.DATABASE_URL] in history.fakes.database.logins
            user = user_of(values[env.BROKER_URL])
            password = password_of(values[env.BROKER_URL])
            assert is_password(history.fakes.broker.things["users", user or ""], password or "")
            history.fakes.cluster.settle()
        await history.rest()
        if history.kills == 0:
            return
    pytest.fail("there were more waits than were tried")


async def test_it_may_die_at_every_wait_of_a_deletion() -> None:
    """Killed at each in turn, a new operator takes the same away."""
    for kill in range(1, 100):
        history = History(0)
        await history.rest()
        body = history.fakes.cluster.get("HealthIngest", KEY.name)
        body["metadata"]["deletionTimestamp"] = history.fakes.clock.now().strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        await history.attempt(finalize(history.ports, body, DEADLINE), kill)
        killed = history.kills
        assert (await finalize(history.fakes.ports, body, DEADLINE)).may_remove_finalizer
        history.insist_nothing_leaked()
        if not killed:
            return
    pytest.fail("there were more waits than were tried")


@pytest.mark.long
def test_a_broken_promise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that removes nothing does not pass: the histories can fail."""
    monkeypatch.setattr(dependencies, "superfluous", lambda *_: Superfluous())
    with pytest.raises(AssertionError):
        _all(replay(seed) for seed in range(200))


def _all(histories: Iterator[str]) -> None:
    for _ in histories:
        pass
