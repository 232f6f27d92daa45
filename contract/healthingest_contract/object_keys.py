"""
Formats and parses object keys; no other module does.

`raw/{record_type}/{YYYY}/{MM}/{DD}/{user_id}_{YYYYMMDD}_{HHMMSS}_{sha256}.avro`, in UTC. Consumers
can list objects by type and date. The SHA-256 distinguishes two files of the same second. See
docs/decisions/0004-object-keys.md.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

from healthingest_contract.topology import RECORD_TYPE_PATTERN, is_record_type

PREFIX: Final = "raw/"
ANCHOR_PREFIX: Final = "audit/anchors/"
"""
The prefix of anchors of the audit log, which are no uploads.

Janitor, consistency check and rebuild list `PREFIX` only, and never see them.
"""
ERASURES_PREFIX: Final = "erasures/"
"""The prefix of the records of erasures."""
PARTS_PREFIX: Final = "parts/"
"""The prefix of the parts of resumable uploads that are not finished."""
AFTER_ALL_KEYS: Final = PREFIX[:-1] + chr(ord(PREFIX[-1]) + 1)
"""A text that is greater than every key, in byte order."""

_CACHED_KEYS: Final = 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(
    rf"raw/(?P<record_type>{RECORD_TYPE_PATTERN})/"
    r"(?P<year>[1-9]\d{3})/(?P<month>\d\d)/(?P<day>\d\d)/"
    r"(?P<user_id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})_"
    r"(?P=year)(?P=month)(?P=day)_(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)_"
    r"(?P<sha256>[0-9a-f]{64})\.avro",
    re.ASCII,
)
_TIME: Final = ("year", "month", "day", "hour", "minute", "second")


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """The parts of a key. `uploaded_at` is timezone-aware; the key has whole seconds only."""

    record_type: str
    user_id: UUID
    uploaded_at: datetime
    sha256: str

    def __post_init__(self) -> None:
        if not is_record_type(self.record_type):
            message = "not a record type"
            raise ValueError(message)
        if _SHA256.fullmatch(self.sha256) is None:
            message = "not a SHA-256 in lower-case hexadecimal"
            raise ValueError(message)
        if self.uploaded_at.tzinfo is None:
            message = "uploaded_at has no time zone"
            raise ValueError(message)

    def __str__(self) -> str:
        at = self.uploaded_at.astimezone(UTC)
        name = f"{self.user_id}_{at:%Y%m%d_%H%M%S}_{self.sha256}.avro"
        return f"{PREFIX}{self.record_type}/{at:%Y/%m/%d}/{name}"


def is_object_key(key: str) -> bool:
    """Return whether *key* is a valid object key."""
    try:
        parse(key)
    except ValueError:
        return False
    return True


def before_hash(key: str) -> str:
    """Return *key* without its SHA-256, a text that sorts before it; others are unchanged."""
    return key.rpartition("_")[0] if is_object_key(key) else key


@lru_cache(maxsize=_CACHED_KEYS)
def parse(key: str) -> ObjectKey:
    """
    Parse a key. An upload parses its key several times, so recent ones are kept.

    Raises:
        ValueError: *key* differs from every text that `str(ObjectKey(…))` returns.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        message = "not an object key of an upload"
        raise ValueError(message)
    year, month, day, hour, minute, second = map(int, match.group(*_TIME))
    return ObjectKey(
        record_type=match["record_type"],
        user_id=UUID(match["user_id"]),
        uploaded_at=datetime(year, month, day, hour, minute, second, tzinfo=UTC),
        sha256=match["sha256"],
    )
