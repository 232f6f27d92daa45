"""The ports `AuditLog`, `AuditSalts` and `AuditChain` with the database."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row, delete, insert, select, text, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.audit_tables import (
    AuditEventRow,
    AuditLinkRow,
    AuditSaltRow,
)
from healthingest_service.adapters.database.engine import is_postgresql, transaction
from healthingest_service.audit.chain import FIELDS, canonical_form
from healthingest_service.audit.errors import AuditUnavailableError, ChainMovedError
from healthingest_service.audit.model import (
    Action,
    ActorKind,
    AuditEvent,
    ChainRow,
    Link,
    Outcome,
    StoredEvent,
)
from healthingest_service.audit.ports import (
    AuditChain,
    AuditLog,
    AuditReader,
    AuditSalts,
    EventSelection,
)
from healthingest_service.audit.pruning import pruned_object
from healthingest_service.audit.recorder import EMAIL_SALTS, email_salt_name
from healthingest_service.uploads.errors import LedgerUnavailableError

_SALT_BYTES: Final = 32
_EVENT: Final = AuditEventRow.__table__.c
_LINK: Final = AuditLinkRow.__table__.c
_IS_PRUNED: Final = text(f"audit_event.action = '{Action.AUDIT_PRUNE.value}'")
"""A constant, so that PostgreSQL uses the partial index."""
_COLUMNS: Final = tuple(_EVENT[name] for name in FIELDS)
_INSERT: Final = insert(AuditEventRow)
_PAGE: Final = (
    select(
        _LINK.position,
        _LINK.number.label("linked_number"),
        _LINK.hash,
        _EVENT.number,
        *_COLUMNS,
    )
    .join_from(
        AuditLinkRow.__table__, AuditEventRow.__table__, _EVENT.number == _LINK.number, isouter=True
    )
    .order_by(_LINK.position)
)
_PLAN_ANEW: Final = text("SET LOCAL plan_cache_mode = force_custom_plan")
"""
For the rest of a transaction, PostgreSQL plans each statement for the tables as they are now.

A plan that it keeps from the time of small tables reads all links once for each event.
"""


def audit_values(event: AuditEvent) -> dict[str, Any]:
    """Return the columns of a new event."""
    return {name: getattr(event, name) for name in FIELDS}


class DatabaseAuditLog(AuditLog, AuditReader, AuditSalts, AuditChain):
    """
    Events, salts and chain in the database.

    It inserts and selects; only salts and old events are deleted.
    """

    def __init__(self, engine: AsyncEngine, *, timeout_seconds: float) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds

    @override
    async def record(self, event: AuditEvent) -> None:
        async with self._transaction(single=True) as connection:
            await connection.execute(_INSERT, audit_values(event))

    @override
    async def newest(
        self, selection: EventSelection, *, limit: int, before: tuple[datetime, int] | None = None
    ) -> Sequence[StoredEvent]:
        wanted = (
            select(_EVENT.number, *_COLUMNS)
            .where(_EVENT.study == selection.study)
            .order_by(_EVENT.occurred_at.desc(), _EVENT.number.desc())
            .limit(limit)
        )
        if selection.subject_hash is not None:
            wanted = wanted.where(_EVENT.subject_hash == selection.subject_hash)
        if selection.downloads_only:
            wanted = wanted.where(_EVENT.action == Action.DOWNLOAD, _EVENT.outcome == Outcome.DONE)
        if before is not None:
            wanted = wanted.where(tuple_(_EVENT.occurred_at, _EVENT.number) < before)
        async with self._transaction(writes=False, study=selection.study) as connection:
            return [_stored(tuple(row)) for row in await connection.execute(wanted)]

    @override
    async def salt(self, name: str) -> bytes:
        async with self._transaction() as connection:
            await rows.is_inserted(
                connection, AuditSaltRow, {"name": name, "salt": secrets.token_bytes(_SALT_BYTES)}
            )
            found = await connection.scalars(
                select(AuditSaltRow.salt).where(AuditSaltRow.name == name)
            )
            return found.one()

    @override
    async def forget_emails(self, *, before: date) -> int:
        name = AuditSaltRow.__table__.c.name
        old = delete(AuditSaltRow).where(name >= EMAIL_SALTS, name < email_salt_name(before))
        async with self._transaction(single=True) as connection:
            return (await connection.execute(old)).rowcount

    @override
    async def head(self) -> Link | None:
        wanted = select(AuditLinkRow.position, AuditLinkRow.number, AuditLinkRow.hash)
        async with self._transaction(writes=False) as connection:
            found = await connection.execute(wanted.order_by(_LINK.position.desc()).limit(1))
            row = found.first()
        return None if row is None else Link(row.position, row.number, row.hash)

    @override
    async def unchained(self, *, after: int, limit: int) -> Sequence[StoredEvent]:
        links = select(_LINK.position).where(_LINK.number == _EVENT.number, _LINK.number > after)
        unchained = select(_EVENT.number, *_COLUMNS).where(_EVENT.number > after, ~links.exists())
        wanted = unchained.order_by(_EVENT.number).limit(limit)
        async with self._transaction(writes=False) as connection:
            if is_postgresql(self._engine):
                await connection.execute(_PLAN_ANEW)
            return [_stored(tuple(row)) for row in await connection.execute(wanted)]

    @override
    async def append(self, links: Sequence[Link]) -> None:
        values = [
            {"position": link.position, "number": link.number, "hash": link.hash} for link in links
        ]
        try:
            async with self._transaction() as connection:
                await connection.execute(insert(AuditLinkRow), values)
        except IntegrityError:
            raise ChainMovedError from None

    @override
    async def page(self, *, after: int, limit: int) -> Sequence[tuple[Link, StoredEvent | None]]:
        wanted = _PAGE.where(_LINK.position > after).limit(limit)
        async with self._transaction(writes=False) as connection:
            return [_linked(row) for row in await connection.execute(wanted)]

    @override
    async def forms(self, *, after: int, limit: int) -> Sequence[ChainRow]:
        wanted = _PAGE.where(_LINK.position > after).limit(limit)
        async with self._transaction(writes=False, single=True) as connection:
            return [
                ChainRow(
                    position,
                    number,
                    hash_,
                    None if found is None else canonical_form(number, values),
                )
                for position, number, hash_, found, *values in await connection.execute(wanted)
            ]

    @override
    async def has_prune_event(self, link: Link) -> bool:
        wanted = select(_EVENT.number).where(
            _IS_PRUNED, _EVENT.actor == ActorKind.SYSTEM, _EVENT.object_id == pruned_object(link)
        )
        async with self._transaction(writes=False, single=True) as connection:
            return (await connection.execute(wanted.limit(1))).first() is not None

    @override
    async def prune(self, upto: Link, event: AuditEvent) -> None:
        numbers = select(_LINK.number).where(_LINK.position <= upto.position)
        async with self._transaction() as connection:
            removed = await connection.execute(
                delete(AuditEventRow).where(_EVENT.number.in_(numbers))
            )
            if not removed.rowcount:
                raise ChainMovedError
            await connection.execute(delete(AuditLinkRow).where(_LINK.position < upto.position))
            await connection.execute(_INSERT, audit_values(event))

    @asynccontextmanager
    async def _transaction(
        self, *, writes: bool = True, single: bool = False, study: str | None = None
    ) -> AsyncIterator[AsyncConnection]:
        opening = transaction(
            self._engine,
            timeout_seconds=self._timeout_seconds,
            writes=writes,
            single=single,
            study=study,
        )
        try:
            async with opening as connection:
                yield connection
        except LedgerUnavailableError as error:
            raise AuditUnavailableError from error


def _linked(row: Row[Any]) -> tuple[Link, StoredEvent | None]:
    position, number, hash_, *event = row
    stored = None if event[0] is None else _stored(tuple(event))
    return Link(position, number, hash_), stored


def _stored(values: tuple[Any, ...]) -> StoredEvent:
    number, *event = values
    named = dict(zip(FIELDS, event, strict=True))
    named |= {
        "actor": ActorKind(named["actor"]),
        "action": Action(named["action"]),
        "outcome": Outcome(named["outcome"]),
    }
    return StoredEvent(number, AuditEvent(**named))
