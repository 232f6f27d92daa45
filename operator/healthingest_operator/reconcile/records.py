"""What this process knows of each HealthIngest between two reconciliations."""

from dataclasses import dataclass

from healthingest_operator.api.healthingest import HealthIngest, Key
from healthingest_operator.reconcile.ttl_cache import TtlCache


@dataclass(slots=True)
class Record:
    """What is known of one HealthIngest. It only saves work: a new record is always right."""

    failures: int = 0
    """Failed reconciliations since the last change or success; they lengthen the backoff."""
    full_until: float = float("-inf")
    """Monotonic seconds until which an external check may replace a full reconciliation."""
    reconciled: HealthIngest | None = None
    """The HealthIngest that the fingerprint belongs to."""
    fingerprint: str | None = None
    """Fingerprint of the external state after the last full reconciliation that ended in Ready."""

    def set_fingerprint(self, owner: HealthIngest, fingerprint: str | None) -> None:
        """Record *fingerprint*; None: part of the state is unknown, so nothing is recorded."""
        if fingerprint is not None:
            self.reconciled = owner
            self.fingerprint = fingerprint

    def discard_fingerprint(self) -> None:
        """Discard the fingerprint, so that the next reconciliation is a full one."""
        self.reconciled = None
        self.fingerprint = None


class Records:
    """A record of each HealthIngest, and a short-lived cache of the user's Secrets."""

    def __init__(self) -> None:
        self._records: dict[Key, Record] = {}
        self.secrets = TtlCache()

    def of(self, key: Key) -> Record:
        """Return the record of *key*, a new one if nothing is known."""
        return self._records.setdefault(key, Record())

    def forget(self, key: Key) -> None:
        """Remove the record of *key*, which does not exist any more."""
        self._records.pop(key, None)

    def __len__(self) -> int:
        """Number of HealthIngests of which something is known."""
        return len(self._records)
