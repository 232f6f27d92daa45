"""The port `Studies`, on SQLite and on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.account_tables import AccountRow
from healthingest_service.adapters.database.engine import open_engine, transaction
from healthingest_service.adapters.database.studies import DatabaseStudies
from healthingest_service.identity.model import AccountId
from healthingest_service.studies import decisions
from healthingest_service.studies.errors import (
    AccountNotFoundError,
    StudiesUnavailableError,
    StudyNotFoundError,
    SubjectNotFoundError,
)
from healthingest_service.studies.model import (
    DEFAULT_STUDY,
    NO_STANDING,
    Enrolment,
    IntakeFacts,
    Member,
    Policy,
    Pseudonym,
    Role,
    Standing,
    Study,
    StudyChange,
    StudySlug,
    StudyState,
    Subject,
    SubjectState,
)
from support.studies import CONSENT, SLUG, SUBJECT, study, subject
from support.uploads import NOON

UPLOADER = frozenset({Role.UPLOADER})
FULL = study(
    state=StudyState.CLOSED,
    enrolment=Enrolment.LISTED,
    consent_required=True,
    retention_days=30,
    record_types=frozenset({"HeartRateRecord", "SleepRecord"}),
    erasure_hold_seconds=60,
    uploads_rate="5/second",
    max_file_bytes=1000,
    bytes_per_day=5000,
)


@pytest.fixture
def studies(engine: AsyncEngine) -> DatabaseStudies:
    """Studies in a new database."""
    return DatabaseStudies(engine, timeout_seconds=5)


async def account(engine: AsyncEngine, *, is_admin: bool = False) -> AccountId:
    """Return a new account."""
    one = uuid4()
    values = {
        "id": one,
        "email": f"{one}@clinic.example",
        "hashed_password": "x",
        "is_active": True,
        "is_superuser": is_admin,
        "is_verified": True,
    }
    async with transaction(engine, timeout_seconds=5) as connection:
        await connection.execute(insert(AccountRow).values(values))
    return AccountId(one)


async def test_the_default_study_exists(studies: DatabaseStudies, engine: AsyncEngine) -> None:
    """A new database has it, open and without rules."""
    access = await studies.access(await account(engine), DEFAULT_STUDY)
    assert access is not None
    assert access.standing == NO_STANDING
    assert (access.study.state, access.study.policy) == (StudyState.OPEN, Policy())


@pytest.mark.parametrize("new", [study(), FULL])
async def test_a_study_is_kept(studies: DatabaseStudies, engine: AsyncEngine, new: Study) -> None:
    """With every value of its policy. A second creation changes nothing."""
    assert await studies.create(new)
    assert not await studies.create(replace(new, name="Other"))
    access = await studies.access(await account(engine), SLUG)
    assert access is not None
    assert access.study == new


async def test_a_study_is_changed(studies: DatabaseStudies, engine: AsyncEngine) -> None:
    """Of concurrent changes none is lost."""
    await studies.create(study())
    changes = (
        StudyChange(name="New"),
        StudyChange(state=StudyState.CLOSED),
        StudyChange(policy={"record_types": frozenset({"SleepRecord"})}),
        StudyChange(policy={"retention_days": 7}),
    )
    await asyncio.gather(
        *(studies.change(SLUG, partial(decisions.changed, change=one)) for one in changes)
    )
    access = await studies.access(await account(engine), SLUG)
    assert access is not None
    assert access.study == study(
        name="New",
        state=StudyState.CLOSED,
        record_types=frozenset({"SleepRecord"}),
        retention_days=7,
    )
    with pytest.raises(StudyNotFoundError):
        await studies.change(StudySlug("unknown"), lambda before: before)


async def test_roles_are_those_of_a_study(studies: DatabaseStudies, engine: AsyncEngine) -> None:
    """Putting a member replaces its roles; another study and another account have none."""
    member, other, admin = [await account(engine, is_admin=n == 2) for n in range(3)]
    await studies.create(study())
    await studies.create(study("other"))
    await studies.put_member(SLUG, Member(member, frozenset(Role)))
    for _ in range(2):
        await studies.put_member(SLUG, Member(member, UPLOADER))
    standings = [
        (await studies.intake(one, StudySlug(slug), None)).standing
        for one, slug in ((member, SLUG), (member, "other"), (other, SLUG), (admin, SLUG))
    ]
    assert standings == [Standing(UPLOADER), NO_STANDING, NO_STANDING, Standing(is_admin=True)]
    access = await studies.access(member, SLUG)
    assert access is not None
    assert access.standing == Standing(UPLOADER)
    assert [await studies.is_admin(one) for one in (member, admin)] == [False, True]
    for _ in range(2):
        await studies.remove_member(SLUG, member)
    assert (await studies.intake(member, SLUG, None)).standing == NO_STANDING


async def test_a_deactivated_administrator_is_none(
    studies: DatabaseStudies, engine: AsyncEngine
) -> None:
    """Its rights end with its account."""
    admin = await account(engine, is_admin=True)
    async with transaction(engine, timeout_seconds=5) as connection:
        await connection.execute(update(AccountRow).values(is_active=False))
    access = await studies.access(admin, DEFAULT_STUDY)
    assert access is not None
    assert access.standing == NO_STANDING
    assert not await studies.is_admin(admin)


async def test_an_unknown_account_becomes_no_member(studies: DatabaseStudies) -> None:
    """The database has no account with this id."""
    await studies.create(study())
    with pytest.raises(AccountNotFoundError):
        await studies.put_member(SLUG, Member(AccountId(uuid4()), UPLOADER))


async def test_members_come_in_pages(studies: DatabaseStudies, engine: AsyncEngine) -> None:
    """Each once, with all its roles."""
    await studies.create(study())
    accounts = sorted([await account(engine) for _ in range(3)])
    for one in accounts:
        await studies.put_member(SLUG, Member(one, frozenset(Role)))
    first = await studies.members(SLUG, limit=2)
    rest = await studies.members(SLUG, limit=2, cursor=first.next_cursor)
    assert first.members + rest.members == tuple(Member(one, frozenset(Role)) for one in accounts)
    assert (first.next_cursor, rest.next_cursor) == (str(accounts[1]), None)


async def test_studies_come_in_pages(studies: DatabaseStudies, engine: AsyncEngine) -> None:
    """A member sees its studies, an administrator all of them, another account none."""
    member, other, admin = [await account(engine, is_admin=n == 2) for n in range(3)]
    for slug in ("a", "b", "c"):
        await studies.create(study(slug))
    for slug in ("a", "c"):
        await studies.put_member(StudySlug(slug), Member(member, frozenset(Role)))
    first = await studies.page(member, limit=1)
    rest = await studies.page(member, limit=1, cursor=first.next_cursor)
    found = first.studies + rest.studies
    assert [one.study.slug for one in found] == ["a", "c"]
    assert {one.standing for one in found} == {Standing(frozenset(Role))}
    assert (first.next_cursor, rest.next_cursor) == ("a", None)
    assert (await studies.page(other, limit=9)).studies == ()
    everything = await studies.page(admin, limit=9)
    assert [one.study.slug for one in everything.studies] == ["a", "b", "c", "default"]
    assert {one.standing for one in everything.studies} == {Standing(is_admin=True)}


async def test_a_subject_is_kept(studies: DatabaseStudies, engine: AsyncEngine) -> None:
    """With its consent; the same pseudonym in another study is another subject."""
    await studies.create(study())
    await studies.create(study("other"))
    new = subject(consent=replace(CONSENT, withdrawn_at=NOON))
    assert await studies.change_subject(SLUG, SUBJECT, lambda _: new) == new
    assert await studies.subject(SLUG, SUBJECT) == new
    assert await studies.subject(StudySlug("other"), SUBJECT) is None
    facts = await studies.intake(await account(engine), SLUG, SUBJECT)
    assert facts == IntakeFacts(study(), NO_STANDING, new)
    facts = await studies.intake(await account(engine), StudySlug("other"), SUBJECT)
    assert facts == IntakeFacts(study("other"), NO_STANDING, None)
    facts = await studies.intake(await account(engine), StudySlug("unknown"), SUBJECT)
    assert facts == IntakeFacts(None, NO_STANDING, None)


async def test_a_subject_is_enrolled_once(studies: DatabaseStudies) -> None:
    """Of concurrent first uploads one enrols it; all get the same id."""
    await studies.create(study())

    async def enrol() -> Subject:
        new = subject()
        return await studies.change_subject(
            SLUG, SUBJECT, lambda before: decisions.enrolled(new, before)
        )

    assert len({one.id for one in await asyncio.gather(*(enrol() for _ in range(4)))}) == 1


async def test_a_refused_change_of_a_subject_changes_nothing(studies: DatabaseStudies) -> None:
    """The error of the change propagates."""
    await studies.create(study())
    with pytest.raises(SubjectNotFoundError):
        await studies.change_subject(
            SLUG, SUBJECT, lambda before: decisions.withdrawn(before, at=NOON)
        )
    assert await studies.subject(SLUG, SUBJECT) is None


async def test_a_subject_changes_its_state(studies: DatabaseStudies) -> None:
    """The result is what the change returned."""
    await studies.create(study())
    await studies.change_subject(SLUG, SUBJECT, lambda _: subject(consent=CONSENT))
    at = NOON + timedelta(seconds=1)
    after = await studies.change_subject(
        SLUG, SUBJECT, lambda before: decisions.withdrawn(before, at=at)
    )
    assert after.state is SubjectState.WITHDRAWN
    assert await studies.subject(SLUG, SUBJECT) == after


async def test_subjects_come_in_pages(studies: DatabaseStudies) -> None:
    """By pseudonym, those of the study only."""
    for slug in (SLUG, StudySlug("other")):
        await studies.create(study(slug))
        for name in ("c", "a", "b"):
            enrol = partial(decisions.enrolled, subject(name, of=slug))
            await studies.change_subject(slug, Pseudonym(name), enrol)
    first = await studies.subjects(SLUG, limit=2)
    rest = await studies.subjects(SLUG, limit=2, cursor=first.next_cursor)
    assert [one.pseudonym for one in first.subjects + rest.subjects] == ["a", "b", "c"]
    assert {one.study for one in first.subjects + rest.subjects} == {SLUG}
    assert (first.next_cursor, rest.next_cursor) == ("b", None)


async def test_a_dead_server_is_unavailable() -> None:
    """It is one of our errors."""
    async with open_engine(
        "postgresql://u:p@127.0.0.1:9/none", pool_size=1, timeout_seconds=1
    ) as engine:
        studies = DatabaseStudies(engine, timeout_seconds=1)
        with pytest.raises(StudiesUnavailableError):
            await studies.access(AccountId(UUID(int=1)), SLUG)
