"""Rows to values of the core, and back."""

import base64
import binascii
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from healthingest_service.adapters.database.tables import Base
from healthingest_service.identity.model import AccountId
from healthingest_service.uploads.errors import InvalidCursorError
from healthingest_service.uploads.model import (
    MessageId,
    OutgoingMessage,
    Receipt,
    Sha256,
    Upload,
    UploadId,
    UploadState,
)


def insert_or_nothing(connection: AsyncConnection, table: type[Base]) -> Any:  # noqa: ANN401 - two classes, one shape
    """An INSERT that leaves an existing row alone; `rowcount` tells which of the two happened."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()


def upload(row: Row[Any]) -> Upload:
    """A whole row of `upload`, as the core knows it."""
    return Upload(
        id=UploadId(row.id),
        owner=AccountId(row.owner_id),
        state=UploadState(row.state),
        receipt=Receipt(
            upload_id=UploadId(row.id),
            object_key=row.object_key,
            correlation_id=row.correlation_id,
            record_type=row.record_type,
            record_count=row.record_count,
            file_size_bytes=row.file_size_bytes,
            file_hash=Sha256(row.file_hash),
        ),
        schema_name=row.schema_name,
        schema_fingerprint=row.schema_fingerprint,
        received_at=row.received_at,
        stored_at=row.stored_at,
        announced_at=row.announced_at,
    )


def upload_values(new: Upload, lease_until: datetime) -> dict[str, Any]:
    """The columns of an upload that is being stored."""
    return {
        "id": new.id,
        "owner_id": new.owner,
        "state": new.state.value,
        "object_key": new.receipt.object_key,
        "correlation_id": new.receipt.correlation_id,
        "record_type": new.receipt.record_type,
        "record_count": new.receipt.record_count,
        "file_size_bytes": new.receipt.file_size_bytes,
        "file_hash": new.receipt.file_hash,
        "schema_name": new.schema_name,
        "schema_fingerprint": new.schema_fingerprint,
        "received_at": new.received_at,
        "lease_until": lease_until,
    }


def outbox_values(message: OutgoingMessage) -> dict[str, Any]:
    """The columns of a message that is due at once."""
    return {
        "id": message.id,
        "upload_id": message.upload_id,
        "routing_key": message.routing_key,
        "body": message.body,
        "headers": dict(message.headers),
        "created_at": message.created_at,
        "attempts": message.attempts,
        "due_at": message.created_at,
    }


def message(row: Row[Any]) -> OutgoingMessage:
    """A whole row of `outbox`, as the core knows it."""
    return OutgoingMessage(
        id=MessageId(row.id),
        upload_id=UploadId(row.upload_id),
        routing_key=row.routing_key,
        body=row.body,
        headers=row.headers,
        created_at=row.created_at,
        attempts=row.attempts,
    )


def cursor(last: Upload) -> str:
    """Where a page ended: opaque to clients, stable while rows come and go."""
    return base64.urlsafe_b64encode(f"{last.received_at.isoformat()}|{last.id}".encode()).decode()


def parse_cursor(text: str) -> tuple[datetime, UUID]:
    """
    Read a cursor back.

    Raises:
        InvalidCursorError: not one that `cursor` wrote.
    """
    try:
        at, _, identity = (
            base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True).decode("ascii").partition("|")
        )
        read = datetime.fromisoformat(at), UUID(identity)
    except (ValueError, binascii.Error, UnicodeError):
        raise InvalidCursorError from None
    if read[0].tzinfo is None:
        raise InvalidCursorError
    return read
