"""The salted hashes of subjects, and their erasure."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from uuid import UUID

from healthingest_service.audit.model import salted_hash
from healthingest_service.audit.ports import AuditSalts

CACHED_SALTS: Final = 10_000
CACHE_SECONDS: Final = 60.0


class SubjectHashes:
    """
    The salted hashes by which the audit log knows subjects.

    Each subject has its own salt, named after its random id. Salts stay in memory for a minute, so
    that an upload about the same subject needs no request to the database.
    """

    def __init__(
        self, salts: AuditSalts, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._salts = salts
        self._monotonic = monotonic
        self._cached: OrderedDict[UUID, tuple[float, bytes]] = OrderedDict()

    async def of(self, subject_id: UUID, pseudonym: str) -> str:
        """
        Return the hash of a subject; the first call for it makes its salt.

        Do not ask for an erased subject: it would get a new salt.

        Raises:
            AuditUnavailableError: the database gave no clear answer; repeating is safe.
        """
        now = self._monotonic()
        until, salt = self._cached.get(subject_id, (now, b""))
        if until <= now:
            salt = await self._salts.salt(subject_salt_name(subject_id))
            self._remember(subject_id, now + CACHE_SECONDS, salt)
        return salted_hash(salt, pseudonym)

    def _remember(self, subject_id: UUID, until: float, salt: bytes) -> None:
        self._cached.pop(subject_id, None)
        if len(self._cached) >= CACHED_SALTS:
            self._cached.popitem(last=False)
        self._cached[subject_id] = until, salt


def subject_salt_name(subject_id: UUID) -> str:
    """Return the name of the salt of a subject."""
    return f"subject/{subject_id}"
