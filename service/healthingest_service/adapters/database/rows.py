"""Converts database rows to values of the core, and back."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, TextClause, bindparam, delete, select, text, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from healthingest_service.adapters.database.tables import Base
from healthingest_service.identity.model import AccountId
from healthingest_service.studies.model import Pseudonym, StudySlug
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


async def is_inserted(
    connection: AsyncConnection, table: type[Base], values: Mapping[str, Any]
) -> bool:
    """Insert a row, unless a unique constraint forbids it; returns whether it was inserted."""
    done = await connection.execute(_insert_or_nothing(table, tuple(values)), values)
    return done.rowcount == 1


async def inserted_ids(
    connection: AsyncConnection, table: type[Base], values: Sequence[Mapping[str, Any]]
) -> frozenset[UUID]:
    """Insert rows, except those that a unique constraint forbids; returns the inserted ids."""
    if not values:
        return frozenset()
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table).on_conflict_do_nothing().returning(table.__table__.c.id)
    return frozenset(await connection.scalars(statement, list(values)))


async def remove_oldest(
    connection: AsyncConnection,
    table: type[Base],
    *is_wanted: ColumnElement[bool],
    oldest_first: ColumnElement[Any],
    limit: int,
    returning: ColumnElement[Any] | None = None,
) -> Sequence[Any]:
    """
    Remove up to *limit* rows, and return the column *returning* of each, by default its first key.

    Rows that another process is removing are skipped. PostgreSQL evaluates the rows of a statement
    with a lock once, so the limit holds whatever the plan.
    """
    keys = tuple(table.__table__.primary_key)
    some = (
        select(*keys)
        .where(*is_wanted)
        .order_by(oldest_first)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("some")
    )
    gone = delete(table).where(tuple_(*keys).in_(select(*some.c)))
    return (
        await connection.scalars(gone.returning(keys[0] if returning is None else returning))
    ).all()


@cache
def _insert_or_nothing(table: type[Base], names: tuple[str, ...]) -> TextClause:
    """
    Return a cached `INSERT … ON CONFLICT DO NOTHING`, as text.

    SQLAlchemy would compile its own construct at each call, which takes longer than to execute it.
    """
    columns = [table.__table__.c[name] for name in names]
    values = ", ".join(f":{column.name}" for column in columns)
    into = f"{table.__tablename__} ({', '.join(names)})"
    # S608: names are the table's own
    statement = f"INSERT INTO {into} VALUES ({values}) ON CONFLICT DO NOTHING"  # noqa: S608
    return text(statement).bindparams(
        *(bindparam(column.name, type_=column.type) for column in columns)
    )


def upload(row: Row[Any]) -> Upload:
    """Convert a complete row of `upload`."""
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
        study=StudySlug(row.study),
        subject=Pseudonym(row.subject) if row.subject else None,
    )


def upload_values(new: Upload, lease_until: datetime | None) -> dict[str, Any]:
    """Return the columns of a new upload; only one in state `storing` has *lease_until*."""
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
        "study": new.study,
        "subject": new.subject or "",
    }


OUTBOX: Final = (
    "id",
    "upload_id",
    "routing_key",
    "body",
    "headers",
    "created_at",
    "attempts",
    "due_at",
)
"""The columns of `outbox_values`; the other columns are NULL at first."""


def outbox_values(message: OutgoingMessage) -> dict[str, Any]:
    """Return the columns of a message that is due at once."""
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
    """Convert a complete row of `outbox`."""
    return OutgoingMessage(
        id=MessageId(row.id),
        upload_id=None if row.upload_id is None else UploadId(row.upload_id),
        routing_key=row.routing_key,
        body=row.body,
        headers=row.headers,
        created_at=row.created_at,
        attempts=row.attempts,
    )


def cursor(last: Upload) -> str:
    """Return the cursor after *last*; it stays valid if rows are added or removed."""
    return base64.urlsafe_b64encode(f"{last.received_at.isoformat()}|{last.id}".encode()).decode()


def parse_cursor(text: str) -> tuple[datetime, UUID]:
    """
    Return time and id of a cursor.

    Raises:
        InvalidCursorError: *text* was not returned by `cursor`.
    """
    try:
        at, _, identity = (
            base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
            .decode("ascii")
            .partition("|")
        )
        received_at = datetime.fromisoformat(at)
        if received_at.tzinfo is None:
            raise InvalidCursorError
        return received_at.astimezone(UTC), UUID(identity)
    except (ValueError, OverflowError, binascii.Error, UnicodeError):
        # OverflowError: a year outside the range of datetime
        raise InvalidCursorError from None
