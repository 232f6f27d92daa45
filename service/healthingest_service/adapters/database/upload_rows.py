"""
Begins the row of an upload, unless a tombstone refuses it.

The condition is part of the statement that inserts the row, so a plain upload costs no further
request.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import BindParameter, TextClause, Uuid, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import LargeBinary

from healthingest_contract import object_keys
from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.erasure_tables import TombstoneRow
from healthingest_service.adapters.database.statement import Statement
from healthingest_service.adapters.database.tables import IdempotencyKeyRow, UploadRow
from healthingest_service.uploads.model import Upload

SUBJECT_IS_ERASED: Final = (
    select(TombstoneRow.id).where(TombstoneRow.id == bindparam("subject_id", type_=Uuid())).exists()
)
REFUSED_BY_TOMBSTONE: Final = select(
    SUBJECT_IS_ERASED,
    select(TombstoneRow.id)
    .where(TombstoneRow.upload_hash == bindparam("hash", type_=LargeBinary()))
    .exists(),
)
"""Whether the subject is erased, and whether the bytes are."""
_NO_COLUMNS: Final = frozenset({"subject_id", "key", "created_at"})
"""Values of the statements that are no columns of the upload."""
_NO_CONFLICT: Final = " ON CONFLICT DO NOTHING"


def begun_values(
    upload: Upload, lease_until: datetime, upload_hash: bytes | None
) -> dict[str, Any]:
    """Return the columns of a new upload, and the id of its subject as `subject_id`."""
    subject_id = object_keys.parse(upload.receipt.object_key).user_id
    values = rows.upload_values(upload, lease_until)
    return values | {"erasure_hash": upload_hash, "subject_id": subject_id}


async def is_begun(connection: AsyncConnection, values: Mapping[str, Any]) -> bool:
    """Insert the row, unless a unique constraint or a tombstone forbids it."""
    done = await connection.execute(_insert(_columns(values)), values)
    return done.rowcount == 1


def beginning(values: Mapping[str, Any]) -> Statement:
    """Return the statement that begins an upload; it changes a row unless `is_begun` is false."""
    return _beginning(_columns(values))


def beginning_with_key(values: Mapping[str, Any]) -> Statement:
    """
    Return the statement that begins an upload, and remembers its `key` since `created_at`.

    It is for PostgreSQL. It changes no row if the owner has used the key. It breaks the unique
    constraint of keys if another request uses the key at this moment.
    """
    return _beginning_with_key(_columns(values))


def _columns(values: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in values if name not in _NO_COLUMNS)


@cache
def _beginning(names: tuple[str, ...]) -> Statement:
    return Statement(_insert(names))


@cache
def _beginning_with_key(names: tuple[str, ...]) -> Statement:
    insert = _insert_text(names)
    statement = (
        f"WITH begun AS ({insert[: -len(_NO_CONFLICT)]}"  # noqa: S608 - see `_insert_text`
        " AND NOT EXISTS (SELECT 1 FROM idempotency_key WHERE owner_id = :owner_id AND key = :key)"
        f"{_NO_CONFLICT} RETURNING id)"
        " INSERT INTO idempotency_key (owner_id, key, upload_id, created_at)"
        " SELECT :owner_id, :key, id, :created_at FROM begun"
    )
    key = IdempotencyKeyRow.__table__.c
    also = (bindparam(name, type_=key[name].type) for name in ("key", "created_at"))
    return Statement(text(statement).bindparams(*_binds(names), *also))


@cache
def _insert(names: tuple[str, ...]) -> TextClause:
    """Return the cached statement, as text: SQLAlchemy would compile it at each call."""
    return text(_insert_text(names)).bindparams(*_binds(names))


def _insert_text(names: tuple[str, ...]) -> str:
    given = ", ".join(f":{name}" for name in names)
    return (  # S608: names are the table's own
        f"INSERT INTO upload ({', '.join(names)}) SELECT {given}"  # noqa: S608
        " WHERE NOT EXISTS (SELECT 1 FROM tombstone WHERE id = :subject_id)"
        " AND NOT EXISTS (SELECT 1 FROM tombstone WHERE upload_hash = :erasure_hash)"
        f"{_NO_CONFLICT}"
    )


def _binds(names: tuple[str, ...]) -> Iterator[BindParameter[Any]]:
    columns = UploadRow.__table__.c
    yield from (bindparam(name, type_=columns[name].type) for name in names)
    yield bindparam("subject_id", type_=Uuid())
