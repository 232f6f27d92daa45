"""Findings to conditions."""

import pytest

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.status.conditions import (
    REQUIRED_FOR_READY,
    ConditionUpdate,
    condition_false,
    condition_true,
    conditions,
    summary,
    transitions,
)
from healthingest_operator.status.summary import Observation, StatusFields, status

ALL_GOOD = [condition_true(part, "fine") for part in REQUIRED_FOR_READY]


def types(updates: list[ConditionUpdate]) -> dict[ConditionType, ConditionUpdate]:
    """By type."""
    return {update.type: update for update in updates}


def test_ready_needs_every_part() -> None:
    """All looked at, all holding: Ready, and neither Reconciling nor Stalled."""
    found = types(summary(ALL_GOOD))
    assert found[ConditionType.READY].is_true
    assert not {ConditionType.RECONCILING, ConditionType.STALLED} & set(found)
    assert not types(summary(ALL_GOOD[1:]))[ConditionType.READY].is_true


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason.UNREACHABLE, ConditionType.RECONCILING),
        (Reason.SECRET_NOT_FOUND, ConditionType.RECONCILING),
        (Reason.ROLLOUT_PROGRESSING, ConditionType.RECONCILING),
        (Reason.TOPOLOGY_CONFLICT, ConditionType.STALLED),
        (Reason.AUTHENTICATION_FAILED, ConditionType.STALLED),
    ],
)
def test_what_needs_people_is_stalled(reason: Reason, expected: ConditionType) -> None:
    """What may pass by itself is Reconciling; never both, as kstatus reads them."""
    found = types(
        summary([*ALL_GOOD[1:], condition_false(REQUIRED_FOR_READY[0], reason, "not fine")])
    )
    assert found[expected].is_true
    assert len({ConditionType.RECONCILING, ConditionType.STALLED} & set(found)) == 1
    assert found[ConditionType.READY].reason is reason


def test_ready_tells_the_cause_not_who_waits_for_it() -> None:
    """A workload that waits for the broker explains nothing."""
    waiting = condition_false(
        ConditionType.WORKLOAD_AVAILABLE, Reason.WAITING_FOR_DEPENDENCIES, "waits"
    )
    cause = condition_false(ConditionType.BROKER_READY, Reason.UNREACHABLE, "no answer")
    assert types(summary([waiting, cause]))[ConditionType.READY].reason is Reason.UNREACHABLE


def test_a_time_is_that_of_the_last_change_of_status() -> None:
    """Another message or reason does not move it."""
    first = conditions(
        [condition_false(REQUIRED_FOR_READY[0], Reason.UNREACHABLE, "a")], [], 1, "then"
    )
    second = conditions(
        [condition_false(REQUIRED_FOR_READY[0], Reason.REQUEST_REFUSED, "b")], first, 2, "now"
    )
    third = conditions([condition_true(REQUIRED_FOR_READY[0], "c")], second, 3, "later")
    assert [found[0]["lastTransitionTime"] for found in (first, second, third)] == [
        "then",
        "then",
        "later",
    ]
    assert [found[0]["observedGeneration"] for found in (first, second, third)] == [1, 2, 3]


def test_nothing_new_is_nothing_to_write() -> None:
    """The same updates at another time give an equal status."""
    fields = StatusFields(url="http://a", replicas=2, selector="a=b", secrets={"service": "s"})
    first = status({}, ALL_GOOD, fields, Observation(1, "then"))
    assert status(first, ALL_GOOD, fields, Observation(1, "now")) == first
    assert status(first, ALL_GOOD, fields, Observation(2, "now"))["observedGeneration"] == 2


def test_only_transitions_are_told() -> None:
    """A change of status or reason, once."""
    before = conditions(
        [condition_false(REQUIRED_FOR_READY[0], Reason.UNREACHABLE, "a")], [], 1, "then"
    )
    same = conditions(
        [condition_false(REQUIRED_FOR_READY[0], Reason.UNREACHABLE, "b")], before, 1, "now"
    )
    assert transitions(before, same) == []
    after = conditions([condition_true(REQUIRED_FOR_READY[0], "c")], same, 1, "later")
    assert transitions(same, after) == after
