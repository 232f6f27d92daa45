"""The order of findings, without a cluster."""

from datetime import UTC, datetime

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_plugin.explain import explain
from healthingest_plugin.model import Snapshot

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _failing(kind: ConditionType, reason: Reason) -> dict[str, str]:
    return {
        "type": kind.value,
        "status": "False",
        "reason": reason.value,
        "message": f"{kind.value} says {reason.value}",
        "lastTransitionTime": "2026-03-01T00:00:00Z",
    }


def test_a_fault_stands_before_what_is_in_progress() -> None:
    """Work in progress explains no fault, though its condition comes first."""
    conditions = [
        _failing(ConditionType.BUCKET_READY, Reason.PROGRESSING),
        _failing(ConditionType.DATABASE_READY, Reason.AUTHENTICATION_FAILED),
        _failing(ConditionType.READY, Reason.PROGRESSING),
    ]
    body = {
        "metadata": {"namespace": "space", "name": "clinic", "generation": 1},
        "spec": {},
        "status": {"observedGeneration": 1, "conditions": conditions},
    }
    explained = explain(Snapshot(body, NOW))
    assert explained.cause is not None
    assert explained.cause.reason == Reason.AUTHENTICATION_FAILED.value
    assert [found.condition for found in explained.others] == [ConditionType.BUCKET_READY.value]
