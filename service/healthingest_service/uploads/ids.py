"""
New ids.

An upload's is a UUID of version 7 (RFC 9562, 5.7): rows lie in the order in which they came.
"""

import secrets
from datetime import datetime
from uuid import UUID, uuid4

from healthingest_service.uploads.model import MessageId, UploadId


def new_upload_id(at: datetime) -> UploadId:
    """48 bits of milliseconds, then version, 12 random bits, variant, 62 random bits."""
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
    """Not greater than any id of an upload that was received at *at* or later."""
    return UploadId(UUID(int=(int(at.timestamp() * 1000) & (1 << 48) - 1) << 80))


def new_message_id() -> MessageId:
    """Random: it names one row of the outbox and one message."""
    return MessageId(uuid4())
