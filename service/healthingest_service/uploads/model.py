"""
The values of the core: uploads, receipts, findings and messages.

Times are timezone-aware and in UTC, sizes in bytes, hashes SHA-256 in lower-case hex.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NewType
from uuid import UUID

from healthingest_service.identity.model import AccountId
from healthingest_service.studies.model import DEFAULT_STUDY, Pseudonym, StudySlug

UploadId = NewType("UploadId", UUID)
MessageId = NewType("MessageId", UUID)
IdempotencyKey = NewType("IdempotencyKey", str)
Sha256 = NewType("Sha256", str)


class UploadState(StrEnum):
    """
    The state of an upload: `storing`, then `stored`, then `announced`.

    A row in state `storing` may be removed. A `lost` upload is stored again when its owner sends
    the same bytes, and returns to its previous state when its object is found again.
    """

    STORING = "storing"
    STORED = "stored"
    ANNOUNCED = "announced"
    LOST = "lost"
    """The upload was stored, but its object is missing or has other bytes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One reason why a file was refused: a stable code, a message, a remedy, and the place.

    It never contains a value of the file. `block` and `record` count from 0, `offset` is in bytes
    of the file, `path` names fields of the schema. `pointer` is a JSON pointer into the schema,
    `nearest_name` the valid name nearest to it. `cause` is a more specific reason if known, `limit`
    the exceeded limit.
    """

    code: str
    message: str
    remedy: str
    block: int | None = None
    record: int | None = None
    offset: int | None = None
    path: str | None = None
    pointer: str | None = None
    nearest_name: str | None = None
    cause: str | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """
    The Avro gate's description of a valid file.

    `schema_name` is the full name of the record schema, `record_type` the name without namespace.
    """

    record_type: str
    schema_name: str
    schema_fingerprint: str
    codec: str
    block_count: int
    record_count: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receipt that the client gets; identical for every repetition of an upload."""

    upload_id: UploadId
    object_key: str
    correlation_id: str
    record_type: str
    record_count: int
    file_size_bytes: int
    file_hash: Sha256


@dataclass(frozen=True, slots=True)
class Upload:
    """
    An upload as the database keeps it.

    `subject` is None in the study `default`, in which the subject is the owner.
    """

    id: UploadId
    owner: AccountId
    state: UploadState
    receipt: Receipt
    schema_name: str
    schema_fingerprint: str
    received_at: datetime
    stored_at: datetime | None = None
    announced_at: datetime | None = None
    study: StudySlug = DEFAULT_STUDY
    subject: Pseudonym | None = None

    @property
    def subject_name(self) -> str:
        """The pseudonym of the subject, or the id of the owner."""
        return str(self.owner) if self.subject is None else self.subject


@dataclass(frozen=True, slots=True)
class Accepted:
    """
    An accepted upload.

    `replayed` means that the receipt is that of an earlier upload with the same bytes or key.
    """

    receipt: Receipt
    replayed: bool


@dataclass(frozen=True, slots=True)
class StoredObject:
    """
    Size, hash and metadata of an object.

    `sha256` is None if the store has no hash of it. `metadata` is empty if the store keeps none.
    """

    size_bytes: int
    sha256: Sha256 | None
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class NewObject:
    """
    An object to store: `content` has its bytes, or is the path of the file that has them.

    `metadata` has names in lower case with hyphens, and printable ASCII values; at most 1,500 bytes
    together, because S3 limits them to 2 KB.
    """

    key: str
    content: bytes | Path
    size_bytes: int
    sha256: Sha256
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """
    A message in the outbox, which the relay publishes until the broker has confirmed it.

    `upload_id` is None if the upload was erased.
    """

    id: MessageId
    upload_id: UploadId | None
    routing_key: str
    body: bytes
    headers: Mapping[str, str]
    created_at: datetime
    attempts: int = 0


class DeferralReason(StrEnum):
    """
    Why the last attempt to announce a message failed.

    Its values are also outcomes in the counts of the relay.
    """

    UNROUTABLE = "unroutable"
    """The exchange is missing, or no queue is bound."""
    REFUSED = "refused"
    """The broker answered with a nack, for example because a queue is full."""
    UNREACHABLE = "unreachable"
    """The broker has no connection, or sent no confirm within the deadline."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The messages not yet announced. `oldest_age_seconds` is 0 if `count` is 0."""

    count: int
    oldest_age_seconds: float


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Uploads of one owner, newest first, and the cursor of the next page (None = last page)."""

    uploads: tuple[Upload, ...]
    next_cursor: str | None
