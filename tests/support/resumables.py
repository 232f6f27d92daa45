"""Values of resumable uploads with defaults for what a test does not need."""

from datetime import datetime, timedelta
from uuid import uuid4

from healthingest_service.identity.model import AccountId
from healthingest_service.studies.model import DEFAULT_STUDY, Subject
from healthingest_service.uploads.resumable import Part, Resumable, ResumableId, part_key
from support.uploads import NOON, owner

LIFETIME_SECONDS = 3600.0


def resumable(
    size_bytes: int = 100,
    *,
    of: AccountId | None = None,
    about: Subject | None = None,
    at: datetime = NOON,
) -> Resumable:
    """Return a new resumable upload."""
    return Resumable(
        id=ResumableId(uuid4()),
        owner=of or owner(),
        study=DEFAULT_STUDY if about is None else about.study,
        subject=None if about is None else about.pseudonym,
        size_bytes=size_bytes,
        metadata="filename bm90ZXMuYXZybw==",
        expires_at=at + timedelta(seconds=LIFETIME_SECONDS),
    )


def part(of: Resumable, first_byte: int, size_bytes: int) -> Part:
    """Return a part of that upload."""
    return Part(first_byte, size_bytes, part_key(of.id, of.writer, first_byte))
