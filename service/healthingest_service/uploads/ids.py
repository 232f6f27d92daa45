"""
Generates ids of uploads and messages.

The id of an upload is a UUID of version 7 (RFC 9562, 5.7), so ids sort by time of receipt.
"""

import secrets
from datetime import datetime
from uuid import UUID, uuid4

from healthingest_service.uploads.model import MessageId, UploadId


def new_upload_id(at: datetime) -> UploadId:
    """Return a new UUIDv7: milliseconds (48 bits), version, 12 random, variant, 62 random bits."""
    milliseconds = int(at.timestamp() * 1000) & (1 << 48) - 1
    value = (
        milliseconds << 80
        | 0x7 << 76
        | secrets.randbits(12) << 64
        | 0b10 << 62
        | secrets.randbits(62)
    )
    return UploadId(UUID(int=value))


def first_upload_id(at: datetime) -> UploadId:
    """Return a lower bound of the ids of uploads received at *at* or later."""
    return UploadId(UUID(int=(int(at.timestamp() * 1000) & (1 << 48) - 1) << 80))


def new_message_id() -> MessageId:
    """Return a new, random id for one row of the outbox and its message."""
    return MessageId(uuid4())
