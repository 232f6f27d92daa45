"""Values of the upload core with defaults for what a test does not need."""

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from healthingest_contract.object_keys import ObjectKey
from healthingest_service.identity.model import AccountId, Principal, Scope
from healthingest_service.studies.model import DEFAULT_STUDY, Subject
from healthingest_service.uploads.announcement import announcement
from healthingest_service.uploads.ids import new_upload_id
from healthingest_service.uploads.model import OutgoingMessage, Receipt, Sha256, Upload, UploadState

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BUCKET = "bucket"


class Clock:
    """A clock that stops until it is moved."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


def sha256(content: bytes) -> Sha256:
    """Return the hash in the form of our values."""
    return Sha256(hashlib.sha256(content).hexdigest())


def owner() -> AccountId:
    """Return a new owner."""
    return AccountId(uuid4())


def principal(account: AccountId) -> Principal:
    """Return that owner, allowed to upload."""
    return Principal(account, frozenset({Scope.UPLOAD_WRITE}), "token")


def upload(
    content: bytes = b"content",
    *,
    of: AccountId | None = None,
    at: datetime = NOON,
    record_type: str = "HeartRateRecord",
    about: Subject | None = None,
) -> Upload:
    """Return a new upload of these bytes, in state `storing`."""
    account = of or owner()
    upload_id = new_upload_id(at)
    key_id = account if about is None else about.id
    return Upload(
        id=upload_id,
        owner=account,
        state=UploadState.STORING,
        receipt=Receipt(
            upload_id=upload_id,
            object_key=str(ObjectKey(record_type, key_id, at, sha256(content))),
            correlation_id="correlation",
            record_type=record_type,
            record_count=3,
            file_size_bytes=len(content),
            file_hash=sha256(content),
        ),
        schema_name=f"test.records.{record_type}",
        schema_fingerprint="0" * 64,
        received_at=at,
        study=DEFAULT_STUDY if about is None else about.study,
        subject=None if about is None else about.pseudonym,
    )


def message(of: Upload, *, at: datetime = NOON) -> OutgoingMessage:
    """Return the message about it."""
    return announcement(of, BUCKET, at=at)
