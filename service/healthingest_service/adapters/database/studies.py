"""The port `Studies` with the database."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    Row,
    TextualSelect,
    and_,
    bindparam,
    case,
    column,
    exists,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database import rows, study_rows
from healthingest_service.adapters.database.account_tables import AccountRow
from healthingest_service.adapters.database.engine import transaction_raising
from healthingest_service.adapters.database.memberships import (
    lock_studies,
    memberships,
    put_membership,
)
from healthingest_service.adapters.database.statement import Statement
from healthingest_service.adapters.database.study_tables import (
    StudyMemberRow,
    StudyRow,
    SubjectRow,
)
from healthingest_service.identity.model import AccountId
from healthingest_service.studies.errors import (
    AccountNotFoundError,
    StudiesUnavailableError,
    StudyErasedError,
    StudyNotFoundError,
)
from healthingest_service.studies.model import (
    IntakeFacts,
    Member,
    MemberPage,
    Membership,
    Pseudonym,
    Role,
    Standing,
    Study,
    StudyAccess,
    StudyPage,
    StudySlug,
    Subject,
    SubjectPage,
    SubjectState,
)
from healthingest_service.studies.ports import Studies
from healthingest_service.uploads.errors import LedgerUnavailableError

Hidden = Callable[[StudySlug, Pseudonym], Pseudonym]
_ACCOUNT: Final = AccountRow.__table__.c
_STUDY: Final = StudyRow.__table__.c
_SUBJECT: Final = SubjectRow.__table__.c
_IS_ERASED: Final = case((SubjectRow.state == SubjectState.ERASED, 1), else_=0)
"""Sorts an active subject before an erased one of the same pseudonym."""
_ATTEMPTS: Final = 2
"""A subject that another process inserts meanwhile is found at the second attempt."""


def not_hidden(_study: StudySlug, pseudonym: Pseudonym) -> Pseudonym:
    """Return *pseudonym*: for a process that looks for no erased subjects."""
    return pseudonym


def _intake() -> TextualSelect:
    """
    Return the query for all facts about an upload: study, roles, administrator and subject.

    It is text, because each upload about a subject executes it. SQLAlchemy would need more time to
    build and to recognise its own construct than to execute it.
    """
    role = StudyMemberRow.__table__.c.role
    found = {of.name: of for of in (*_STUDY, role, _ACCOUNT.is_superuser)}
    found |= {f"subject_{of.name}": of for of in _SUBJECT}
    columns = ", ".join(f"{of} AS {name}" for name, of in found.items())
    # S608: names are the tables' own
    statement = (
        f"SELECT {columns} FROM study"  # noqa: S608
        " LEFT JOIN study_member ON study_member.study = study.slug"
        " AND study_member.account_id = :account_id"
        " LEFT JOIN account ON account.id = :account_id AND account.is_active"
        " LEFT JOIN subject ON subject.study = study.slug"
        " AND subject.pseudonym IN (:name, :hidden)"
        " WHERE study.slug = :study"
        f" ORDER BY CASE WHEN subject.state = '{SubjectState.ERASED}' THEN 1 ELSE 0 END"
    )
    given = {"study": _STUDY.slug, "account_id": _ACCOUNT.id}
    given |= {"name": _SUBJECT.pseudonym, "hidden": _SUBJECT.pseudonym}
    typed = (bindparam(name, type_=of.type) for name, of in given.items())
    # By position, so that SQLAlchemy keeps what it has computed about the result.
    named = (column(name, of.type) for name, of in found.items())
    return text(statement).bindparams(*typed).columns(*named)


_INTAKE: Final = Statement(_intake())


_ONE_ROW: Final = select(literal(1).label("one")).subquery()


class DatabaseStudies(Studies):
    """
    Studies, members and subjects in the database.

    *hidden* returns the text that stands for the pseudonym of an erased subject.
    """

    def __init__(
        self, engine: AsyncEngine, *, timeout_seconds: float, hidden: Hidden = not_hidden
    ) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds
        self._hidden = hidden

    @override
    async def access(self, account_id: AccountId, study: StudySlug) -> StudyAccess | None:
        # An unknown study has a row, too: its answer must not come sooner than that about a study
        # in which the account has no role.
        wanted = (
            select(*_STUDY, StudyMemberRow.role, _ACCOUNT.is_superuser)
            .select_from(_ONE_ROW)
            .outerjoin(StudyRow, StudyRow.slug == study)
            .outerjoin(StudyMemberRow, _is_member(account_id))
            .outerjoin(AccountRow, _is_account(account_id))
        )
        async with self._transaction(writes=False, single=True) as connection:
            found = (await connection.execute(wanted)).all()
        if found[0].slug is None:
            return None
        return StudyAccess(study_rows.study(found[0]), _standing(found))

    @override
    async def is_admin(self, account_id: AccountId) -> bool:
        wanted = select(_ACCOUNT.id).where(_is_account(account_id), _ACCOUNT.is_superuser)
        async with self._transaction(writes=False, single=True) as connection:
            return (await connection.execute(wanted)).first() is not None

    @override
    async def intake(
        self, account_id: AccountId, study: StudySlug, pseudonym: Pseudonym | None
    ) -> IntakeFacts:
        name, hidden = ("", "") if pseudonym is None else self._names(study, pseudonym)
        wanted = {"study": study, "account_id": account_id, "name": name, "hidden": hidden}
        try:
            found = await _INTAKE.fetch(self._engine, wanted, timeout_seconds=self._timeout_seconds)
        except LedgerUnavailableError as error:
            raise StudiesUnavailableError from error
        if not found:
            return IntakeFacts(None, Standing(), None)
        return IntakeFacts(
            study_rows.study(found[0]), _standing(found), study_rows.joined_subject(found[0])
        )

    @override
    async def page(
        self, account_id: AccountId, *, limit: int, cursor: str | None = None
    ) -> StudyPage:
        mine = exists().where(StudyMemberRow.study == StudyRow.slug, _is_account_of(account_id))
        slugs = select(StudyRow.slug).order_by(StudyRow.slug).limit(limit + 1)
        if cursor is not None:
            slugs = slugs.where(StudyRow.slug > cursor)
        async with self._transaction(writes=False) as connection:
            is_admin = bool(await connection.scalar(_admin(account_id)))
            wanted = slugs if is_admin else slugs.where(mine)
            found = list(await connection.scalars(wanted))
            wanted_rows = (
                select(*_STUDY, StudyMemberRow.role)
                .outerjoin(StudyMemberRow, _is_member(account_id))
                .where(StudyRow.slug.in_(found[:limit]))
                .order_by(StudyRow.slug)
            )
            by_slug: dict[str, list[Row[Any]]] = {slug: [] for slug in found[:limit]}
            for row in await connection.execute(wanted_rows):
                by_slug[row.slug].append(row)
        studies = tuple(
            StudyAccess(study_rows.study(some[0]), Standing(_roles(some), is_admin))
            for some in by_slug.values()
        )
        return StudyPage(studies, found[limit - 1] if len(found) > limit else None)

    @override
    async def create(self, new: Study) -> bool:
        async with self._transaction(single=True) as connection:
            return await rows.is_inserted(connection, StudyRow, study_rows.study_values(new))

    @override
    async def change(self, study: StudySlug, change: Callable[[Study], Study]) -> Study:
        wanted = select(StudyRow).where(StudyRow.slug == study)
        async with self._transaction(study=study) as connection:
            row = (await connection.execute(wanted.with_for_update())).first()
            if row is None:
                raise StudyNotFoundError
            before = study_rows.study(row)
            after = change(before)
            if after != before:
                await connection.execute(
                    update(StudyRow)
                    .where(StudyRow.slug == study)
                    .values(study_rows.study_values(after))
                )
        return after

    @override
    async def members(
        self, study: StudySlug, *, limit: int, cursor: str | None = None
    ) -> MemberPage:
        accounts = (
            select(StudyMemberRow.account_id)
            .where(StudyMemberRow.study == study)
            .distinct()
            .order_by(StudyMemberRow.account_id)
            .limit(limit + 1)
        )
        if cursor is not None:
            accounts = accounts.where(StudyMemberRow.account_id > UUID(cursor))
        async with self._transaction(writes=False, study=study) as connection:
            found = list(await connection.scalars(accounts))
            roles = select(StudyMemberRow.__table__).where(
                StudyMemberRow.study == study, StudyMemberRow.account_id.in_(found[:limit])
            )
            by_account = {one: Membership(study, AccountId(one)) for one in found[:limit]}
            for row in await connection.execute(roles):
                by_account[row.account_id] = by_account[row.account_id].also(
                    Role(row.role), by_manager=row.by_manager, by_group=row.by_group
                )
        members = tuple(_member(some) for some in by_account.values())
        return MemberPage(members, str(found[limit - 1]) if len(found) > limit else None)

    @override
    async def put_member(self, study: StudySlug, member: Member) -> Member:
        try:
            return _member(await self._put_roles(study, member.account_id, member.roles))
        except IntegrityError:
            raise AccountNotFoundError from None

    @override
    async def remove_member(self, study: StudySlug, account_id: AccountId) -> None:
        await self._put_roles(study, account_id, frozenset())

    async def _put_roles(
        self, study: StudySlug, account_id: AccountId, roles: frozenset[Role]
    ) -> Membership:
        async with self._transaction(study=study) as connection:
            await lock_studies(connection, [study])
            existing = await memberships(connection, account_id)
            before = existing.get(study, Membership(study, account_id))
            after = replace(before, by_manager=roles)
            await put_membership(connection, after)
        return after

    @override
    async def subject(self, study: StudySlug, pseudonym: Pseudonym) -> Subject | None:
        names = self._names(study, pseudonym)
        wanted = select(SubjectRow).where(*_is_subject(study, names)).order_by(_IS_ERASED)
        async with self._transaction(writes=False, study=study) as connection:
            row = (await connection.execute(wanted)).first()
        return None if row is None else replace(study_rows.subject(row), pseudonym=pseudonym)

    @override
    async def subjects(
        self, study: StudySlug, *, limit: int, cursor: str | None = None
    ) -> SubjectPage:
        wanted = (
            select(SubjectRow)
            .where(SubjectRow.study == study)
            .order_by(SubjectRow.pseudonym)
            .limit(limit + 1)
        )
        if cursor is not None:
            wanted = wanted.where(SubjectRow.pseudonym > cursor)
        async with self._transaction(writes=False, study=study) as connection:
            found = [study_rows.subject(row) for row in await connection.execute(wanted)]
        more = len(found) > limit
        return SubjectPage(tuple(found[:limit]), found[limit - 1].pseudonym if more else None)

    @override
    async def change_subject(
        self,
        study: StudySlug,
        pseudonym: Pseudonym,
        change: Callable[[Subject | None], Subject],
    ) -> Subject:
        for _ in range(_ATTEMPTS):
            async with self._transaction(study=study) as connection:
                after = await self._change_subject(connection, study, pseudonym, change)
            if after is not None:
                return after
        raise StudiesUnavailableError

    async def _change_subject(
        self,
        connection: AsyncConnection,
        study: StudySlug,
        pseudonym: Pseudonym,
        change: Callable[[Subject | None], Subject],
    ) -> Subject | None:
        """Return the changed subject; None: another process inserted it meanwhile."""
        this = _is_subject(study, self._names(study, pseudonym))
        # The lock waits for uploads that are about to complete; see `DatabaseLedger.complete`.
        wanted = select(SubjectRow).where(*this).order_by(_IS_ERASED).with_for_update()
        row = (await connection.execute(wanted)).first()
        before = None if row is None else replace(study_rows.subject(row), pseudonym=pseudonym)
        after = change(before)
        values = study_rows.subject_values(after)
        if before is None or after.id != before.id:
            await _refuse_erased_study(connection, study)
        if before is None:
            return after if await rows.is_inserted(connection, SubjectRow, values) else None
        if after != before:
            this_row = SubjectRow.id == before.id
            await connection.execute(update(SubjectRow).where(this_row).values(values))
        return after

    def _names(self, study: StudySlug, pseudonym: Pseudonym) -> tuple[str, str]:
        """Return the texts that the row of a subject may have; one of them is there at a time."""
        return (pseudonym, self._hidden(study, pseudonym))

    def _transaction(
        self, *, writes: bool = True, single: bool = False, study: str | None = None
    ) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction_raising(
            StudiesUnavailableError,
            self._engine,
            timeout_seconds=self._timeout_seconds,
            writes=writes,
            single=single,
            study=study,
        )


async def _refuse_erased_study(connection: AsyncConnection, study: StudySlug) -> None:
    """
    Refuse a new subject of an erased study.

    The lock orders it and the request for the erasure: one of them sees the other.
    """
    wanted = select(StudyRow.erasure_id).where(StudyRow.slug == study)
    if await connection.scalar(wanted.with_for_update(read=True)) is not None:
        raise StudyErasedError


# ANN401: conditions have no common type that SQLAlchemy exports
def _is_member(account_id: AccountId) -> Any:  # noqa: ANN401
    return and_(StudyMemberRow.study == StudyRow.slug, _is_account_of(account_id))


def _is_account_of(account_id: AccountId) -> Any:  # noqa: ANN401
    return StudyMemberRow.account_id == account_id


def _is_account(account_id: AccountId) -> Any:  # noqa: ANN401
    return and_(_ACCOUNT.id == account_id, _ACCOUNT.is_active)


def _admin(account_id: AccountId) -> Any:  # noqa: ANN401
    return select(_ACCOUNT.is_superuser).where(_is_account(account_id))


def _is_subject(study: StudySlug, names: Collection[str]) -> Any:  # noqa: ANN401
    return SubjectRow.study == study, SubjectRow.pseudonym.in_(names)


def _member(found: Membership) -> Member:
    return Member(found.account_id, found.by_manager, found.by_group)


def _roles(found: Sequence[Row[Any]]) -> frozenset[Role]:
    return frozenset(Role(row.role) for row in found if row.role is not None)


def _standing(found: Sequence[Row[Any]]) -> Standing:
    return Standing(_roles(found), is_admin=bool(found[0].is_superuser))
