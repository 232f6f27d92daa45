"""The commands of `healthingest-admin` for administrators, studies and subjects."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Final
from uuid import uuid4

from pydantic import ValidationError

from healthingest_service.adapters.database.accounts import DatabaseAccounts
from healthingest_service.adapters.database.studies import DatabaseStudies, not_hidden
from healthingest_service.adapters.password_pool import open_password_pool
from healthingest_service.api.study_views import (
    ChangedStudy,
    NewStudy,
    member_view,
    study_view,
    subject_view,
)
from healthingest_service.identity.email_address import InvalidEmailError, normal_email
from healthingest_service.identity.model import AccountId
from healthingest_service.main.admin_commands import NothingFoundError
from healthingest_service.main.admin_database import open_admin_database
from healthingest_service.main.runtime import erasure_keys, utc_now
from healthingest_service.settings import Settings
from healthingest_service.studies import decisions
from healthingest_service.studies.model import (
    NO_STANDING,
    Consent,
    Member,
    Pseudonym,
    Role,
    Study,
    StudySlug,
    StudyState,
    SubjectId,
)

_NO_ACCOUNT: Final = "no account has this e-mail address"
_NO_STUDY: Final = "there is no such study"
_NO_SUBJECT: Final = "the study has no such subject"


class InvalidArgumentError(Exception):
    """A value is out of its range; the message is the name of the argument."""


async def set_admin(settings: Settings, email: str, *, is_admin: bool) -> Mapping[str, object]:
    """
    Make an account an administrator of the installation, or not, and return its id.

    Raises:
        NothingFoundError: no account has this e-mail address.
    """
    async with _accounts(settings) as accounts:
        account = await accounts.set_admin(_normal(email), is_admin=is_admin)
    if account is None:
        raise NothingFoundError(_NO_ACCOUNT)
    return {"id": str(account), "is_admin": is_admin}


async def create_study(
    settings: Settings, slug: str, name: str, policy: Mapping[str, object]
) -> Mapping[str, object]:
    """
    Create a study, and return it; repeating is safe.

    Raises:
        InvalidArgumentError: a value is out of its range.
        StudyExistsError: a study with this slug and other values exists.
        RetentionBelowLockError: files would be due before the end of their object lock.
    """
    try:
        given = NewStudy.model_validate({"slug": slug, "name": name, "policy": policy})
    except ValidationError as error:
        place = str(error.errors()[0]["loc"][:2][-1]).replace("_", "-")
        raise InvalidArgumentError(place) from None
    lock_days = settings.store.lock_days
    decisions.require_retention(given.policy.retention_days, lock_days=lock_days)
    async with _studies(settings) as studies:
        decisions.require_no_default(StudySlug(given.slug))
        new = Study(
            StudySlug(given.slug), given.name, StudyState.OPEN, given.policy.policy(), utc_now()
        )
        is_new = await studies.create(new)
        existing = None if is_new else await _study(studies, new.slug)
    return study_view(decisions.created(new, existing), NO_STANDING).model_dump(mode="json")


async def set_state(settings: Settings, slug: str, state: StudyState) -> Mapping[str, object]:
    """
    Open or close a study, and return it.

    Raises:
        StudyNotFoundError: it does not exist.
        DefaultStudyError: it is the study `default`.
    """
    study = StudySlug(slug)
    decisions.require_no_default(study)
    change = ChangedStudy.model_validate({"state": state}).change()
    async with _studies(settings) as studies:
        changed = await studies.change(study, partial(decisions.changed, change=change))
    return study_view(changed, NO_STANDING).model_dump(mode="json")


async def show_study(settings: Settings, slug: str) -> Mapping[str, object]:
    """
    Return a study.

    Raises:
        NothingFoundError: it does not exist.
    """
    async with _studies(settings) as studies:
        study = await _study(studies, StudySlug(slug))
    return study_view(study, NO_STANDING).model_dump(mode="json")


async def set_member(
    settings: Settings, slug: str, email: str, roles: frozenset[Role]
) -> Mapping[str, object]:
    """
    Give an account exactly these roles in a study, and return it.

    Raises:
        NothingFoundError: the account or the study does not exist.
        DefaultStudyError: it is the study `default`.
    """
    study = StudySlug(slug)
    decisions.require_no_default(study)
    async with _accounts(settings) as accounts:
        account = await accounts.by_email(_normal(email))
    if account is None:
        raise NothingFoundError(_NO_ACCOUNT)
    async with _studies(settings) as studies:
        await _study(studies, study)
        if roles:
            member = await studies.put_member(study, Member(account.id, roles))
        else:
            await studies.remove_member(study, account.id)
            member = Member(account.id, roles)
    return member_view(member).model_dump(mode="json")


async def show_subject(settings: Settings, slug: str, pseudonym: str) -> Mapping[str, object]:
    """
    Return a subject.

    Raises:
        NothingFoundError: the study has no such subject.
    """
    async with _studies(settings) as studies:
        found = await studies.subject(StudySlug(slug), Pseudonym(pseudonym))
    if found is None:
        raise NothingFoundError(_NO_SUBJECT)
    return subject_view(found).model_dump(mode="json")


async def enrol_subject(
    settings: Settings, slug: str, pseudonym: str, consent: tuple[str, datetime] | None
) -> Mapping[str, object]:
    """
    Enrol a subject, with the version and time of its consent, and return it.

    Raises:
        NothingFoundError: the study does not exist.
        StudyError: the subject has left; see `decisions.enrolled`.
    """
    study = StudySlug(slug)
    decisions.require_no_default(study)
    new = decisions.new_subject(
        study,
        Pseudonym(pseudonym),
        subject_id=SubjectId(uuid4()),
        consent=None if consent is None else Consent(*consent),
        at=utc_now(),
    )
    async with _studies(settings) as studies:
        await _study(studies, study)
        done = await studies.change_subject(study, new.pseudonym, partial(decisions.enrolled, new))
    return subject_view(done).model_dump(mode="json")


async def withdraw_subject(settings: Settings, slug: str, pseudonym: str) -> Mapping[str, object]:
    """
    Record that a subject has withdrawn, and return it; its data is kept.

    Raises:
        SubjectNotFoundError, SubjectErasedError: as in `decisions.withdrawn`.
    """
    async with _studies(settings) as studies:
        done = await studies.change_subject(
            StudySlug(slug), Pseudonym(pseudonym), partial(decisions.withdrawn, at=utc_now())
        )
    return subject_view(done).model_dump(mode="json")


async def _study(studies: DatabaseStudies, slug: StudySlug) -> Study:
    access = await studies.access(AccountId(uuid4()), slug)
    if access is None:
        raise NothingFoundError(_NO_STUDY)
    return access.study


def _normal(email: str) -> str:
    try:
        return normal_email(email)
    except InvalidEmailError:
        raise NothingFoundError(_NO_ACCOUNT) from None


@asynccontextmanager
async def _studies(settings: Settings) -> AsyncIterator[DatabaseStudies]:
    keys = erasure_keys(settings)
    async with open_admin_database(settings) as engine:
        yield DatabaseStudies(
            engine,
            timeout_seconds=settings.database.timeout_seconds,
            hidden=not_hidden if keys is None else keys.hidden,
        )


@asynccontextmanager
async def _accounts(settings: Settings) -> AsyncIterator[DatabaseAccounts]:
    async with (
        open_admin_database(settings) as engine,
        open_password_pool(threads=1, queue_limit=1) as passwords,
    ):
        yield DatabaseAccounts(engine, passwords, timeout_seconds=settings.database.timeout_seconds)
