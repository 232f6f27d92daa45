"""How a reconciliation begins and ends."""

from enum import StrEnum


class Outcome(StrEnum):
    """How a reconciliation ended; a label of the metrics."""

    GONE = "gone"
    READY = "ready"
    UNCHANGED = "unchanged"
    PROGRESSING = "progressing"
    FAILING = "failing"
    INVALID = "invalid"
    PAUSED = "paused"


class ReconcileMode(StrEnum):
    """How much of a HealthIngest is compared with its spec."""

    FULL = "full"
    EXTERNAL_CHECK = "external_check"
    """Only what lies outside the cluster: watches report changes of children."""
