"""
The values of erasure.

Times are timezone-aware and in UTC.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType
from uuid import UUID

from healthingest_service.identity.model import AccountId
from healthingest_service.studies.model import Pseudonym, StudySlug
from healthingest_service.uploads.model import OutgoingMessage, Upload, UploadId

ErasureId = NewType("ErasureId", UUID)


class ErasureKind(StrEnum):
    """What an erasure removes."""

    UPLOAD = "upload"
    SUBJECT = "subject"
    ACCOUNT = "account"
    """The uploads of an account in the study `default`."""
    STUDY = "study"
    RETENTION = "retention"
    """The uploads of a study that are older than its policy keeps them."""


class ErasureState(StrEnum):
    """
    The state of an erasure: `requested`, perhaps `holding`, `running`, then `done`.

    A `blocked` one waits for the end of an object lock or a legal hold.
    """

    REQUESTED = "requested"
    HOLDING = "holding"
    RUNNING = "running"
    BLOCKED = "blocked"
    DONE = "done"


OPEN_STATES: Final = frozenset(ErasureState) - {ErasureState.DONE}


@dataclass(frozen=True, slots=True)
class Scope:
    """
    The data that an erasure removes.

    `target` is the id of the upload, subject or account; None for a study. `received_before` is set
    for the kind `retention` only.
    """

    kind: ErasureKind
    study: StudySlug
    target: UUID | None = None
    received_before: datetime | None = None

    @property
    def name(self) -> str:
        """The unique name: there is one erasure of each scope."""
        if self.received_before is not None:
            return f"{self.kind}:{self.study}:{self.received_before.isoformat()}"
        return f"{self.kind}:{self.study if self.target is None else self.target}"


@dataclass(frozen=True, slots=True)
class ErasureCounts:
    """
    What an erasure has removed.

    `versions` counts versions and delete markers of objects, and unfinished multipart uploads.
    `withdrawn` messages left the outbox before their first attempt. `announced` uploads were told
    to consumers, or may have been; whether they have processed them is not known.
    """

    uploads: int = 0
    versions: int = 0
    withdrawn: int = 0
    announced: int = 0
    subjects: int = 0

    def plus(self, other: "ErasureCounts") -> "ErasureCounts":
        """Return the sums."""
        return ErasureCounts(
            self.uploads + other.uploads,
            self.versions + other.versions,
            self.withdrawn + other.withdrawn,
            self.announced + other.announced,
            self.subjects + other.subjects,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """
    An erasure.

    `starts_at` is the end of the hold time. `blocked_until` is set in the state `blocked`.
    `requested_by` is None for the janitor and for an administrator with a shell.
    """

    id: ErasureId
    scope: Scope
    state: ErasureState
    requested_at: datetime
    starts_at: datetime
    requested_by: AccountId | None = None
    counts: ErasureCounts = field(default_factory=ErasureCounts)
    blocked_until: datetime | None = None
    done_at: datetime | None = None
    certificate: str | None = None

    def locked_until(self, *, lock_days: int) -> datetime | None:
        """
        Return when the object lock of the latest file of the scope ends; None: nothing is locked.

        Each file is locked for *lock_days* after it was stored, and none is stored after the
        request. A legal hold, or a lock of other days when a file was stored, ends at another time.
        """
        if not lock_days or self.state is ErasureState.DONE:
            return None
        return (self.scope.received_before or self.requested_at) + timedelta(days=lock_days)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """
    The trace of an erased upload: nothing personal.

    `upload_hash` recognises the same bytes about the same subject, `key_hash` an object that comes
    late.
    """

    id: UUID
    study: StudySlug
    upload_hash: bytes
    key_hash: bytes


@dataclass(frozen=True, slots=True)
class ErasureBatch:
    """
    Uploads to erase now.

    `waiting` is the number of uploads of the scope whose writer may still be alive.
    """

    uploads: tuple[Upload, ...]
    waiting: int


@dataclass(frozen=True, slots=True)
class Forgetting:
    """An upload whose row goes, and the message that tells it; the message refers to no row."""

    upload_id: UploadId
    message: OutgoingMessage


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The result of `ErasureWork.forget`: the number of uploads that a relay holds, and counts."""

    held: int
    counts: ErasureCounts


@dataclass(frozen=True, slots=True)
class KnownSubject:
    """A subject of an erasure as the objects in the bucket name it, by its id and its hash."""

    id: UUID
    hidden: Pseudonym


@dataclass(frozen=True, slots=True)
class Totals:
    """The number of open erasures by state, and when the oldest one was requested."""

    by_state: dict[ErasureState, int]
    oldest_open_at: datetime | None
