"""Events of transitions."""

import pytest

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.reconcile.status_report import StatusReport
from healthingest_operator.status.conditions import POLARITY, ConditionUpdate
from healthingest_operator.status.summary import StatusFields
from support.operator_fakes import KEY, OperatorFakes

BAD_WHEN_TRUE = {ConditionType.DRIFTED, ConditionType.STALLED, ConditionType.PAUSED}


@pytest.mark.parametrize("kind", sorted(set(ConditionType) - {ConditionType.RECONCILING}))
async def test_a_transition_away_from_the_normal_status_is_a_warning(kind: ConditionType) -> None:
    """`Drifted`, `Stalled` and `Paused` are bad news when True, every other one when False."""
    fakes = OperatorFakes()
    report = StatusReport(fakes.cluster, fakes.clock)
    for is_true in (True, False):
        fakes.cluster.warnings.clear()
        body = fakes.cluster.get("HealthIngest", KEY.name)
        # FBT003: a row
        ready = ConditionUpdate(ConditionType.READY, True, Reason.AVAILABLE, "fine")  # noqa: FBT003
        update = ConditionUpdate(kind, is_true, Reason.PROGRESSING, "changed")
        rows = [update] if kind is ConditionType.READY else [ready, update]
        await report.write(body, rows, StatusFields())
        warned = any(message.startswith(f"{kind} is ") for message in fakes.cluster.warnings)
        assert warned is (is_true == (kind in BAD_WHEN_TRUE))


def test_every_condition_has_a_polarity() -> None:
    """A new condition type needs a row."""
    assert set(POLARITY) == set(ConditionType)
