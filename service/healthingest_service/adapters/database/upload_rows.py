"""
Begins the row of an upload, unless a tombstone refuses it.

The condition is part of the statement that inserts the row, so a plain upload costs no further
request.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import TextClause, Uuid, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import LargeBinary

from healthingest_contract import object_keys
from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.erasure_tables import TombstoneRow
from healthingest_service.adapters.database.tables import UploadRow
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


def begun_values(
    upload: Upload, lease_until: datetime, upload_hash: bytes | None
) -> dict[str, Any]:
    """Return the columns of a new upload, and the id of its subject as `subject_id`."""
    subject_id = object_keys.parse(upload.receipt.object_key).user_id
    values = rows.upload_values(upload, lease_until)
    return values | {"erasure_hash": upload_hash, "subject_id": subject_id}


async def is_begun(connection: AsyncConnection, values: Mapping[str, Any]) -> bool:
    """Insert the row, unless a unique constraint or a tombstone forbids it."""
    done = await connection.execute(_insert(tuple(values)), values)
    return done.rowcount == 1


@cache
def _insert(names: tuple[str, ...]) -> TextClause:
    """Return the cached statement, as text: SQLAlchemy would compile it at each call."""
    table = UploadRow.__table__
    columns = [table.c[name] for name in names if name != "subject_id"]
    into = ", ".join(column.name for column in columns)
    given = ", ".join(f":{column.name}" for column in columns)
    # S608: names are the table's own
    statement = (
        f"INSERT INTO upload ({into}) SELECT {given}"  # noqa: S608
        " WHERE NOT EXISTS (SELECT 1 FROM tombstone WHERE id = :subject_id)"
        " AND NOT EXISTS (SELECT 1 FROM tombstone WHERE upload_hash = :erasure_hash)"
        " ON CONFLICT DO NOTHING"
    )
    return text(statement).bindparams(
        *(bindparam(column.name, type_=column.type) for column in columns),
        bindparam("subject_id", type_=Uuid()),
    )
