"""The ports `ErasureWork` and `ErasureRestore` with the database."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, Select, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database import erasure_rows, rows
from healthingest_service.adapters.database.account_tables import (
    DeviceTokenRow,
    EnrolmentCodeRow,
)
from healthingest_service.adapters.database.audit_tables import AuditSaltRow
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.erasure_tables import (
    ErasureDocumentRow,
    ErasureRow,
    TombstoneRow,
)
from healthingest_service.adapters.database.erasures import close_study
from healthingest_service.adapters.database.ledger import utc_now
from healthingest_service.adapters.database.resumable_tables import ResumableUploadRow
from healthingest_service.adapters.database.studies import Hidden
from healthingest_service.adapters.database.study_tables import StudyRow, SubjectRow
from healthingest_service.adapters.database.tables import IdempotencyKeyRow, OutboxRow, UploadRow
from healthingest_service.audit.subjects import subject_salt_name
from healthingest_service.erasure.documents import ErasureDocument
from healthingest_service.erasure.model import (
    Erasure,
    ErasureBatch,
    ErasureCounts,
    ErasureId,
    ErasureKind,
    ErasureState,
    Forgetting,
    Forgotten,
    KnownSubject,
    Tombstone,
    Totals,
)
from healthingest_service.erasure.ports import ErasureRestore, ErasureWork
from healthingest_service.studies.model import Pseudonym, StudySlug, SubjectState
from healthingest_service.uploads.resumable import ResumableId

_MAX_COUNTED: Final = 10_000
_SUBJECTS: Final = 100
_UNCLOSED: Final = (SubjectState.ACTIVE, SubjectState.WITHDRAWN, SubjectState.ERASING)


@dataclass(frozen=True, slots=True)
class DatabaseErasureWork(ErasureWork, ErasureRestore):
    """
    The steps of erasures, derived from the rows that are still there.

    So a step that another process has taken already finds nothing to do. *on_message* is called
    after messages were committed to the outbox.
    """

    engine: AsyncEngine
    hidden: Hidden
    timeout_seconds: float
    clock: Callable[[], datetime] = utc_now
    on_message: Callable[[], None] = lambda: None

    @override
    async def unlogged(self, *, limit: int) -> Sequence[Erasure]:
        is_logged = (
            select(ErasureDocumentRow.name)
            .where(ErasureDocumentRow.erasure_id == ErasureRow.id)
            .correlate(ErasureRow)
            .exists()
        )
        wanted = select(ErasureRow).where(erasure_rows.IS_OPEN, ~is_logged)
        async with self._transaction(writes=False) as connection:
            found = await connection.execute(wanted.order_by(ErasureRow.due_at).limit(limit))
            return [erasure_rows.erasure(row) for row in found]

    @override
    async def take(self, *, lease_seconds: float) -> Erasure | None:
        async with self._transaction() as connection:
            now = self.clock()
            due = (
                select(ErasureRow)
                .where(erasure_rows.IS_OPEN, ErasureRow.due_at <= now)
                .order_by(ErasureRow.due_at)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            row = (await connection.execute(due)).first()
            if row is None:
                return None
            taken = {
                "state": ErasureState.RUNNING.value,
                "due_at": now + timedelta(seconds=lease_seconds),
                "blocked_until": None,
            }
            this = update(ErasureRow).where(ErasureRow.id == row.id).values(taken)
            return erasure_rows.erasure(
                (await connection.execute(this.returning(ErasureRow))).one()
            )

    @override
    async def renew(self, erasure_id: ErasureId, *, lease_seconds: float) -> None:
        due_at = self.clock() + timedelta(seconds=lease_seconds)
        await self._change(erasure_id, due_at=due_at)

    @override
    async def release(self, erasure_id: ErasureId, *, until: datetime) -> None:
        await self._change(erasure_id, due_at=until)

    @override
    async def block(self, erasure_id: ErasureId, *, until: datetime) -> None:
        await self._change(
            erasure_id, state=ErasureState.BLOCKED.value, due_at=until, blocked_until=until
        )

    async def _change(self, erasure_id: ErasureId, **values: Any) -> None:  # noqa: ANN401
        is_open = (ErasureRow.id == erasure_id, erasure_rows.IS_OPEN)
        async with self._transaction() as connection:
            await connection.execute(update(ErasureRow).where(*is_open).values(values))

    @override
    async def batch(self, erasure: Erasure, *, limit: int) -> ErasureBatch:
        of_scope = erasure_rows.in_scope(erasure.scope)
        mark = update(UploadRow).values(erasure_id=erasure.id)
        async with self._transaction() as connection:
            now = self.clock()
            await connection.execute(mark.where(*of_scope, UploadRow.lease_until.is_not(None)))
            is_free = or_(UploadRow.lease_until.is_(None), UploadRow.lease_until < now)
            wanted = (
                select(UploadRow)
                .where(*of_scope, is_free)
                .order_by(UploadRow.received_at, UploadRow.id)
                .limit(limit)
                .with_for_update()
            )
            uploads = tuple(rows.upload(row) for row in await connection.execute(wanted))
            if uploads:
                ids = [one.id for one in uploads]
                await connection.execute(mark.where(UploadRow.id.in_(ids)))
            busy = select(UploadRow.id).where(*of_scope, erasure_rows.is_being_stored(now))
            waiting = await _count(connection, busy)
        return ErasureBatch(uploads, waiting)

    @override
    async def record(
        self, erasure: Erasure, name: str, tombstones: Sequence[Tombstone], keys: Sequence[str]
    ) -> None:
        values = [
            _tombstone_values(erasure, one) | {"object_key": key}
            for one, key in zip(tombstones, keys, strict=True)
        ]
        async with self._transaction() as connection:
            await _note_document(connection, name, erasure.id)
            if values:
                into = _insert(connection, TombstoneRow)
                again = {"object_key": into.excluded.object_key, "erasure_id": erasure.id}
                await connection.execute(
                    into.on_conflict_do_update(index_elements=["id"], set_=again), values
                )

    @override
    async def forget(
        self, erasure: Erasure, forgetting: Sequence[Forgetting], *, versions: int
    ) -> Forgotten:
        ids = [one.upload_id for one in forgetting]
        async with self._transaction() as connection:
            now = self.clock()
            of_uploads = OutboxRow.upload_id.in_(ids)
            messages = (
                await connection.execute(
                    select(OutboxRow.upload_id, OutboxRow.attempts, OutboxRow.claimed_until)
                    .where(of_uploads)
                    .with_for_update()
                )
            ).all()
            # The lock also keeps messages away that another process would put.
            locked = select(UploadRow.id, UploadRow.announced_at).where(UploadRow.id.in_(ids))
            there = (await connection.execute(locked.with_for_update())).all()
            held = _held(messages, now)
            going = {one.id for one in there} - held
            counts = _counted(messages, there, going, versions=versions)
            gone = list(going)
            await connection.execute(delete(OutboxRow).where(OutboxRow.upload_id.in_(gone)))
            await connection.execute(
                delete(IdempotencyKeyRow).where(IdempotencyKeyRow.upload_id.in_(gone))
            )
            await connection.execute(delete(UploadRow).where(UploadRow.id.in_(gone)))
            await connection.execute(
                update(TombstoneRow).where(TombstoneRow.id.in_(gone)).values(erased_at=now)
            )
            telling = [
                rows.outbox_values(one.message) for one in forgetting if one.upload_id in going
            ]
            if telling:
                await connection.execute(insert(OutboxRow), telling)
            await _add(connection, erasure.id, counts)
        if telling:
            self.on_message()
        return Forgotten(len(held), counts)

    @override
    async def subjects(self, erasure: Erasure) -> Sequence[KnownSubject]:
        conditions = _subjects_of(erasure)
        if conditions is None:
            return ()
        wanted = select(SubjectRow).where(*conditions, SubjectRow.state.in_(_UNCLOSED))
        async with self._transaction(writes=False) as connection:
            found = (await connection.execute(wanted.limit(_SUBJECTS))).all()
        return [
            KnownSubject(row.id, self.hidden(StudySlug(row.study), Pseudonym(row.pseudonym)))
            for row in found
        ]

    @override
    async def close_subjects(self, erasure: Erasure, subjects: Sequence[KnownSubject]) -> int:
        has_upload = (
            select(UploadRow.id)
            .where(
                erasure_rows.OF_SUBJECTS,
                UploadRow.study == SubjectRow.study,
                UploadRow.subject == SubjectRow.pseudonym,
            )
            .correlate(SubjectRow)
            .exists()
        )
        has_resumable = (
            select(ResumableUploadRow.id)
            .where(
                erasure_rows.OF_RESUMABLE_SUBJECTS,
                ResumableUploadRow.study == SubjectRow.study,
                ResumableUploadRow.subject == SubjectRow.pseudonym,
            )
            .correlate(SubjectRow)
            .exists()
        )
        closed = 0
        async with self._transaction() as connection:
            now = self.clock()
            for one in subjects:
                await _remove_credentials(connection, one)
                await connection.execute(
                    delete(AuditSaltRow).where(AuditSaltRow.name == subject_salt_name(one.id))
                )
                done = await connection.execute(
                    update(SubjectRow)
                    .where(
                        SubjectRow.id == one.id,
                        SubjectRow.state == SubjectState.ERASING,
                        ~has_upload,
                        ~has_resumable,
                    )
                    .values(
                        pseudonym=one.hidden,
                        state=SubjectState.ERASED,
                        consent_version=None,
                        consent_given_at=None,
                        consent_withdrawn_at=None,
                        changed_at=now,
                    )
                )
                closed += done.rowcount
            ids = [one.id for one in subjects]
            await connection.execute(
                update(TombstoneRow).where(TombstoneRow.id.in_(ids)).values(erased_at=now)
            )
            await _add(connection, erasure.id, ErasureCounts(subjects=closed))
        return closed

    @override
    async def end_resumable(self, erasure: Erasure, *, limit: int) -> Sequence[ResumableId]:
        left = select(ResumableUploadRow.id).where(*erasure_rows.resumable_in_scope(erasure))
        async with self._transaction() as connection:
            await erasure_rows.end_resumable(connection, erasure, at=self.clock())
            return [ResumableId(one) for one in await connection.scalars(left.limit(limit))]

    @override
    async def keys(self, erasure: Erasure, *, after: str, limit: int) -> Sequence[str]:
        wanted = (
            select(TombstoneRow.object_key)
            .where(TombstoneRow.erasure_id == erasure.id, TombstoneRow.object_key > after)
            .order_by(TombstoneRow.object_key)
            .limit(limit)
        )
        async with self._transaction(writes=False) as connection:
            return [key for key in await connection.scalars(wanted) if key is not None]

    @override
    async def leftovers(self, erasure: Erasure) -> int:
        dead = select(UploadRow.id).join(TombstoneRow, TombstoneRow.id == UploadRow.id)
        dead = dead.where(TombstoneRow.erasure_id == erasure.id)
        of_scope = select(UploadRow.id).where(*erasure_rows.in_scope(erasure.scope))
        begun = select(ResumableUploadRow.id).where(*erasure_rows.resumable_in_scope(erasure))
        conditions = _subjects_of(erasure)
        async with self._transaction(writes=False) as connection:
            found = await _count(connection, dead) + await _count(connection, of_scope)
            found += await _count(connection, begun)
            for table in (OutboxRow, IdempotencyKeyRow):
                naming = select(table.upload_id).join(
                    TombstoneRow, TombstoneRow.id == table.upload_id
                )
                naming = naming.where(TombstoneRow.erasure_id == erasure.id)
                found += await _count(connection, naming)
            if conditions is not None:
                open_ones = select(SubjectRow.id).where(
                    *conditions, SubjectRow.state.in_(_UNCLOSED)
                )
                found += await _count(connection, open_ones)
        return found

    @override
    async def finish(self, erasure: Erasure) -> None:
        keyed = (TombstoneRow.erasure_id == erasure.id, TombstoneRow.object_key.is_not(None))
        async with self._transaction() as connection:
            await connection.execute(update(TombstoneRow).where(*keyed).values(object_key=None))
            await connection.execute(
                update(ErasureRow)
                .where(ErasureRow.id == erasure.id)
                .values(
                    state=ErasureState.DONE,
                    done_at=erasure.done_at,
                    certificate=erasure.certificate,
                )
            )

    @override
    async def find(self, erasure_id: ErasureId) -> Erasure | None:
        async with self._transaction(writes=False) as connection:
            row = (
                await connection.execute(select(ErasureRow).where(ErasureRow.id == erasure_id))
            ).first()
        return None if row is None else erasure_rows.erasure(row)

    @override
    async def waiting_messages(self, *, limit: int) -> int:
        async with self._transaction(writes=False) as connection:
            # Reads an index in its order; see `DatabaseOutbox.backlog`.
            some = select(OutboxRow.id).order_by(OutboxRow.created_at).limit(limit).subquery()
            return await connection.scalar(select(func.count()).select_from(some)) or 0

    @override
    async def totals(self) -> Totals:
        wanted = (
            select(ErasureRow.state, func.count(), func.min(ErasureRow.requested_at))
            .where(erasure_rows.IS_OPEN)
            .group_by(ErasureRow.state)
        )
        async with self._transaction(writes=False) as connection:
            found = [tuple(row) for row in await connection.execute(wanted)]
        return Totals(
            {ErasureState(state): count for state, count, _ in found},
            min((oldest for _, _, oldest in found), default=None),
        )

    @override
    async def unknown(self, names: Collection[str]) -> frozenset[str]:
        known = select(ErasureDocumentRow.name).where(ErasureDocumentRow.name.in_(names))
        async with self._transaction(writes=False) as connection:
            return frozenset(names) - frozenset(await connection.scalars(known))

    @override
    async def apply(self, name: str, document: ErasureDocument) -> None:
        scope = document.erasure.scope
        async with self._transaction() as connection:
            now = self.clock()
            new = await erasure_rows.inserted_or_found(connection, document.erasure)
            is_missing = new is document.erasure
            if scope.kind is ErasureKind.ACCOUNT:
                await erasure_rows.refuse(connection, new, scope.kind, scope.target)
            if scope.kind is ErasureKind.STUDY and is_missing:
                await close_study(connection, new, at=now)
            for one in document.subjects:
                await erasure_rows.refuse(connection, new, ErasureKind.SUBJECT, one.id)
                is_missing |= await _erase_again(connection, new, one, now)
            values = [_tombstone_values(new, one) for one in document.tombstones]
            is_missing |= bool(await rows.inserted_ids(connection, TombstoneRow, values))
            await _note_document(connection, name, new.id)
            if is_missing:
                await connection.execute(
                    update(ErasureRow)
                    .where(ErasureRow.id == new.id)
                    .values(state=ErasureState.REQUESTED, due_at=max(now, new.starts_at))
                )

    def _transaction(self, *, writes: bool = True) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction(self.engine, timeout_seconds=self.timeout_seconds, writes=writes)


def _held(messages: Sequence[Row[Any]], now: datetime) -> set[UUID]:
    """Return the uploads about which a relay may be publishing a message."""
    return {
        one.upload_id
        for one in messages
        if one.claimed_until is not None and one.claimed_until >= now
    }


def _counted(
    messages: Sequence[Row[Any]], there: Sequence[Row[Any]], going: set[UUID], *, versions: int
) -> ErasureCounts:
    """Count what goes with the uploads *going*; a message that was tried may have arrived."""
    told = {one.id for one in there if one.announced_at is not None}
    told |= {one.upload_id for one in messages if one.attempts}
    return ErasureCounts(
        uploads=len(going),
        versions=versions,
        withdrawn=sum(one.upload_id in going and not one.attempts for one in messages),
        announced=len(told & going),
    )


async def _remove_credentials(connection: AsyncConnection, subject: KnownSubject) -> None:
    """Remove the device tokens and enrolment codes of a subject, which name its pseudonym."""
    this = SubjectRow.id == subject.id
    study = select(SubjectRow.study).where(this).scalar_subquery()
    pseudonym = select(SubjectRow.pseudonym).where(this).scalar_subquery()
    for table in (DeviceTokenRow, EnrolmentCodeRow):
        await connection.execute(
            delete(table).where(table.study == study, table.subject == pseudonym)
        )


async def _erase_again(
    connection: AsyncConnection, erasure: Erasure, subject: KnownSubject, now: datetime
) -> bool:
    """
    Let a subject be erased; if it has no row, insert one, so that its pseudonym is refused.

    Returns whether something was missing.
    """
    study = erasure.scope.study
    this = select(SubjectRow.state).where(SubjectRow.id == subject.id)
    state = await connection.scalar(this.with_for_update())
    if state in {SubjectState.ACTIVE, SubjectState.WITHDRAWN}:
        await connection.execute(
            update(SubjectRow)
            .where(SubjectRow.id == subject.id)
            .values(state=SubjectState.ERASING, changed_at=now)
        )
    has_study = await connection.scalar(select(StudyRow.slug).where(StudyRow.slug == study))
    if state is None and has_study is not None:
        values = {
            "study": study,
            "pseudonym": subject.hidden,
            "id": subject.id,
            "state": SubjectState.ERASED.value,
            "enrolled_at": now,
            "changed_at": now,
        }
        return await rows.is_inserted(connection, SubjectRow, values)
    return state in {SubjectState.ACTIVE, SubjectState.WITHDRAWN}


async def _note_document(connection: AsyncConnection, name: str, erasure_id: ErasureId) -> None:
    values = {"name": name, "erasure_id": erasure_id}
    await rows.is_inserted(connection, ErasureDocumentRow, values)


def _tombstone_values(erasure: Erasure, tombstone: Tombstone) -> dict[str, Any]:
    return {
        "id": tombstone.id,
        "kind": ErasureKind.UPLOAD.value,
        "study": tombstone.study,
        "erasure_id": erasure.id,
        "upload_hash": tombstone.upload_hash,
        "key_hash": tombstone.key_hash,
    }


def _subjects_of(erasure: Erasure) -> tuple[Any, ...] | None:
    scope = erasure.scope
    if scope.kind is ErasureKind.SUBJECT:
        return (SubjectRow.id == scope.target,)
    return (SubjectRow.study == scope.study,) if scope.kind is ErasureKind.STUDY else None


# ANN401: the two dialects have no common type
def _insert(connection: AsyncConnection, table: Any) -> Any:  # noqa: ANN401
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


async def _count(connection: AsyncConnection, wanted: Select[Any]) -> int:
    some = wanted.limit(_MAX_COUNTED).subquery()
    return await connection.scalar(select(func.count()).select_from(some)) or 0


async def _add(connection: AsyncConnection, erasure_id: ErasureId, counts: ErasureCounts) -> None:
    await connection.execute(
        update(ErasureRow)
        .where(ErasureRow.id == erasure_id)
        .values(
            uploads=ErasureRow.uploads + counts.uploads,
            versions=ErasureRow.versions + counts.versions,
            withdrawn=ErasureRow.withdrawn + counts.withdrawn,
            announced=ErasureRow.announced + counts.announced,
            subjects=ErasureRow.subjects + counts.subjects,
        )
    )
