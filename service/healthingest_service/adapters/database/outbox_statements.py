"""
The statements of the outbox, each of which is about all messages of a batch.

PostgreSQL gets the messages as arrays, so the text of a statement does not depend on their number,
and is prepared once. SQLite has no arrays, and repeats a statement for each message.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    String,
    TableValuedAlias,
    Uuid,
    bindparam,
    column,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from healthingest_service.adapters.database.tables import OutboxRow, UploadRow, UtcDateTime
from healthingest_service.uploads.model import (
    DeferralReason,
    MessageId,
    OutgoingMessage,
    UploadState,
)

Deferral = tuple[datetime, DeferralReason]
"""The time of the next attempt, and why the last one failed."""

_NOW: Final = bindparam("now", type_=UtcDateTime())
_DUE: Final = (
    select(OutboxRow.id)
    .where(
        OutboxRow.due_at <= _NOW,
        or_(OutboxRow.claimed_until.is_(None), OutboxRow.claimed_until < _NOW),
    )
    .order_by(OutboxRow.due_at, OutboxRow.created_at)  # the order of the index
    .limit(bindparam("limit", type_=Integer()))
    .with_for_update(skip_locked=True)
    .cte("due")
)
"""PostgreSQL evaluates the rows of a statement with a lock once, so the limit holds."""
_CLAIM: Final = (
    update(OutboxRow)
    .where(OutboxRow.id.in_(select(_DUE.c.id)))
    .values(claimed_until=bindparam("until", type_=UtcDateTime()))
    .returning(*OutboxRow.__table__.c)
)


def _rows_of_arrays(name: str, **types: TypeEngine[Any]) -> TableValuedAlias:
    """Return a table whose columns are parameters, each an array named as its column."""
    arrays = [bindparam(f"{key}s", type_=ARRAY(type_)) for key, type_ in types.items()]
    columns = [column(key, type_) for key, type_ in types.items()]
    return func.unnest(*arrays).table_valued(*columns, name=name).render_derived(name=name)


_CONFIRMED: Final = _rows_of_arrays("confirmed", id=Uuid(), at=UtcDateTime())
_REMOVED: Final = (
    delete(OutboxRow)
    .where(OutboxRow.id == _CONFIRMED.c.id)
    .returning(OutboxRow.upload_id, _CONFIRMED.c.at)
    .cte("removed")
)
_IS_STORED: Final = UploadRow.state == UploadState.STORED
_REMOVE: Final = (
    update(UploadRow)
    .where(UploadRow.id == _REMOVED.c.upload_id, _IS_STORED)
    .values(state=UploadState.ANNOUNCED, announced_at=_REMOVED.c.at)
)
"""Both at once: removes messages, and updates their uploads."""
_REMOVE_ONE: Final = delete(OutboxRow).where(OutboxRow.id == bindparam("message_id"))
_ANNOUNCE_ONE: Final = (
    update(UploadRow)
    .where(UploadRow.id == bindparam("of_upload"), _IS_STORED)
    .values(state=UploadState.ANNOUNCED, announced_at=bindparam("at"))
)


def _released(result: Mapping[str, ColumnElement[Any]]) -> dict[str, Any]:
    """Return the new values of a claimed message, of which at most one attempt has failed."""
    return {
        "claimed_until": None,
        "attempts": OutboxRow.attempts + result["failure"],
        "due_at": func.coalesce(result["retry_at"], OutboxRow.due_at),
        "deferral_reason": func.coalesce(result["reason"], OutboxRow.deferral_reason),
    }


_RESULT: Final[Mapping[str, TypeEngine[Any]]] = {
    "failure": Integer(),
    "retry_at": UtcDateTime(),
    "reason": String(),
}
_KEPT: Final = _rows_of_arrays("kept", id=Uuid(), **_RESULT)
_RELEASE: Final = (
    update(OutboxRow).where(OutboxRow.id == _KEPT.c.id).values(_released(dict(_KEPT.c.items())))
)
_RELEASE_ONE: Final = (
    update(OutboxRow)
    .where(OutboxRow.id == bindparam("message_id"))
    .values(_released({name: bindparam(name, type_=type_) for name, type_ in _RESULT.items()}))
)


async def claim(
    connection: AsyncConnection, *, now: datetime, until: datetime, limit: int
) -> Sequence[Row[Any]]:
    """Claim up to *limit* messages that are due at *now*; returns their rows, oldest first."""
    values = {"now": now, "until": until, "limit": limit}
    claimed = (await connection.execute(_CLAIM, values)).all()
    return sorted(claimed, key=lambda row: (row.due_at, row.created_at))  # RETURNING has no order


async def remove(
    connection: AsyncConnection,
    messages: Sequence[OutgoingMessage],
    announced_at: Mapping[MessageId, datetime],
) -> None:
    """Remove confirmed messages; their uploads become `announced`."""
    times = [announced_at[message.id] for message in messages]
    if connection.dialect.name == "postgresql":
        ids = [message.id for message in messages]
        await connection.execute(_REMOVE, {"ids": ids, "ats": times})
        return
    await connection.execute(_REMOVE_ONE, [{"message_id": message.id} for message in messages])
    await connection.execute(
        _ANNOUNCE_ONE,
        [
            {"of_upload": message.upload_id, "at": at}
            for message, at in zip(messages, times, strict=True)
        ],
    )


async def release(
    connection: AsyncConnection,
    messages: Sequence[OutgoingMessage],
    deferred: Mapping[MessageId, Deferral],
) -> None:
    """End the claim of messages. One in *deferred* is due later; others are due as before."""
    results = [_result(message.id, deferred.get(message.id)) for message in messages]
    if connection.dialect.name == "postgresql":
        arrays = {f"{name}s": [one[name] for one in results] for name in _RESULT}
        ids = [message.id for message in messages]
        await connection.execute(_RELEASE, {"ids": ids, **arrays})
        return
    await connection.execute(_RELEASE_ONE, results)


def _result(message_id: MessageId, deferral: Deferral | None) -> dict[str, Any]:
    retry_at, reason = (None, None) if deferral is None else deferral
    return {
        "message_id": message_id,
        "failure": int(deferral is not None),
        "retry_at": retry_at,
        "reason": reason,
    }
