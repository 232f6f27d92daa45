"""Converts rows of erasures to values of the core, and back, and selects the rows of a scope."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, TextClause, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.erasure_tables import ErasureRow, TombstoneRow
from healthingest_service.adapters.database.resumable_tables import ResumableUploadRow
from healthingest_service.adapters.database.study_tables import SubjectRow
from healthingest_service.adapters.database.tables import UploadRow
from healthingest_service.erasure.model import (
    Erasure,
    ErasureCounts,
    ErasureId,
    ErasureKind,
    ErasureState,
    Scope,
)
from healthingest_service.identity.model import AccountId
from healthingest_service.studies.model import DEFAULT_STUDY, StudySlug
from healthingest_service.uploads.resumable import ResumableState

OF_SUBJECTS: Final = text("upload.subject <> ''")
OF_RESUMABLE_SUBJECTS: Final = text("resumable_upload.subject <> ''")
"""Constants, so that PostgreSQL uses the partial indexes."""
IS_OPEN: Final = text("erasure.state <> 'done'")
Condition = ColumnElement[bool] | TextClause


def erasure(row: Row[Any]) -> Erasure:
    """Convert a complete row of `erasure`."""
    return Erasure(
        id=ErasureId(row.id),
        scope=Scope(ErasureKind(row.kind), StudySlug(row.study), row.target, row.received_before),
        state=ErasureState(row.state),
        requested_at=row.requested_at,
        starts_at=row.starts_at,
        requested_by=None if row.requested_by is None else AccountId(row.requested_by),
        counts=ErasureCounts(
            uploads=row.uploads,
            versions=row.versions,
            withdrawn=row.withdrawn,
            announced=row.announced,
            subjects=row.subjects,
        ),
        blocked_until=row.blocked_until,
        done_at=row.done_at,
        certificate=row.certificate,
    )


def erasure_values(new: Erasure) -> dict[str, Any]:
    """Return the columns of a new erasure, which is due at its start."""
    counts = new.counts
    return {
        "id": new.id,
        "scope": new.scope.name,
        "kind": new.scope.kind.value,
        "study": new.scope.study,
        "target": new.scope.target,
        "received_before": new.scope.received_before,
        "state": new.state.value,
        "requested_by": new.requested_by,
        "requested_at": new.requested_at,
        "starts_at": new.starts_at,
        "due_at": new.starts_at,
        "uploads": counts.uploads,
        "versions": counts.versions,
        "withdrawn": counts.withdrawn,
        "announced": counts.announced,
        "subjects": counts.subjects,
    }


def in_scope(scope: Scope) -> tuple[Condition, ...]:
    """Return the conditions on `upload` that select the uploads of *scope*."""
    of_study = (OF_SUBJECTS, UploadRow.study == scope.study)
    match scope.kind:
        case ErasureKind.UPLOAD:
            return (UploadRow.id == scope.target,)
        case ErasureKind.ACCOUNT:
            of_default = (UploadRow.study == DEFAULT_STUDY, UploadRow.subject == "")
            return (UploadRow.owner_id == scope.target, *of_default)
        case ErasureKind.SUBJECT:
            named = select(SubjectRow.pseudonym).where(SubjectRow.id == scope.target)
            return (*of_study, UploadRow.subject == named.scalar_subquery())
        case ErasureKind.STUDY:
            return of_study
        case ErasureKind.RETENTION:
            return (*of_study, UploadRow.received_at < scope.received_before)


def resumable_in_scope(erasure: Erasure) -> tuple[Condition, ...]:
    """Return the conditions on `resumable_upload` that select those of the scope of *erasure*."""
    scope = erasure.scope
    row = ResumableUploadRow
    of_study = (OF_RESUMABLE_SUBJECTS, row.study == scope.study)
    match scope.kind:
        case ErasureKind.UPLOAD:
            return (row.upload_id == scope.target,)
        case ErasureKind.ACCOUNT:
            return (row.owner_id == scope.target, row.study == DEFAULT_STUDY)
        case ErasureKind.SUBJECT:
            named = select(SubjectRow.pseudonym).where(SubjectRow.id == scope.target)
            return (*of_study, row.subject == named.scalar_subquery())
        case ErasureKind.STUDY:
            return of_study
        case ErasureKind.RETENTION:
            too_old = select(UploadRow.id).where(UploadRow.id == row.upload_id, *in_scope(scope))
            erased = select(TombstoneRow.id).where(
                TombstoneRow.id == row.upload_id, TombstoneRow.erasure_id == erasure.id
            )
            of_uploads = too_old.correlate(row).exists() | erased.correlate(row).exists()
            return (*of_study, row.upload_id.is_not(None), of_uploads)


async def end_resumable(connection: AsyncConnection, erasure: Erasure, *, at: datetime) -> None:
    """End the resumable uploads of the scope: no byte is added to them any more."""
    await connection.execute(
        update(ResumableUploadRow)
        .where(*resumable_in_scope(erasure), ResumableUploadRow.state != ResumableState.ENDED.value)
        .values(state=ResumableState.ENDED.value, ended_at=at, due_at=at)
    )


async def inserted_or_found(connection: AsyncConnection, new: Erasure) -> Erasure:
    """Insert *new*, or return the erasure of the same scope."""
    if await rows.is_inserted(connection, ErasureRow, erasure_values(new)):
        return new
    found = select(ErasureRow).where(ErasureRow.scope == new.scope.name)
    return erasure((await connection.execute(found)).one())


def refused_values(of: Erasure, kind: ErasureKind, identity: object) -> dict[str, Any]:
    """Return the columns of the tombstone that refuses data about a subject or an account."""
    return {"id": identity, "kind": kind.value, "study": of.scope.study, "erasure_id": of.id}


async def refuse(
    connection: AsyncConnection, of: Erasure, kind: ErasureKind, identity: object
) -> None:
    """Insert the tombstone of a subject or account: from now on its data is refused."""
    await rows.is_inserted(connection, TombstoneRow, refused_values(of, kind, identity))


def is_being_stored(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a process may still store the object of an upload."""
    return UploadRow.lease_until >= now
