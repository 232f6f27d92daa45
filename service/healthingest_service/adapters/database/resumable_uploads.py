"""The port `ResumableUploads` with the database; every method is one transaction."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.erasure_tables import TombstoneRow
from healthingest_service.adapters.database.ledger import utc_now
from healthingest_service.adapters.database.resumable_tables import (
    ResumableUploadRow,
    UploadPartRow,
)
from healthingest_service.adapters.database.study_tables import SubjectRow
from healthingest_service.identity.model import AccountId
from healthingest_service.studies.decisions import refusal_of
from healthingest_service.studies.errors import SubjectErasedError
from healthingest_service.studies.model import Pseudonym, StudySlug, SubjectState
from healthingest_service.uploads.model import Finding, Receipt, UploadId
from healthingest_service.uploads.resumable import (
    MAX_PARTS,
    Part,
    ReplacedError,
    Resumable,
    ResumableEndedError,
    ResumableId,
    ResumableNotFoundError,
    ResumableState,
    TooManyPartsError,
    TooManyResumableError,
)
from healthingest_service.uploads.resumable_ports import Ended, ResumableUploads

_KEPT: Final = frozenset({ResumableState.FINISHED, ResumableState.REFUSED})
"""States whose row stays for a while, so that the client still learns the result."""


@dataclass(frozen=True, slots=True)
class DatabaseResumableUploads(ResumableUploads):
    """
    The resumable uploads in the database.

    One expires *lifetime_seconds* after its last part; its result is kept for the same time.
    """

    engine: AsyncEngine
    timeout_seconds: float
    lifetime_seconds: float
    clock: Callable[[], datetime] = utc_now

    @override
    async def create(self, new: Resumable, *, limit: int) -> None:
        is_open = (
            ResumableUploadRow.owner_id == new.owner,
            ResumableUploadRow.state == ResumableState.RECEIVING,
        )
        some = select(ResumableUploadRow.id).where(*is_open).limit(limit).subquery()
        async with self._transaction() as connection:
            await _refuse_who_has_left(connection, new)
            if await connection.scalar(select(func.count()).select_from(some)) == limit:
                raise TooManyResumableError
            await connection.execute(insert(ResumableUploadRow).values(_values(new)))

    @override
    async def find(self, resumable_id: ResumableId, owner: AccountId) -> Resumable:
        wanted = select(ResumableUploadRow).where(
            ResumableUploadRow.id == resumable_id, ResumableUploadRow.owner_id == owner
        )
        async with self._transaction(writes=False) as connection:
            row = (await connection.execute(wanted)).first()
        if row is None:
            raise ResumableNotFoundError
        return _resumable(row, self.clock())

    @override
    async def take(
        self, resumable_id: ResumableId, *, lease_seconds: float, force: bool
    ) -> Resumable | None:
        now = self.clock()
        is_receiving = (
            ResumableUploadRow.id == resumable_id,
            ResumableUploadRow.state == ResumableState.RECEIVING,
            ResumableUploadRow.due_at > now,
        )
        taken = update(ResumableUploadRow).where(*is_receiving)
        is_idle = ~ResumableUploadRow.is_storing
        taken = taken.where(or_(_is_free(now), is_idle) if force else _is_free(now))
        taken = taken.values(
            writer=ResumableUploadRow.writer + 1,
            is_storing=False,
            lease_until=now + timedelta(seconds=lease_seconds),
        )
        async with self._transaction() as connection:
            row = (await connection.execute(taken.returning(ResumableUploadRow))).first()
            if row is None:
                there = select(ResumableUploadRow.id).where(*is_receiving)
                if (await connection.execute(there)).first() is None:
                    raise ResumableEndedError
                return None
        return _resumable(row, now)

    @override
    async def release(self, resumable_id: ResumableId, writer: int) -> None:
        mine = (ResumableUploadRow.id == resumable_id, ResumableUploadRow.writer == writer)
        async with self._transaction() as connection:
            await connection.execute(
                update(ResumableUploadRow).where(*mine).values(lease_until=None, is_storing=False)
            )

    @override
    async def set_size(self, resumable_id: ResumableId, writer: int, size_bytes: int) -> None:
        async with self._transaction() as connection:
            await _change_mine(connection, resumable_id, writer, {"size_bytes": size_bytes})

    @override
    async def begin_part(
        self, resumable_id: ResumableId, writer: int, part: Part, *, lease_seconds: float
    ) -> None:
        lease_until = self.clock() + timedelta(seconds=lease_seconds)
        of_upload = UploadPartRow.resumable_id == resumable_id
        async with self._transaction() as connection:
            storing = {"lease_until": lease_until, "is_storing": True}
            await _change_mine(connection, resumable_id, writer, storing)
            found = select(func.count()).select_from(UploadPartRow).where(of_upload)
            if (await connection.scalar(found) or 0) >= MAX_PARTS:
                raise TooManyPartsError
            await connection.execute(
                insert(UploadPartRow).values(
                    object_key=part.key, resumable_id=resumable_id, first_byte=part.first_byte
                )
            )

    @override
    async def renew(self, resumable_id: ResumableId, writer: int, *, lease_seconds: float) -> None:
        lease_until = self.clock() + timedelta(seconds=lease_seconds)
        async with self._transaction() as connection:
            await _change_mine(connection, resumable_id, writer, {"lease_until": lease_until})

    @override
    async def add_part(self, resumable_id: ResumableId, writer: int, part: Part) -> None:
        due_at = self.clock() + timedelta(seconds=self.lifetime_seconds)
        async with self._transaction() as connection:
            await _change_mine(
                connection,
                resumable_id,
                writer,
                {
                    "received_bytes": part.first_byte + part.size_bytes,
                    "due_at": due_at,
                    "is_storing": False,
                },
            )
            await connection.execute(
                update(UploadPartRow)
                .where(UploadPartRow.object_key == part.key)
                .values(size_bytes=part.size_bytes)
            )

    @override
    async def stored_parts(self, resumable_id: ResumableId) -> Sequence[Part]:
        wanted = select(UploadPartRow).where(
            UploadPartRow.resumable_id == resumable_id, UploadPartRow.size_bytes.is_not(None)
        )
        async with self._transaction(writes=False) as connection:
            found = await connection.execute(wanted.order_by(UploadPartRow.first_byte))
            return [Part(row.first_byte, row.size_bytes, row.object_key) for row in found]

    @override
    async def finish(self, resumable_id: ResumableId, receipt: Receipt) -> None:
        await self._close(
            resumable_id,
            state=ResumableState.FINISHED,
            upload_id=receipt.upload_id,
            size_bytes=receipt.file_size_bytes,
            received_bytes=receipt.file_size_bytes,
            lease_until=None,
        )

    @override
    async def refuse(self, resumable_id: ResumableId, findings: Sequence[Finding]) -> None:
        shown = [asdict(finding) for finding in findings]
        await self._close(
            resumable_id, state=ResumableState.REFUSED, findings=shown, lease_until=None
        )

    @override
    async def end(self, resumable_id: ResumableId) -> None:
        now = self.clock()
        this = (
            ResumableUploadRow.id == resumable_id,
            ResumableUploadRow.state != ResumableState.ENDED,
        )
        ended = {"state": ResumableState.ENDED, "ended_at": now, "due_at": now}
        async with self._transaction() as connection:
            await connection.execute(update(ResumableUploadRow).where(*this).values(ended))

    async def _close(self, resumable_id: ResumableId, **values: Any) -> None:  # noqa: ANN401
        """Leave `receiving`; the janitor removes the parts if nobody else does."""
        now = self.clock()
        is_open = (
            ResumableUploadRow.id == resumable_id,
            ResumableUploadRow.state == ResumableState.RECEIVING,
        )
        async with self._transaction() as connection:
            await connection.execute(
                update(ResumableUploadRow)
                .where(*is_open)
                .values(ended_at=now, due_at=now, **values)
            )

    @override
    async def take_ended(
        self, *, lease_seconds: float, only: ResumableId | None = None
    ) -> Ended | None:
        now = self.clock()
        due = select(ResumableUploadRow).where(ResumableUploadRow.due_at <= now, _is_free(now))
        if only is not None:
            due = due.where(ResumableUploadRow.id == only)
        due = due.order_by(ResumableUploadRow.due_at).limit(1).with_for_update(skip_locked=True)
        async with self._transaction() as connection:
            row = (await connection.execute(due)).first()
            if row is None:
                return None
            expires = row.state == ResumableState.RECEIVING
            values: dict[str, Any] = {"due_at": now + timedelta(seconds=lease_seconds)}
            if expires:
                values |= {"state": ResumableState.ENDED, "ended_at": now}
            this = ResumableUploadRow.id == row.id
            await connection.execute(update(ResumableUploadRow).where(this).values(values))
            keys = select(UploadPartRow.object_key).where(UploadPartRow.resumable_id == row.id)
            found = list(await connection.scalars(keys))
        ended_at = now if row.ended_at is None else row.ended_at
        is_young = now < ended_at + timedelta(seconds=self.lifetime_seconds)
        return Ended(ResumableId(row.id), found, is_kept=row.state in _KEPT and is_young)

    @override
    async def postpone(self, resumable_id: ResumableId, *, until: datetime | None) -> None:
        due_at = until or self.clock() + timedelta(days=1)
        this = ResumableUploadRow.id == resumable_id
        async with self._transaction() as connection:
            await connection.execute(update(ResumableUploadRow).where(this).values(due_at=due_at))

    @override
    async def forget(self, ended: Ended) -> None:
        this = ResumableUploadRow.id == ended.id
        async with self._transaction() as connection:
            await connection.execute(
                delete(UploadPartRow).where(UploadPartRow.object_key.in_(ended.keys))
            )
            if not ended.is_kept:
                await connection.execute(delete(ResumableUploadRow).where(this))
                return
            due_at = self.clock() + timedelta(seconds=self.lifetime_seconds)
            await connection.execute(update(ResumableUploadRow).where(this).values(due_at=due_at))

    @override
    async def existing(self, ids: Sequence[ResumableId]) -> frozenset[ResumableId]:
        wanted = select(ResumableUploadRow.id).where(ResumableUploadRow.id.in_(ids))
        async with self._transaction(writes=False) as connection:
            return frozenset(ResumableId(one) for one in await connection.scalars(wanted))

    def _transaction(self, *, writes: bool = True) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction(self.engine, timeout_seconds=self.timeout_seconds, writes=writes)


def _is_free(now: datetime) -> Any:  # noqa: ANN401 - SQLAlchemy's conditions have several types
    """Return the condition that no request may store a part now."""
    lease_until = ResumableUploadRow.lease_until
    return or_(lease_until.is_(None), lease_until < now)


async def _change_mine(
    connection: AsyncConnection, resumable_id: ResumableId, writer: int, values: dict[str, Any]
) -> None:
    """
    Change a row that *writer* has.

    Raises:
        ReplacedError: a newer request has it.
        ResumableEndedError: it is not `receiving` any more.
    """
    this = ResumableUploadRow.id == resumable_id
    done = await connection.execute(
        update(ResumableUploadRow)
        .where(
            this,
            ResumableUploadRow.writer == writer,
            ResumableUploadRow.state == ResumableState.RECEIVING,
        )
        .values(values)
    )
    if not done.rowcount:
        state = await connection.scalar(select(ResumableUploadRow.state).where(this))
        raise ReplacedError if state == ResumableState.RECEIVING else ResumableEndedError


async def _refuse_who_has_left(connection: AsyncConnection, new: Resumable) -> None:
    """
    Refuse data about a subject or an owner that is being erased.

    The lock orders this transaction and the request of an erasure, as in `DatabaseLedger.complete`.

    Raises:
        SubjectWithdrawnError, SubjectErasedError: it has left.
    """
    if new.subject is None:
        is_erased = select(TombstoneRow.id).where(TombstoneRow.id == new.owner)
        if (await connection.execute(is_erased)).first() is not None:
            raise SubjectErasedError
        return
    this = (SubjectRow.study == new.study, SubjectRow.pseudonym == new.subject)
    state = await connection.scalar(
        select(SubjectRow.state).where(*this).with_for_update(read=True)
    )
    refusal = None if state is None else refusal_of(SubjectState(state))
    if refusal is not None:
        raise refusal


def _values(new: Resumable) -> dict[str, Any]:
    return {
        "id": new.id,
        "owner_id": new.owner,
        "study": new.study,
        "subject": new.subject or "",
        "size_bytes": new.size_bytes,
        "client_metadata": new.metadata,
        "state": new.state.value,
        "received_bytes": new.received_bytes,
        "writer": new.writer,
        "due_at": new.expires_at,
    }


def _resumable(row: Row[Any], now: datetime) -> Resumable:
    return Resumable(
        id=ResumableId(row.id),
        owner=AccountId(row.owner_id),
        study=StudySlug(row.study),
        subject=Pseudonym(row.subject) if row.subject else None,
        size_bytes=row.size_bytes,
        metadata=row.client_metadata,
        state=ResumableState(row.state),
        received_bytes=row.received_bytes,
        writer=row.writer,
        expires_at=row.due_at,
        is_busy=row.lease_until is not None and row.lease_until >= now,
        upload_id=None if row.upload_id is None else UploadId(row.upload_id),
        findings=tuple(Finding(**one) for one in row.findings or ()),
    )
