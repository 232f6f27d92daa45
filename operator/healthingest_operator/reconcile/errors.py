"""Errors of the core; their messages are for people and contain no secrets."""

from typing import Self

from healthingest_contract.conditions import Reason
from healthingest_operator.status.causes import Cause


class ReconcileError(Exception):
    """Root of this package's errors."""


class DependencyError(ReconcileError):
    """An outside system does not do what is wanted; `reason` and the text go into a condition."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @classmethod
    def of(cls, cause: Cause, **values: object) -> Self:
        """As the table of causes has it."""
        return cls(cause.reason, cause.text(**values))


class ClusterError(ReconcileError):
    """
    The Kubernetes API refused, or could not be reached; the whole reconciliation is repeated.

    `status` 0: no answer. `causes` are the server's machine-readable ones.
    """

    def __init__(self, status: int, message: str, causes: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.status = status
        self.causes = causes
