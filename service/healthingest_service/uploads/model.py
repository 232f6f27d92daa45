"""
What an upload is, as frozen values.

Times are aware and in UTC, sizes in bytes, hashes SHA-256 in lower-case hex.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from healthingest_service.identity.model import AccountId

UploadId = NewType("UploadId", UUID)
MessageId = NewType("MessageId", UUID)
IdempotencyKey = NewType("IdempotencyKey", str)
Sha256 = NewType("Sha256", str)


class UploadState(StrEnum):
    """
    How far an upload has come.

    It moves forward, or vanishes while still `storing`. One that is `lost` is stored anew when its
    owner sends the same bytes again, or found again.
    """

    STORING = "storing"
    STORED = "stored"
    ANNOUNCED = "announced"
    LOST = "lost"
    """It was stored, and its object is gone or has other bytes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One reason to refuse a file: a stable code, words for people, and where.

    It never holds a value from the file.

    `block` and `record` count from 0, `offset` is in bytes of the file, `path` names fields of the
    schema. `pointer` is a JSON pointer into the schema, `nearest_name` the valid name nearest to
    it. `cause` is a closer reason where one is recognised, `limit` the limit that was exceeded.
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
    What the gate found a correct file to be.

    `schema_name` is the full name, `record_type` the short one.
    """

    record_type: str
    schema_name: str
    schema_fingerprint: str
    codec: str
    block_count: int
    record_count: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the client gets and may ask for again; the same for every repeat of one upload."""

    upload_id: UploadId
    object_key: str
    correlation_id: str
    record_type: str
    record_count: int
    file_size_bytes: int
    file_hash: Sha256


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload as the ledger keeps it."""

    id: UploadId
    owner: AccountId
    state: UploadState
    receipt: Receipt
    schema_name: str
    schema_fingerprint: str
    received_at: datetime
    stored_at: datetime | None = None
    announced_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """
    The outcome of accepting a body.

    Its receipt, and whether it is that of an earlier, equal upload.
    """

    receipt: Receipt
    replayed: bool


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What the object store says about an object. `sha256` is None when the store kept none."""

    size_bytes: int
    sha256: Sha256 | None


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """
    A row of the outbox.

    A message that will be announced, again and again, until the broker has confirmed it.
    """

    id: MessageId
    upload_id: UploadId
    routing_key: str
    body: bytes
    headers: Mapping[str, str]
    created_at: datetime
    attempts: int = 0


class PutOffReason(StrEnum):
    """
    Why a message was not announced at the last attempt.

    Also the outcome that the relay counts.
    """

    UNROUTABLE = "unroutable"
    """No exchange, or no queue is bound."""
    REFUSED = "refused"
    """A queue is full, or the broker says no for another reason."""
    UNREACHABLE = "unreachable"
    """No connection, or no confirm in time."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Messages not yet announced. `oldest_age_seconds` is 0 when there is none."""

    count: int
    oldest_age_seconds: float


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Uploads of one owner, newest first, and the cursor of the next page (None = last page)."""

    uploads: tuple[Upload, ...]
    next_cursor: str | None
