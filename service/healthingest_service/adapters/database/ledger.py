"""The port `Ledger` with the database; every method is one transaction."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
from sqlalchemy import (
    Row,
    Select,
    and_,
    bindparam,
    delete,
    false,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database import rows, upload_rows
from healthingest_service.adapters.database.audit import audit_values
from healthingest_service.adapters.database.audit_tables import AuditEventRow
from healthingest_service.adapters.database.engine import is_postgresql, transaction
from healthingest_service.adapters.database.erasure_tables import TombstoneRow
from healthingest_service.adapters.database.statement import Statement
from healthingest_service.adapters.database.study_tables import SubjectRow
from healthingest_service.adapters.database.tables import IdempotencyKeyRow, OutboxRow, UploadRow
from healthingest_service.audit.chain import FIELDS
from healthingest_service.audit.model import AuditEvent
from healthingest_service.identity.model import AccountId
from healthingest_service.studies.decisions import refusal_of
from healthingest_service.studies.errors import StudyError, SubjectErasedError
from healthingest_service.studies.model import SubjectState
from healthingest_service.uploads.errors import (
    IdempotencyKeyReusedError,
    LedgerUnavailableError,
    UploadErasedError,
    UploadError,
    UploadInFlightError,
    UploadNotFoundError,
)
from healthingest_service.uploads.model import (
    HistoryPage,
    IdempotencyKey,
    OutgoingMessage,
    Upload,
    UploadId,
    UploadState,
)
from healthingest_service.uploads.ports import Ledger, Removal

_RETRY_AFTER_SECONDS_MAX: Final = 30


_SUBJECT_IS_ACTIVE: Final = (
    select(SubjectRow.id)
    .where(
        SubjectRow.study == UploadRow.study,
        SubjectRow.pseudonym == UploadRow.subject,
        SubjectRow.state == SubjectState.ACTIVE,
    )
    .correlate(UploadRow)
    .with_for_update(read=True, of=SubjectRow)
    .exists()
)
"""
The lock orders a completion and a withdrawal: one of them waits until the other is committed.

So an upload that completes after a withdrawal was answered sees it. An upload without a subject
takes no lock.
"""
_OWNER_IS_ERASED: Final = (
    select(TombstoneRow.id).where(TombstoneRow.id == UploadRow.owner_id).correlate(UploadRow)
).exists()
_IS_ERASED: Final = (
    select(TombstoneRow.id)
    .where(TombstoneRow.upload_hash == UploadRow.erasure_hash)
    .correlate(UploadRow)
).exists()
_STORED: Final = (
    update(UploadRow)
    .where(
        UploadRow.id == bindparam("stored_id"),
        UploadRow.state == UploadState.STORING,
        UploadRow.erasure_id.is_(None),
        ~_IS_ERASED,
        or_(and_(UploadRow.subject == "", ~_OWNER_IS_ERASED), _SUBJECT_IS_ACTIVE),
    )
    .values(
        state=UploadState.STORED,
        stored_at=bindparam("at"),
        lease_until=None,
        announced_at=None,
        lost_at=None,
    )
)
_NEW_MESSAGE: Final = {
    name: bindparam(f"new_{name}", type_=OutboxRow.__table__.c[name].type) for name in rows.OUTBOX
}
_WAITING: Final = insert(OutboxRow).values(_NEW_MESSAGE)
_STORED_ROW: Final = _STORED.returning(UploadRow.id).cte("stored")
_INSERT_MESSAGE: Final = insert(OutboxRow).from_select(
    list(_NEW_MESSAGE),
    select(*_NEW_MESSAGE.values()).select_from(_STORED_ROW),
    include_defaults=False,
)
_STORED_AND_WAITING: Final = Statement(_INSERT_MESSAGE)
"""The update and the insert in one statement, for PostgreSQL."""
_NEW_EVENT: Final = {
    name: bindparam(f"event_{name}", type_=AuditEventRow.__table__.c[name].type) for name in FIELDS
}
_RECORDED: Final = insert(AuditEventRow).values(_NEW_EVENT)
_STORED_WAITING_AND_RECORDED: Final = Statement(
    _INSERT_MESSAGE.add_cte(
        insert(AuditEventRow)
        .from_select(
            list(_NEW_EVENT),
            select(*_NEW_EVENT.values()).select_from(_STORED_ROW),
            include_defaults=False,
        )
        .cte("recorded")
    )
)
"""The same, with the event of the audit log: still one statement."""


_UNSTORED: Final = frozenset({UploadState.STORING, UploadState.LOST})
"""States of a row without an object; the next upload of the same bytes stores it."""


def utc_now() -> datetime:
    """Return the current time of this machine; clocks differ much less than a lease lasts."""
    return datetime.now(UTC)


def no_upload_hash(_upload: Upload) -> bytes | None:
    """Return None: for a process that begins no uploads."""
    return None


@dataclass(frozen=True, slots=True)
class BegunUpload:
    """The result of `DatabaseLedger.begin`."""

    upload: Upload
    replayed: bool


class DatabaseLedger(Ledger):
    """
    The uploads in the database.

    *on_message* is called after a message was committed to the outbox. *upload_hash* returns the
    hash by which an erased upload is recognised.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        timeout_seconds: float,
        clock: Callable[[], datetime] = utc_now,
        on_message: Callable[[], None] = lambda: None,
        upload_hash: Callable[[Upload], bytes | None] = no_upload_hash,
    ) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._on_message = on_message
        self._upload_hash = upload_hash

    @override
    async def begin(
        self, upload: Upload, *, idempotency_key: IdempotencyKey | None, lease_seconds: float
    ) -> BegunUpload:
        if await self._is_new(upload, idempotency_key, lease_seconds):
            return BegunUpload(upload, replayed=False)
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            await _refuse_other_bytes(connection, upload, idempotency_key)
            now = self._clock()
            begun = await self._insert_or_find(
                connection, upload, now, now + timedelta(seconds=lease_seconds)
            )
            if idempotency_key is not None:
                await _remember_key(connection, begun.upload, idempotency_key, now)
            return begun

    async def _is_new(
        self, upload: Upload, key: IdempotencyKey | None, lease_seconds: float
    ) -> bool:
        """Try to insert the row with one statement, which suffices for most uploads."""
        now = self._clock()
        values = self._values(upload, now + timedelta(seconds=lease_seconds))
        if key is None:
            statement = upload_rows.beginning(values)
        elif is_postgresql(self._engine):
            statement = upload_rows.beginning_with_key(values)
            values |= {"key": key, "created_at": now}
        else:
            return False
        try:
            changed = await statement.execute(
                self._engine, values, timeout_seconds=self._timeout_seconds
            )
        except asyncpg.UniqueViolationError:  # of the key
            return False
        return changed == 1

    def _values(self, upload: Upload, lease_until: datetime) -> dict[str, Any]:
        return upload_rows.begun_values(upload, lease_until, self._upload_hash(upload))

    async def _insert_or_find(
        self, connection: AsyncConnection, upload: Upload, now: datetime, lease_until: datetime
    ) -> BegunUpload:
        values = self._values(upload, lease_until)
        if await upload_rows.is_begun(connection, values):
            return BegunUpload(upload, replayed=False)
        same = _same(upload)
        # Read without a lock first: otherwise repeats of one upload would wait for each other, each
        # with a flush to disk.
        row = await _unleased_row(connection, same, values, now)
        if row.state in _UNSTORED:
            locked = same.with_for_update(of=UploadRow)
            row = await _unleased_row(connection, locked, values, now)
        if row.state not in _UNSTORED:
            return BegunUpload(rows.upload(row), replayed=True)
        await connection.execute(
            update(UploadRow)
            .where(UploadRow.id == row.id)
            .values(state=UploadState.STORING, lease_until=lease_until)
        )
        return BegunUpload(replace(rows.upload(row), state=UploadState.STORING), replayed=False)

    @override
    async def renew(self, upload_id: UploadId, *, lease_seconds: float) -> None:
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            found = await connection.execute(
                update(UploadRow)
                .where(
                    UploadRow.id == upload_id,
                    UploadRow.state == UploadState.STORING,
                    UploadRow.erasure_id.is_(None),
                )
                .values(lease_until=self._clock() + timedelta(seconds=lease_seconds))
            )
            if not found.rowcount:
                raise UploadNotFoundError

    @override
    async def complete(
        self,
        upload_id: UploadId,
        message: OutgoingMessage,
        *,
        stored_at: datetime,
        event: AuditEvent | None = None,
    ) -> None:
        values = {f"new_{name}": value for name, value in rows.outbox_values(message).items()}
        values |= {"stored_id": upload_id, "at": stored_at}
        if event is not None:
            values |= {f"event_{name}": value for name, value in audit_values(event).items()}
        if await self._is_completed(values, event):
            self._on_message()
        else:
            await self._refuse_unknown(upload_id)

    async def _is_completed(self, values: dict[str, Any], event: AuditEvent | None) -> bool:
        if is_postgresql(self._engine):
            statement = _STORED_AND_WAITING if event is None else _STORED_WAITING_AND_RECORDED
            return bool(
                await statement.execute(self._engine, values, timeout_seconds=self._timeout_seconds)
            )
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            if not (await connection.execute(_STORED, values)).rowcount:
                return False
            await connection.execute(_WAITING, values)
            if event is not None:
                await connection.execute(_RECORDED, values)
            return True

    async def _refuse_unknown(self, upload_id: UploadId) -> None:
        is_subject = (SubjectRow.study == UploadRow.study) & (
            SubjectRow.pseudonym == UploadRow.subject
        )
        wanted = (
            select(
                UploadRow.state,
                UploadRow.subject,
                SubjectRow.state.label("subject_state"),
                _OWNER_IS_ERASED.label("owner_is_erased"),
            )
            .outerjoin(SubjectRow, is_subject)
            .where(UploadRow.id == upload_id)
        )
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False
        ) as connection:
            row = (await connection.execute(wanted)).first()
            is_erased = row is None and await _is_tombstone(connection, upload_id)
        if is_erased:
            raise UploadErasedError
        if row is None:
            raise UploadNotFoundError
        if row.state == UploadState.STORING:
            raise _refusal_to_complete(row)

    @override
    async def abandon(self, upload_id: UploadId, *, remove: Removal | None = None) -> None:
        storing = (UploadRow.id == upload_id, UploadRow.state == UploadState.STORING)
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            if remove is not None:
                locked = select(UploadRow.id).where(*storing).with_for_update()
                is_there = (await connection.execute(locked)).first() is not None
                if not is_there and not await _is_tombstone(connection, upload_id):
                    return
                await remove()
            await connection.execute(delete(UploadRow).where(*storing, UploadRow.lost_at.is_(None)))
            await connection.execute(
                update(UploadRow).where(*storing).values(state=UploadState.LOST, lease_until=None)
            )

    @override
    async def find(self, upload_id: UploadId) -> Upload:
        return await self._one(select(UploadRow).where(UploadRow.id == upload_id))

    async def _one(self, wanted: Select[tuple[UploadRow]]) -> Upload:
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False
        ) as connection:
            row = (await connection.execute(wanted)).first()
        if row is None:
            raise UploadNotFoundError
        return rows.upload(row)

    @override
    async def history(
        self,
        owner: AccountId,
        *,
        limit: int,
        cursor: str | None = None,
        record_type: str | None = None,
        state: UploadState | None = None,
    ) -> HistoryPage:
        wanted = select(UploadRow).where(UploadRow.owner_id == owner)
        if record_type is not None:
            wanted = wanted.where(UploadRow.record_type == record_type)
        if state is not None:
            wanted = wanted.where(UploadRow.state == state)
        if cursor is not None:
            wanted = wanted.where(
                tuple_(UploadRow.received_at, UploadRow.id) < rows.parse_cursor(cursor)
            )
        wanted = wanted.order_by(UploadRow.received_at.desc(), UploadRow.id.desc()).limit(limit + 1)
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False
        ) as connection:
            uploads = tuple(rows.upload(row) for row in await connection.execute(wanted))
        more = len(uploads) > limit
        return HistoryPage(uploads[:limit], rows.cursor(uploads[limit - 1]) if more else None)

    @override
    async def expired(self, *, limit: int, lease_seconds: float) -> Sequence[Upload]:
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            now = self._clock()
            wanted = (
                select(UploadRow)
                .where(UploadRow.lease_until < now, UploadRow.erasure_id.is_(None))
                .order_by(UploadRow.lease_until)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
            found = [rows.upload(row) for row in await connection.execute(wanted)]
            await connection.execute(
                update(UploadRow)
                .where(UploadRow.id.in_([upload.id for upload in found]))
                .values(lease_until=now + timedelta(seconds=lease_seconds))
            )
            return found

    async def check(self) -> None:
        """See `Ledger.check`; an update of no row fails whenever a real one would."""
        try:
            async with transaction(
                self._engine, timeout_seconds=self._timeout_seconds
            ) as connection:
                await connection.execute(
                    update(UploadRow).where(false()).values(state=UploadRow.state)
                )
        except ProgrammingError as error:  # the table or the permission is missing
            raise LedgerUnavailableError from error


async def _is_tombstone(connection: AsyncConnection, upload_id: UploadId) -> bool:
    this = select(TombstoneRow.id).where(TombstoneRow.id == upload_id)
    return (await connection.execute(this)).first() is not None


def _refusal_to_complete(row: Row[Any]) -> UploadError | StudyError:
    """Return why an upload in state `storing` was not completed."""
    if not row.subject:
        return SubjectErasedError() if row.owner_is_erased else UploadErasedError()
    state = SubjectState(row.subject_state) if row.subject_state else None
    # Without another reason the upload is erased by itself.
    return refusal_of(state) or UploadErasedError()


async def _refuse_other_bytes(
    connection: AsyncConnection, upload: Upload, key: IdempotencyKey | None
) -> None:
    if key is None:
        return
    hash_of_key = await connection.scalar(
        select(UploadRow.file_hash)
        .join(IdempotencyKeyRow, IdempotencyKeyRow.upload_id == UploadRow.id)
        .where(IdempotencyKeyRow.owner_id == upload.owner, IdempotencyKeyRow.key == key)
    )
    if hash_of_key not in {None, upload.receipt.file_hash}:
        raise IdempotencyKeyReusedError


def _same(upload: Upload) -> Select[Any]:
    """Return the query for the row of the same bytes, and whether a tombstone refuses them."""
    return select(
        UploadRow,
        upload_rows.SUBJECT_IS_ERASED.label("subject_is_erased"),
        _IS_ERASED.label("dead"),
    ).where(
        UploadRow.owner_id == upload.owner,
        UploadRow.file_hash == upload.receipt.file_hash,
        UploadRow.study == upload.study,
        UploadRow.subject == (upload.subject or ""),
    )


async def _unleased_row(
    connection: AsyncConnection, query: Select[Any], values: dict[str, Any], now: datetime
) -> Row[Any]:
    """
    Return the row, unless another process holds a lease on it.

    Raises:
        UploadErasedError, SubjectErasedError: the bytes, or the data of the subject, were erased.
        UploadInFlightError: the row has a valid lease, or was removed meanwhile.
    """
    row = (await connection.execute(query, {"subject_id": values["subject_id"]})).first()
    if row is None:
        raise await _refusal(connection, values) or UploadInFlightError(1)
    if row.subject_is_erased:
        raise SubjectErasedError
    if row.dead or row.erasure_id is not None:
        raise UploadErasedError
    if row.state == UploadState.STORING and row.lease_until > now:
        seconds = _retry_after_seconds(row.lease_until, values["lease_until"], now)
        raise UploadInFlightError(seconds)
    return row


def _retry_after_seconds(lease_until: datetime, new_until: datetime, now: datetime) -> int:
    """
    Return as many seconds as the lease has been held, within 1, 30 and the rest of it.

    *new_until* is when a lease of the same length ends that begins now. Most uploads are stored in
    a moment. One that is not belongs to a slow or dead process, and each repetition may send the
    whole file.
    """
    held = new_until - lease_until
    left = lease_until - now
    seconds = min(held.total_seconds(), left.total_seconds(), _RETRY_AFTER_SECONDS_MAX)
    return max(1, math.ceil(seconds))


async def _refusal(
    connection: AsyncConnection, values: dict[str, Any]
) -> UploadError | StudyError | None:
    """Return why a tombstone refuses the upload; None: none does."""
    wanted = {"subject_id": values["subject_id"], "hash": values["erasure_hash"]}
    subject_is_erased, is_erased = (
        await connection.execute(upload_rows.REFUSED_BY_TOMBSTONE, wanted)
    ).one()
    if subject_is_erased:
        return SubjectErasedError()
    return UploadErasedError() if is_erased else None


async def _remember_key(
    connection: AsyncConnection, upload: Upload, key: IdempotencyKey, now: datetime
) -> None:
    values = {"owner_id": upload.owner, "key": key, "upload_id": upload.id, "created_at": now}
    if await rows.is_inserted(connection, IdempotencyKeyRow, values):
        return
    upload_id = await connection.scalar(
        select(IdempotencyKeyRow.upload_id).where(
            IdempotencyKeyRow.owner_id == upload.owner, IdempotencyKeyRow.key == key
        )
    )
    if upload_id != upload.id:
        raise IdempotencyKeyReusedError
