"""Each row of the operator's table is recognised by the message that is made from it."""

from string import Formatter

import pytest

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.status.causes import Cause
from healthingest_operator.status.outside_causes import CAUSES
from healthingest_plugin.faults import FAULTS
from healthingest_plugin.known_causes import RUNBOOK, known_cause


def made(cause: Cause) -> tuple[str, dict[str, str]]:
    """Return a message of *cause*, and the values in its first half."""
    fields = Formatter().parse(f"{cause.message}: {cause.remedy}")
    values = {name: f"host-{name}:5432" for _, name, *_ in fields if name}
    return cause.text(**values), values


def same_texts(left: Cause, right: Cause) -> bool:
    """Whether messages of both are equal."""
    return (left.reason, left.message, left.remedy) == (right.reason, right.message, right.remedy)


@pytest.mark.parametrize("cause", CAUSES, ids=[cause.code for cause in CAUSES])
@pytest.mark.parametrize("before", ["", "Deployment clinic-api: ", "migration of the database: "])
def test_each_cause_is_recognised(cause: Cause, before: str) -> None:
    """Code, message, remedy and values, in every condition in which it can stand."""
    text, values = made(cause)
    for condition in cause.conditions:
        found = known_cause(condition.value, cause.reason.value, before + text)
        twins = [row for row in CAUSES if same_texts(row, cause) and condition in row.conditions]
        assert found.code == (cause.code if len(twins) == 1 else "")
        assert found.message == before + cause.message.format(**values)
        assert found.remedy == cause.remedy.format(**values)
        # Values that stand side by side are not told apart.
        assert cause.code == "crashed" or found.values.items() <= values.items()


def test_the_report_of_a_pod_about_the_database_is_recognised() -> None:
    """It stands in `WorkloadAvailable`, which has no such row."""
    cause = next(cause for cause in CAUSES if cause.code == "database-read-only")
    text, _ = made(cause)
    kind = ConditionType.WORKLOAD_AVAILABLE
    assert known_cause(kind.value, cause.reason.value, text).code == "database-read-only"


def test_a_message_with_its_own_remedy_is_divided() -> None:
    """Messages about Secrets end with a colon and the remedy."""
    text = "Secret a/postgres does not exist: create it"
    found = known_cause("SecretsReady", Reason.SECRET_NOT_FOUND.value, text)
    assert (found.message, found.remedy) == ("Secret a/postgres does not exist", "create it")


def test_any_other_message_leads_to_the_runbook() -> None:
    """Also one of a reason that this version does not know."""
    found = known_cause("BrokerReady", "FromTheFuture", "it is so: and so")
    assert found.message == "it is so: and so"
    assert found.remedy == f"see section FromTheFuture of {RUNBOOK}"


def test_each_fault_outside_of_the_status_has_texts() -> None:
    """Reasons are unique, and differ from those of conditions unless they mean the same."""
    reasons = [fault.reason for fault in FAULTS]
    assert len(reasons) == len(set(reasons))
    same = {Reason.PAUSED_BY_SPEC.value, Reason.DELETING.value}
    assert set(reasons) & {reason.value for reason in Reason} == same
    for fault in FAULTS:
        names = {name for _, name, *_ in Formatter().parse(fault.message + fault.remedy) if name}
        message, remedy = fault.texts(**dict.fromkeys(names, "a;b{}"))
        assert message
        assert remedy
        assert ";b" not in message.replace("; ", "")
