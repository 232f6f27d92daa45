"""Errors of the core; their messages are meant for users and contain no secrets."""

from typing import Self

from healthingest_contract.conditions import Reason
from healthingest_operator.status.causes import Cause


class ReconcileError(Exception):
    """Base of this package's errors."""


class DependencyError(ReconcileError):
    """An external system refuses or fails; `reason` and `message` go into a condition."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @classmethod
    def of(cls, cause: Cause, **values: object) -> Self:
        """Return the error for a row of the table of causes."""
        return cls(cause.reason, cause.text(**values))


class ClusterError(ReconcileError):
    """
    The Kubernetes API refused a request or could not be reached; the reconciliation is retried.

    `status` is the HTTP status; 0: no response. `causes` are the machine-readable causes of the
    server.
    """

    def __init__(self, status: int, message: str, causes: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.status = status
        self.causes = causes
