"""What may go wrong with the outside systems, in our words. Messages are for people and bear no secret."""

from healthingest_contract.conditions import Reason


class ReconcileError(Exception):
    """Root of this package's errors."""


class DependencyError(ReconcileError):
    """An outside system does not do what is wanted; `reason` and the text go into a condition."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class ClusterError(ReconcileError):
    """
    The Kubernetes API refused, or could not be reached; the whole pass is repeated.

    `status` 0: no answer. `causes` are the server's machine-readable ones.
    """

    def __init__(self, status: int, message: str, causes: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.status = status
        self.causes = causes
