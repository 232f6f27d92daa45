"""
The messages about stored and erased uploads, and their conversion to and from bytes.

The body is JSON, and its fields are a contract with consumers. The headers have the CloudEvents
attributes, by the AMQP binding (prefix `cloudEvents:`). See docs/reference/api.md, "The message".
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final, Self
from uuid import UUID

EVENT_TYPE: Final = "dev.healthingest.upload.stored.v1"
ERASED_EVENT_TYPE: Final = "dev.healthingest.upload.erased.v1"
EVENT_TYPE_HEADER: Final = "cloudEvents:type"
EVENT_SOURCE: Final = "/healthingest/uploads"
CONTENT_TYPE: Final = "application/json"
DEFAULT_STUDY: Final = "default"
TRACEPARENT: Final = "traceparent"
"""Header of a message with the trace that it belongs to (W3C Trace Context)."""


_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def _encoded(body: Mapping[str, Any]) -> bytes:
    return _ENCODER.encode(body).encode()


def rfc3339(time: datetime) -> str:
    """Format a timezone-aware time in UTC with microseconds: `2026-11-24T20:15:00.000000Z`."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True, slots=True)
class UploadStored:
    """
    An upload is stored and may be processed.

    `idempotency_key` is the same in every message about an upload; consumers drop repeats by it.
    `file_hash` is the SHA-256 of the object in lower-case hexadecimal, `schema_fingerprint` the
    SHA-256 of the writer schema's parsing canonical form. `subject` is a pseudonym within `study`;
    in the study `default` it is `user_id`. Messages of earlier versions lack both.
    """

    bucket: str
    key: str
    user_id: UUID
    record_type: str
    upload_timestamp_utc: datetime
    correlation_id: str
    file_size_bytes: int
    file_hash: str
    record_count: int
    idempotency_key: str
    schema_name: str
    schema_fingerprint: str
    study: str = DEFAULT_STUDY
    subject: str = ""

    def to_bytes(self) -> bytes:
        """Return the body, UTF-8 JSON with sorted keys; equal values give equal bytes."""
        body = {name: getattr(self, name) for name in self.__slots__}
        body["user_id"] = str(self.user_id)
        body["upload_timestamp_utc"] = rfc3339(self.upload_timestamp_utc)
        return _encoded(body)

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """
        Parse a body; unknown fields, of later versions, are ignored.

        Raises:
            ValueError: *body* is not such a message; the error contains nothing of it.
        """
        try:
            read: dict[str, Any] = json.loads(body)
            read = {"study": DEFAULT_STUDY, "subject": read["user_id"], **read}
            known = {field.name: read[field.name] for field in fields(cls)}
            known["user_id"] = UUID(known["user_id"])
            known["upload_timestamp_utc"] = datetime.fromisoformat(known["upload_timestamp_utc"])
        except (KeyError, TypeError, ValueError, AttributeError):
            message = "not a message about a stored upload"
            raise ValueError(message) from None
        return cls(**known)

    def cloud_event_headers(self, message_id: str) -> dict[str, str]:
        """
        Return the headers of the CloudEvents AMQP binding, version 1.0.2.

        *message_id* is the id of the row in the outbox.
        """
        return {
            "cloudEvents:specversion": "1.0",
            "cloudEvents:id": message_id,
            "cloudEvents:source": EVENT_SOURCE,
            EVENT_TYPE_HEADER: EVENT_TYPE,
            "cloudEvents:subject": self.key,
            "cloudEvents:time": rfc3339(self.upload_timestamp_utc),
            "cloudEvents:datacontenttype": CONTENT_TYPE,
        }


@dataclass(frozen=True, slots=True)
class UploadErased:
    """
    An upload was erased; consumers erase what they have of it.

    `upload_id` is the `idempotency_key` of the message about the stored upload. A consumer may get
    this message although it never got that one. `reason` is the kind of the erasure: `upload`,
    `subject`, `account`, `study` or `retention`. It names no person and no object key.
    """

    upload_id: UUID
    study: str
    record_type: str
    erased_at: datetime
    erasure_id: UUID
    reason: str

    def to_bytes(self) -> bytes:
        """Return the body, UTF-8 JSON with sorted keys; equal values give equal bytes."""
        body = asdict(self) | {
            "upload_id": str(self.upload_id),
            "erasure_id": str(self.erasure_id),
            "erased_at": rfc3339(self.erased_at),
        }
        return _encoded(body)

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """
        Parse a body; unknown fields, of later versions, are ignored.

        Raises:
            ValueError: *body* is not such a message; the error contains nothing of it.
        """
        try:
            read: dict[str, Any] = json.loads(body)
            known = {field.name: read[field.name] for field in fields(cls)}
            known["upload_id"] = UUID(known["upload_id"])
            known["erasure_id"] = UUID(known["erasure_id"])
            known["erased_at"] = datetime.fromisoformat(known["erased_at"])
        except (KeyError, TypeError, ValueError, AttributeError):
            message = "not a message about an erased upload"
            raise ValueError(message) from None
        return cls(**known)

    def cloud_event_headers(self, message_id: str) -> dict[str, str]:
        """Return the headers of the CloudEvents AMQP binding; the subject is the upload's id."""
        return {
            "cloudEvents:specversion": "1.0",
            "cloudEvents:id": message_id,
            "cloudEvents:source": EVENT_SOURCE,
            EVENT_TYPE_HEADER: ERASED_EVENT_TYPE,
            "cloudEvents:subject": str(self.upload_id),
            "cloudEvents:time": rfc3339(self.erased_at),
            "cloudEvents:datacontenttype": CONTENT_TYPE,
        }
