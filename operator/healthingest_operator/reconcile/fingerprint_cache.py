"""Fingerprints of the external state at the last full reconciliation, kept in this process."""

from healthingest_operator.api.healthingest import HealthIngest, Key
from healthingest_operator.reconcile.ttl_cache import TtlCache


class FingerprintCache:
    """
    Fingerprints of Ready HealthIngests, and a short-lived cache of the user's Secrets.

    The cache only saves work: an empty cache leads to a full reconciliation.
    """

    def __init__(self) -> None:
        self._recorded: dict[Key, tuple[HealthIngest, str]] = {}
        self.secrets = TtlCache()

    def recorded(self, key: Key) -> tuple[HealthIngest, str] | None:
        """Return the HealthIngest and its fingerprint as recorded; None: nothing is recorded."""
        return self._recorded.get(key)

    def record(self, owner: HealthIngest, fingerprint: str | None) -> None:
        """Record *fingerprint*; None: part of the state is unknown, so nothing is recorded."""
        if fingerprint is not None:
            self._recorded[owner.key] = owner, fingerprint

    def discard(self, key: Key) -> None:
        """Discard the fingerprint, so that the next reconciliation is a full one."""
        self._recorded.pop(key, None)
