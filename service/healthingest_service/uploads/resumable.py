"""
Resumable uploads: files that arrive in several requests, each of which may be cut.

The bytes lie in the object store as parts until the file is complete. Then it is accepted like a
file that came in one request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType
from uuid import UUID

from healthingest_contract.object_keys import PARTS_PREFIX
from healthingest_service.identity.model import AccountId
from healthingest_service.studies.model import DEFAULT_STUDY, Pseudonym, StudySlug
from healthingest_service.uploads.errors import FileRefusedError, UploadError
from healthingest_service.uploads.model import Finding, UploadId

ResumableId = NewType("ResumableId", UUID)
MAX_PARTS: Final = 10_000
"""As many parts as a multipart upload of S3 may have."""


class ResumableState(StrEnum):
    """The state of a resumable upload: `receiving`, then one of the others."""

    RECEIVING = "receiving"
    FINISHED = "finished"
    """The file was accepted as an upload, whose object has another id."""
    REFUSED = "refused"
    """The file was refused; nothing of it is stored any more."""
    ENDED = "ended"
    """Terminated, expired or erased; its parts are being removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumable:
    """
    A resumable upload.

    `size_bytes` is the size of the whole file, None while its client has not said it, and
    `received_bytes` the number of leading bytes that are durable. `writer` counts the requests that
    have sent bytes: only the latest may add some. `is_busy` is whether one of them may still be
    sending. `metadata` is the client's text. `subject` is None in the study `default`.
    """

    id: ResumableId
    owner: AccountId
    study: StudySlug = DEFAULT_STUDY
    subject: Pseudonym | None = None
    size_bytes: int | None
    metadata: str = ""
    state: ResumableState = ResumableState.RECEIVING
    received_bytes: int = 0
    writer: int = 0
    expires_at: datetime
    is_busy: bool = False
    upload_id: UploadId | None = None
    findings: tuple[Finding, ...] = ()

    def refuse_if_over(self) -> None:
        """
        Refuse what can neither go on nor was accepted.

        Raises:
            FileRefusedError: the file was refused.
            ResumableEndedError: it was terminated, has expired, or was erased.
        """
        if self.state is ResumableState.REFUSED:
            raise FileRefusedError(self.findings)
        if self.state is ResumableState.ENDED:
            raise ResumableEndedError


@dataclass(frozen=True, slots=True)
class Part:
    """A stored part: its first byte in the file, its size, and the key of its object."""

    first_byte: int
    size_bytes: int
    key: str


def part_key(resumable_id: ResumableId, writer: int, first_byte: int) -> str:
    """Return the object key of a part; no two attempts to store bytes have the same key."""
    return f"{PARTS_PREFIX}{resumable_id}/{writer}-{first_byte}"


def resumable_of(key: str) -> ResumableId | None:
    """Return the resumable upload of a part's key; None: the key is not one of a part."""
    identity, _, _ = key.removeprefix(PARTS_PREFIX).partition("/")
    try:
        return ResumableId(UUID(identity)) if key.startswith(PARTS_PREFIX) else None
    except ValueError:
        return None


def is_gapless(parts: Sequence[Part], received_bytes: int) -> bool:
    """Return whether *parts*, in order, have exactly the first *received_bytes* of the file."""
    at = 0
    for part in parts:
        if part.first_byte != at:
            return False
        at += part.size_bytes
    return at == received_bytes


class ResumableError(UploadError):
    """The base class of errors of resumable uploads."""


class ResumableNotFoundError(ResumableError):
    """The caller has no such resumable upload."""


class ResumableEndedError(ResumableError):
    """It was terminated, has expired, or was erased; begin again."""


class OffsetMismatchError(ResumableError):
    """The bytes do not continue those that are stored; ask for the offset."""

    def __init__(self, received_bytes: int) -> None:
        super().__init__(f"{received_bytes} bytes are stored")
        self.received_bytes = received_bytes


class ReplacedError(ResumableError):
    """A newer request sends the bytes of this upload now."""


class ResumableBusyError(ResumableError):
    """Another request stores bytes of this upload, which takes longer than a request may wait."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("busy")
        self.retry_after_seconds = retry_after_seconds


class TooManyPartsError(ResumableError):
    """The upload has as many parts as it may have: its requests were too small."""


class TooManyResumableError(ResumableError):
    """The account has as many unfinished resumable uploads as it may have."""


class InconsistentLengthError(ResumableError):
    """The file was declared to have another size before."""


class LengthExceededError(ResumableError):
    """More bytes came than the file was declared to have."""
