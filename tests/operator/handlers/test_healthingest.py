"""Who goes first."""

from typing import Any

import pytest

from healthingest_operator.handlers.healthingest import lane
from healthingest_operator.reconcile.queue import Lane

READY = [{"type": "Ready", "status": "True"}]


def body(generation: int, **status: object) -> dict[str, Any]:
    """As a list has it."""
    return {"metadata": {"generation": generation}, "status": status}


@pytest.mark.parametrize(
    ("event_type", "found", "goes"),
    [
        (None, body(2, observedGeneration=2, conditions=READY), Lane.RESYNC),
        (None, body(3, observedGeneration=2, conditions=READY), Lane.CHANGE),
        (None, body(2, observedGeneration=2, conditions=[]), Lane.CHANGE),
        (None, {"metadata": {"generation": 1}}, Lane.CHANGE),
        ("ADDED", body(2, observedGeneration=2, conditions=READY), Lane.CHANGE),
        ("MODIFIED", body(2, observedGeneration=2, conditions=READY), Lane.CHANGE),
    ],
)
def test_who_was_ready_lets_others_go_first(
    event_type: str | None, found: dict[str, Any], goes: Lane
) -> None:
    """When an operator starts, all are listed: what is new, or does not hold, overtakes them."""
    assert lane(event_type, found) is goes


def test_who_changed_unseen_goes_first() -> None:
    """A list that follows a gap of the watch has it with another generation or annotation."""
    assert lane(None, body(2, observedGeneration=2, conditions=READY), known=True) is Lane.CHANGE
