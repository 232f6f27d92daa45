"""The mode and the outcome of a reconciliation."""

from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of a reconciliation, also a label of the metrics."""

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
    """Only external systems and Secrets, because watches report changes of children."""
