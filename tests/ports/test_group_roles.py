"""The port `GroupRoles`, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.account_tables import AccountRow
from healthingest_service.adapters.database.accounts import EXTERNAL_DOMAIN, external_account
from healthingest_service.adapters.database.audit import DatabaseAuditLog
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.memberships import DatabaseGroupRoles
from healthingest_service.adapters.database.studies import DatabaseStudies
from healthingest_service.audit.model import Action, ActorKind
from healthingest_service.identity.model import AccountId
from healthingest_service.studies.group_roles import Wanted, change_event
from healthingest_service.studies.model import Member, Membership, Role, StudySlug
from support.studies import SLUG, study
from support.uploads import NOON

READER: Final = frozenset({Role.READER})
MANAGER: Final = frozenset({Role.MANAGER})
OTHER: Final = StudySlug("other")
LATER: Final = NOON + timedelta(minutes=5)


@pytest.fixture(name="groups")
def _groups(engine: AsyncEngine) -> DatabaseGroupRoles:
    return DatabaseGroupRoles(engine, timeout_seconds=60)


@pytest.fixture(name="studies")
async def _studies(engine: AsyncEngine) -> DatabaseStudies:
    """Two studies."""
    found = DatabaseStudies(engine, timeout_seconds=60)
    for slug in (SLUG, OTHER):
        await found.create(study(slug))
    return found


@pytest.fixture(name="user")
async def _user(engine: AsyncEngine) -> AccountId:
    one = AccountId(uuid4())
    async with transaction(engine, timeout_seconds=60) as connection:
        await connection.execute(insert(AccountRow).values(external_account(one, EXTERNAL_DOMAIN)))
    return one


async def put(
    groups: DatabaseGroupRoles, user: AccountId, wanted: Wanted, as_of: datetime = NOON
) -> Sequence[Membership]:
    """Apply the groups of a token that was issued at that time."""
    return await groups.put_group_roles(
        user, wanted, as_of=as_of, event=lambda change: change_event(change, NOON)
    )


async def members(studies: DatabaseStudies, slug: StudySlug = SLUG) -> tuple[Member, ...]:
    """Return the members of a study."""
    return (await studies.members(slug, limit=9)).members


async def test_roles_of_groups_come_and_go(
    groups: DatabaseGroupRoles, studies: DatabaseStudies, user: AccountId
) -> None:
    """They give access, in each study apart; a repeated call changes nothing."""
    wanted = {SLUG: READER, OTHER: READER | MANAGER}
    for expected in (2, 0):
        assert len(await put(groups, user, wanted)) == expected
    assert await groups.has_group_roles(user)
    access = await studies.access(user, OTHER)
    assert access is not None
    assert access.standing.roles == READER | MANAGER
    assert await members(studies) == (Member(user, frozenset(), READER),)
    await put(groups, user, {OTHER: MANAGER}, LATER)
    assert not await members(studies)
    assert await members(studies, OTHER) == (Member(user, frozenset(), MANAGER),)
    await put(groups, user, {}, LATER)
    assert not await members(studies, OTHER)
    assert not await groups.has_group_roles(user)


async def test_roles_that_a_manager_gave_stay(
    groups: DatabaseGroupRoles, studies: DatabaseStudies, user: AccountId
) -> None:
    """Also the same role; and a manager neither gives nor takes a role of a group."""
    await studies.put_member(SLUG, Member(user, READER))
    await put(groups, user, {SLUG: READER | MANAGER})
    assert await members(studies) == (Member(user, READER, READER | MANAGER),)
    await put(groups, user, {}, LATER)
    assert await members(studies) == (Member(user, READER),)
    await put(groups, user, {SLUG: MANAGER}, LATER)
    both = Member(user, frozenset({Role.UPLOADER}), MANAGER)
    assert await studies.put_member(SLUG, Member(user, frozenset({Role.UPLOADER}))) == both
    assert await members(studies) == (both,)
    await studies.remove_member(SLUG, user)
    assert await members(studies) == (Member(user, frozenset(), MANAGER),)


async def test_an_older_token_changes_nothing(
    groups: DatabaseGroupRoles, studies: DatabaseStudies, user: AccountId
) -> None:
    """A process may see it for the first time after the newer one."""
    await put(groups, user, {SLUG: READER})
    await put(groups, user, {}, LATER)
    assert not await put(groups, user, {SLUG: READER})
    assert not await members(studies)


async def test_what_does_not_exist_is_left_out(
    groups: DatabaseGroupRoles, studies: DatabaseStudies, user: AccountId
) -> None:
    """An unknown study gets no member, an unknown account no role."""
    await put(groups, user, {StudySlug("unknown"): READER, SLUG: READER})
    assert await members(studies) == (Member(user, frozenset(), READER),)
    assert not await put(groups, AccountId(uuid4()), {SLUG: READER})


async def test_each_change_is_recorded(
    groups: DatabaseGroupRoles, studies: DatabaseStudies, user: AccountId, engine: AsyncEngine
) -> None:
    """In its transaction, with study and account; the service itself is the actor."""
    await studies.put_member(OTHER, Member(user, READER))
    await put(groups, user, {SLUG: READER, OTHER: MANAGER})
    await put(groups, user, {}, LATER)
    log = DatabaseAuditLog(engine, timeout_seconds=60)
    events = [one.event for one in await log.unchained(after=0, limit=9)]
    assert [(one.action, one.study) for one in events] == [
        (Action.MEMBER_CHANGE, one) for one in sorted((SLUG, OTHER))
    ] + [
        (Action.MEMBER_REMOVE if one == SLUG else Action.MEMBER_CHANGE, one)
        for one in sorted((SLUG, OTHER))
    ]
    assert {(one.actor, one.account_id, one.object_id) for one in events} == {
        (ActorKind.SYSTEM, None, str(user))
    }


async def test_changes_at_one_time_are_ordered(
    groups: DatabaseGroupRoles, studies: DatabaseStudies, user: AccountId
) -> None:
    """Tokens and managers wait for each other, and the newest token wins."""
    await asyncio.gather(
        *(
            put(groups, user, {SLUG: READER} if number else {OTHER: READER}, as_of)
            for number, as_of in enumerate((LATER, NOON, NOON - timedelta(hours=1)))
        ),
        *(studies.put_member(slug, Member(user, MANAGER)) for slug in (OTHER, SLUG)),
    )
    assert await members(studies) == (Member(user, MANAGER),)
    assert await members(studies, OTHER) == (Member(user, MANAGER, READER),)
