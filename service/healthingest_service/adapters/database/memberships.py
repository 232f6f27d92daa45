"""The roles of accounts in studies: those that managers give, and those that follow from groups."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database.account_tables import AccountRow
from healthingest_service.adapters.database.audit import audit_values
from healthingest_service.adapters.database.audit_tables import AuditEventRow
from healthingest_service.adapters.database.engine import transaction_raising
from healthingest_service.adapters.database.study_tables import StudyMemberRow, StudyRow
from healthingest_service.audit.model import AuditEvent
from healthingest_service.identity.model import AccountId
from healthingest_service.studies.errors import StudiesUnavailableError
from healthingest_service.studies.group_roles import GroupRoles, Wanted, changes_of
from healthingest_service.studies.model import Membership, Role, StudySlug

_ACCOUNT: Final = AccountRow.__table__.c
_MEMBER: Final = StudyMemberRow.__table__.c


class DatabaseGroupRoles(GroupRoles):
    """The roles of groups in the database."""

    def __init__(self, engine: AsyncEngine, *, timeout_seconds: float) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds

    @override
    async def has_group_roles(self, account_id: AccountId) -> bool:
        wanted = (
            select(_MEMBER.study).where(_MEMBER.account_id == account_id, _MEMBER.by_group).limit(1)
        )
        async with self._transaction(writes=False) as connection:
            return (await connection.execute(wanted)).first() is not None

    @override
    async def put_group_roles(
        self,
        account_id: AccountId,
        wanted: Wanted,
        *,
        as_of: datetime,
        event: Callable[[Membership], AuditEvent],
    ) -> Sequence[Membership]:
        done = []
        async with self._transaction() as connection:
            if not await _is_newest(connection, account_id, as_of):
                return []
            existing = await memberships(connection, account_id)
            changed = await lock_studies(connection, changes_of(existing, wanted))
            if changed:  # a manager may have changed its roles meanwhile
                existing = await memberships(connection, account_id)
            for study in changed:
                before = existing.get(study, Membership(study, account_id))
                after = replace(before, by_group=wanted.get(study, frozenset()))
                await put_membership(connection, after)
                await connection.execute(insert(AuditEventRow).values(audit_values(event(after))))
                done.append(after)
        return done

    def _transaction(self, *, writes: bool = True) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction_raising(
            StudiesUnavailableError,
            self._engine,
            timeout_seconds=self._timeout_seconds,
            writes=writes,
            single=not writes,
        )


async def _is_newest(connection: AsyncConnection, account_id: AccountId, as_of: datetime) -> bool:
    """
    Note the time of a token, and return whether no newer one was noted.

    The lock of the row orders two tokens of one account. It is that of an update, which does not
    wait for the foreign keys of a manager's change.
    """
    note = (
        update(AccountRow)
        .where(
            _ACCOUNT.id == account_id,
            _ACCOUNT.groups_at.is_(None) | (_ACCOUNT.groups_at <= as_of),
        )
        .values(groups_at=as_of, updated_at=_ACCOUNT.updated_at)
    )
    return (await connection.execute(note)).rowcount == 1


async def lock_studies(
    connection: AsyncConnection, studies: Collection[StudySlug]
) -> list[StudySlug]:
    """
    Lock the members of studies, and return those that exist, sorted.

    Each change of members locks its study first, so that two changes of one account are ordered.
    """
    if not studies:
        return []
    wanted = (
        select(StudyRow.slug)
        .where(StudyRow.slug.in_(studies))
        .order_by(StudyRow.slug)
        .with_for_update()
    )
    return [StudySlug(slug) for slug in await connection.scalars(wanted)]


async def memberships(
    connection: AsyncConnection, account_id: AccountId
) -> dict[StudySlug, Membership]:
    """Return the roles of an account in all studies in which it has any."""
    wanted = select(_MEMBER.study, _MEMBER.role, _MEMBER.by_manager, _MEMBER.by_group).where(
        _MEMBER.account_id == account_id
    )
    found: dict[StudySlug, Membership] = {}
    for row in await connection.execute(wanted):
        study = StudySlug(row.study)
        before = found.get(study, Membership(study, account_id))
        found[study] = before.also(Role(row.role), by_manager=row.by_manager, by_group=row.by_group)
    return found


async def put_membership(connection: AsyncConnection, wanted: Membership) -> None:
    """Replace the roles of an account in a study, which is locked."""
    await connection.execute(
        delete(StudyMemberRow).where(
            _MEMBER.study == wanted.study, _MEMBER.account_id == wanted.account_id
        )
    )
    values = [
        {
            "study": wanted.study,
            "account_id": wanted.account_id,
            "role": role.value,
            "by_manager": role in wanted.by_manager,
            "by_group": role in wanted.by_group,
        }
        for role in sorted(wanted.by_manager | wanted.by_group)
    ]
    if values:
        await connection.execute(insert(StudyMemberRow), values)
