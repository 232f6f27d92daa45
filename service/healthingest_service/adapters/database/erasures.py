"""The ports `Erasures` and `Retention` with the database."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database import erasure_rows
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.erasure_tables import ErasureRow, TombstoneRow
from healthingest_service.adapters.database.ledger import utc_now
from healthingest_service.adapters.database.studies import Hidden
from healthingest_service.adapters.database.study_tables import StudyRow, SubjectRow
from healthingest_service.adapters.database.tables import UploadRow
from healthingest_service.erasure.model import (
    Erasure,
    ErasureId,
    ErasureKind,
    ErasureState,
    Scope,
)
from healthingest_service.erasure.ports import Erasures, Retention
from healthingest_service.identity.model import AccountId
from healthingest_service.studies.decisions import require_no_default
from healthingest_service.studies.errors import StudyNotFoundError, SubjectNotFoundError
from healthingest_service.studies.model import (
    DEFAULT_STUDY,
    Pseudonym,
    StudySlug,
    StudyState,
    SubjectState,
)
from healthingest_service.uploads.errors import LedgerUnavailableError, UploadNotFoundError
from healthingest_service.uploads.model import UploadId

_LIVING: Final = (SubjectState.ACTIVE, SubjectState.WITHDRAWN)


@dataclass(frozen=True, slots=True)
class DatabaseErasures(Erasures, Retention):
    """
    Requests of erasures.

    A row of `upload` in state `storing` is marked with its erasure. A completion that waits for the
    mark sees it when it goes on, and refuses.
    """

    engine: AsyncEngine
    hidden: Hidden
    timeout_seconds: float
    clock: Callable[[], datetime] = utc_now

    @override
    async def request_upload(self, upload_id: UploadId, *, by: AccountId | None) -> Erasure:
        wanted = select(UploadRow.study, UploadRow.erasure_id).where(UploadRow.id == upload_id)
        async with self._transaction() as connection:
            row = (await connection.execute(wanted.with_for_update())).first()
            known = upload_id if row is None else row.erasure_id
            found = None if known is None else await _erasure_by_id(connection, known)
            if found is not None:
                return found
            if row is None:
                raise UploadNotFoundError
            scope = Scope(ErasureKind.UPLOAD, StudySlug(row.study), upload_id)
            erasure = await self._inserted(connection, scope, by)
            await connection.execute(
                update(UploadRow).where(UploadRow.id == upload_id).values(erasure_id=erasure.id)
            )
        return erasure

    @override
    async def request_subject(
        self, study: StudySlug, pseudonym: Pseudonym, *, by: AccountId | None
    ) -> Erasure:
        names = (pseudonym, self.hidden(study, pseudonym))
        wanted = select(SubjectRow).where(
            SubjectRow.study == study, SubjectRow.pseudonym.in_(names)
        )
        async with self._transaction(study=study) as connection:
            # The lock waits for uploads that are about to complete; see `DatabaseLedger.complete`.
            row = (await connection.execute(wanted.with_for_update())).first()
            if row is None:
                raise SubjectNotFoundError
            if row.state not in _LIVING:
                return await _erasure_of_subject(connection, row.id)
            erasure = await self._inserted(
                connection, Scope(ErasureKind.SUBJECT, study, row.id), by
            )
            await connection.execute(
                update(SubjectRow)
                .where(SubjectRow.id == row.id)
                .values(state=SubjectState.ERASING, changed_at=self.clock())
            )
            await erasure_rows.refuse(connection, erasure, ErasureKind.SUBJECT, row.id)
            await self._mark(connection, erasure)
        return erasure

    @override
    async def request_account(self, account_id: AccountId, *, by: AccountId | None) -> Erasure:
        """
        See `Erasures.request_account`.

        An account has no row that a completion locks. So the tombstone is committed first: uploads
        that begin afterwards are refused, and those that have begun before are found and marked.
        """
        scope = Scope(ErasureKind.ACCOUNT, DEFAULT_STUDY, account_id)
        async with self._transaction() as connection:
            erasure = await self._inserted(connection, scope, by)
            await erasure_rows.refuse(connection, erasure, ErasureKind.ACCOUNT, account_id)
        async with self._transaction() as connection:
            await self._mark(connection, erasure)
        return erasure

    @override
    async def request_study(self, study: StudySlug, *, by: AccountId | None) -> Erasure:
        require_no_default(study)
        wanted = select(StudyRow.erasure_id).where(StudyRow.slug == study)
        async with self._transaction(study=study) as connection:
            row = (await connection.execute(wanted.with_for_update())).first()
            if row is None:
                raise StudyNotFoundError
            found = (
                None if row.erasure_id is None else await _erasure_by_id(connection, row.erasure_id)
            )
            if found is not None:
                return found
            erasure = await self._inserted(connection, Scope(ErasureKind.STUDY, study), by)
            await close_study(connection, erasure, at=self.clock())
            await self._mark(connection, erasure)
        return erasure

    @override
    async def find(self, erasure_id: ErasureId) -> Erasure | None:
        wanted = select(ErasureRow).where(ErasureRow.id == erasure_id)
        async with self._transaction(writes=False) as connection:
            row = (await connection.execute(wanted)).first()
        return None if row is None else erasure_rows.erasure(row)

    @override
    async def oldest_open(self, *, limit: int) -> Sequence[Erasure]:
        wanted = (
            select(ErasureRow)
            .where(erasure_rows.IS_OPEN)
            .order_by(ErasureRow.requested_at, ErasureRow.id)
            .limit(limit)
        )
        async with self._transaction(writes=False) as connection:
            return [erasure_rows.erasure(row) for row in await connection.execute(wanted)]

    @override
    async def of_upload(self, upload_id: UploadId) -> Erasure | None:
        wanted = select(UploadRow.erasure_id).where(UploadRow.id == upload_id)
        async with self._transaction(writes=False) as connection:
            known = await connection.scalar(wanted)
            return await _erasure_by_id(connection, known or upload_id)

    @override
    async def request_due(self, now: datetime, *, slot: timedelta) -> int:
        keeping = select(StudyRow.slug, StudyRow.retention_days).where(
            StudyRow.retention_days.is_not(None), StudyRow.erasure_id.is_(None)
        )
        async with self._transaction(writes=False) as connection:
            studies = (await connection.execute(keeping)).all()
        until = datetime.fromtimestamp(
            now.timestamp() // slot.total_seconds() * slot.total_seconds(), now.tzinfo
        )
        requested = 0
        for study in studies:
            before = until - timedelta(days=study.retention_days)
            scope = Scope(ErasureKind.RETENTION, StudySlug(study.slug), None, before)
            requested += await self._request_retention(scope)
        return requested

    @override
    async def below(self, days: int, *, limit: int) -> Sequence[StudySlug]:
        wanted = select(StudyRow.slug).where(
            StudyRow.retention_days.is_not(None),
            StudyRow.retention_days < days,
            StudyRow.erasure_id.is_(None),
        )
        async with self._transaction(writes=False) as connection:
            found = await connection.scalars(wanted.order_by(StudyRow.slug).limit(limit))
            return [StudySlug(slug) for slug in found]

    async def _request_retention(self, scope: Scope) -> bool:
        due = select(UploadRow.id).where(
            *erasure_rows.in_scope(scope), UploadRow.erasure_id.is_(None)
        )
        async with self._transaction() as connection:
            if (await connection.execute(due.limit(1))).first() is None:
                return False
            new = self._new(scope, None, hold_seconds=0)
            return (await erasure_rows.inserted_or_found(connection, new)).id == new.id

    async def _inserted(
        self, connection: AsyncConnection, scope: Scope, by: AccountId | None
    ) -> Erasure:
        hold = select(StudyRow.erasure_hold_seconds).where(StudyRow.slug == scope.study)
        seconds = await connection.scalar(hold) or 0
        return await erasure_rows.inserted_or_found(
            connection, self._new(scope, by, hold_seconds=seconds)
        )

    def _new(self, scope: Scope, by: AccountId | None, *, hold_seconds: int) -> Erasure:
        now = self.clock()
        return Erasure(
            id=ErasureId(uuid4()),
            scope=scope,
            state=ErasureState.HOLDING if hold_seconds else ErasureState.REQUESTED,
            requested_at=now,
            starts_at=now + timedelta(seconds=hold_seconds),
            requested_by=by,
        )

    async def _mark(self, connection: AsyncConnection, erasure: Erasure) -> None:
        """Mark what is being received and stored in the scope, so that none of it completes."""
        await connection.execute(
            update(UploadRow)
            .where(*erasure_rows.in_scope(erasure.scope), UploadRow.lease_until.is_not(None))
            .values(erasure_id=erasure.id)
        )
        await erasure_rows.end_resumable(connection, erasure, at=self.clock())

    def _transaction(
        self, *, writes: bool = True, study: str | None = None
    ) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction(
            self.engine, timeout_seconds=self.timeout_seconds, writes=writes, study=study
        )


async def close_study(connection: AsyncConnection, erasure: Erasure, *, at: datetime) -> None:
    """Close the study for ever, and let its subjects be erased."""
    study = erasure.scope.study
    await connection.execute(
        update(StudyRow)
        .where(StudyRow.slug == study)
        .values(state=StudyState.CLOSED, erasure_id=erasure.id)
    )
    subjects = select(
        SubjectRow.id,
        literal(ErasureKind.SUBJECT.value),
        SubjectRow.study,
        literal(erasure.id, TombstoneRow.__table__.c.erasure_id.type),
    ).where(SubjectRow.study == study)
    on = sqlite if connection.dialect.name == "sqlite" else postgresql
    names = ["id", "kind", "study", "erasure_id"]
    await connection.execute(
        on.insert(TombstoneRow)
        .from_select(names, subjects, include_defaults=False)
        .on_conflict_do_nothing()
    )
    await connection.execute(
        update(SubjectRow)
        .where(SubjectRow.study == study, SubjectRow.state.in_(_LIVING))
        .values(state=SubjectState.ERASING, changed_at=at)
    )


async def _erasure_by_id(connection: AsyncConnection, identity: UUID) -> Erasure | None:
    """Return the erasure with this id, or that of the upload or subject with this id."""
    of = select(TombstoneRow.erasure_id).where(TombstoneRow.id == identity).scalar_subquery()
    wanted = select(ErasureRow).where(ErasureRow.id.in_((identity, of)))
    row = (await connection.execute(wanted)).first()
    return None if row is None else erasure_rows.erasure(row)


async def _erasure_of_subject(connection: AsyncConnection, subject_id: UUID) -> Erasure:
    """
    Return the erasure of a subject that is `erasing` or `erased`.

    Raises:
        LedgerUnavailableError: its row is not restored yet; the janitor restores it.
    """
    found = await _erasure_by_id(connection, subject_id)
    if found is None:
        raise LedgerUnavailableError
    return found
