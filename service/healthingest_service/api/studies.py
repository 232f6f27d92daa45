"""The routes of studies: create and change them, and manage members and subjects."""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Annotated, Final
from uuid import UUID, uuid4

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.responses import JSONResponse

from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.audit_details import details_of, note_subject
from healthingest_service.api.dependencies import Administrator, ApiDeps, Caller, InStudy
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.parsed_body import JSON_TYPE, described_body, json_body
from healthingest_service.api.problems import RequestRefusedError
from healthingest_service.api.study_views import (
    ChangedStudy,
    ConsentDocument,
    MemberDocument,
    MembersQuery,
    MembersView,
    MemberView,
    NewStudy,
    StudiesQuery,
    StudiesView,
    StudyView,
    SubjectDocument,
    SubjectsQuery,
    SubjectsView,
    SubjectView,
    member_view,
    study_view,
    subject_view,
)
from healthingest_service.identity.model import AccountId
from healthingest_service.studies import decisions
from healthingest_service.studies.errors import (
    AccountNotFoundError,
    StudyNotFoundError,
    SubjectNotFoundError,
)
from healthingest_service.studies.model import (
    PSEUDONYM_PATTERN,
    Consent,
    Member,
    Pseudonym,
    Study,
    StudyAccess,
    StudySlug,
    StudyState,
    Subject,
    SubjectId,
)

_PSEUDONYM: Final = re.compile(PSEUDONYM_PATTERN)
_CLOCK_DIFFERENCE: Final = timedelta(minutes=5)
_STUDIES: Final = "/v1/studies"
_STUDY: Final = "/v1/studies/{study}"
_MEMBERS: Final = "/v1/studies/{study}/members"
_MEMBER: Final = "/v1/studies/{study}/members/{account}"
_SUBJECTS: Final = "/v1/studies/{study}/subjects"
_SUBJECT: Final = "/v1/studies/{study}/subjects/{subject}"
_READING: Final = (401, 403, 404, 429, 503)
_LISTING: Final = (*_READING, 422)
_WRITING: Final = (400, *_READING, 408, 409, 413, 415, 422)

SubjectPath = Annotated[
    str, Path(json_schema_extra={"pattern": f"^{PSEUDONYM_PATTERN}$"}, description="A pseudonym.")
]
AccountPath = Annotated[str, Path(json_schema_extra={"format": "uuid"})]


def routes() -> APIRouter:
    """Return the router of the study routes."""
    router = APIRouter(tags=["studies"])
    for method, path, handler, operation_id, statuses, model in (
        ("GET", _STUDIES, list_studies, "listStudies", (401, 403, 422, 429, 503), None),
        ("POST", _STUDIES, create_study, "createStudy", _WRITING, NewStudy),
        ("GET", _STUDY, get_study, "getStudy", _READING, None),
        ("PATCH", _STUDY, change_study, "changeStudy", (*_WRITING, 410), ChangedStudy),
        ("GET", _MEMBERS, list_members, "listMembers", _LISTING, None),
        ("PUT", _MEMBER, put_member, "putMember", _WRITING, MemberDocument),
        ("DELETE", _MEMBER, remove_member, "removeMember", (*_READING, 409), None),
        ("GET", _SUBJECTS, list_subjects, "listSubjects", _LISTING, None),
        ("GET", _SUBJECT, get_subject, "getSubject", _READING, None),
        ("PUT", _SUBJECT, enrol_subject, "enrolSubject", (*_WRITING, 410), SubjectDocument),
        (
            "PUT",
            f"{_SUBJECT}/consent",
            give_consent,
            "giveConsent",
            (*_WRITING, 410),
            ConsentDocument,
        ),
        (
            "PUT",
            f"{_SUBJECT}/withdrawal",
            withdraw_subject,
            "withdrawSubject",
            (*_READING, 409, 410),
            None,
        ),
    ):
        answers = problem_answers(*sorted(statuses))
        if operation_id == "createStudy":
            answers |= {201: {"model": StudyView, "description": "The new study"}}
        router.add_api_route(
            path,
            handler,
            methods=[method],
            operation_id=operation_id,
            status_code=204 if method == "DELETE" else 200,
            responses=answers,
            openapi_extra=None if model is None else described_body(model, JSON_TYPE),
        )
    return router


async def list_studies(
    deps: ApiDeps, principal: Caller, query: Annotated[StudiesQuery, Query()]
) -> StudiesView:
    """List the studies in which you have a role; an administrator gets all studies."""
    page = await deps.studies.page(principal.account_id, limit=query.limit, cursor=query.cursor)
    return StudiesView(
        studies=[study_view(one.study, one.standing) for one in page.studies],
        next_cursor=page.next_cursor,
    )


async def create_study(request: Request, deps: ApiDeps, principal: Administrator) -> StudyView:
    """Create a study. Repeating the request returns the study."""
    given = await json_body(NewStudy, request, deps)
    slug = StudySlug(given.slug)
    decisions.require_no_default(slug)
    decisions.require_retention(given.policy.retention_days, lock_days=deps.lock_days)
    new = Study(slug, given.name, StudyState.OPEN, given.policy.policy(), deps.clock())
    is_new = await deps.studies.create(new)
    details_of(request).study = slug
    access = await deps.studies.access(principal.account_id, slug)
    if access is None:  # studies are never removed
        raise StudyNotFoundError
    study = decisions.created(new, None if is_new else access.study)
    view = study_view(study, access.standing)
    # mypy, FastAPI: a response is returned as it is
    return JSONResponse(  # type: ignore[return-value]
        view.model_dump(mode="json"), status_code=201 if is_new else 200
    )


async def get_study(access: InStudy) -> StudyView:
    """Return a study, its policy, and your roles in it."""
    return study_view(access.study, access.standing)


async def change_study(request: Request, deps: ApiDeps, access: InStudy) -> StudyView:
    """Change name, state or policy; absent fields stay (RFC 7396)."""
    decisions.require_no_default(access.study.slug)
    given = await json_body(ChangedStudy, request, deps)
    new = given.change()
    decisions.require_retention(new.policy.get("retention_days"), lock_days=deps.lock_days)
    change = partial(decisions.changed, change=new)
    changed = await deps.studies.change(access.study.slug, change)
    return study_view(changed, access.standing)


async def list_members(
    deps: ApiDeps, access: InStudy, query: Annotated[MembersQuery, Query()]
) -> MembersView:
    """List the accounts that have a role in the study."""
    cursor = None if query.cursor is None else str(query.cursor)
    page = await deps.studies.members(access.study.slug, limit=query.limit, cursor=cursor)
    return MembersView(
        members=[member_view(one) for one in page.members], next_cursor=page.next_cursor
    )


async def put_member(
    request: Request, deps: ApiDeps, access: InStudy, account: AccountPath
) -> MemberView:
    """Give an account these roles, and no others; roles that follow from groups stay."""
    decisions.require_no_default(access.study.slug)
    given = await json_body(MemberDocument, request, deps)
    member = Member(_account_id(account), given.roles)
    return member_view(await deps.studies.put_member(access.study.slug, member))


async def remove_member(deps: ApiDeps, access: InStudy, account: AccountPath) -> Response:
    """Remove all roles of an account; roles that follow from groups stay."""
    decisions.require_no_default(access.study.slug)
    await deps.studies.remove_member(access.study.slug, _account_id(account))
    return Response(status_code=204)


async def list_subjects(
    deps: ApiDeps, access: InStudy, query: Annotated[SubjectsQuery, Query()]
) -> SubjectsView:
    """List the subjects of the study."""
    page = await deps.studies.subjects(access.study.slug, limit=query.limit, cursor=query.cursor)
    return SubjectsView(
        subjects=[subject_view(one) for one in page.subjects], next_cursor=page.next_cursor
    )


async def get_subject(
    request: Request, deps: ApiDeps, access: InStudy, subject: SubjectPath
) -> SubjectView:
    """Return a subject and its consent."""
    if _PSEUDONYM.fullmatch(subject) is None:
        raise SubjectNotFoundError
    found = await deps.studies.subject(access.study.slug, Pseudonym(subject))
    if found is None:
        raise SubjectNotFoundError
    await note_subject(request, deps, found)
    return subject_view(found)


async def enrol_subject(
    request: Request, deps: ApiDeps, access: InStudy, subject: SubjectPath
) -> SubjectView:
    """Enrol a subject, with its consent if it is known."""
    pseudonym = pseudonym_of(access.study.slug, subject)
    given = await json_body(SubjectDocument, request, deps)
    new = decisions.new_subject(
        access.study.slug,
        pseudonym,
        subject_id=SubjectId(uuid4()),
        consent=None if given.consent is None else _consent(given.consent, deps),
        at=deps.clock(),
    )
    change = partial(decisions.enrolled, new)
    return await _changed_subject(request, deps, pseudonym, access, change)


async def give_consent(
    request: Request, deps: ApiDeps, access: InStudy, subject: SubjectPath
) -> SubjectView:
    """Record a consent. A withdrawn subject becomes active if it was given afterwards."""
    pseudonym = pseudonym_of(access.study.slug, subject)
    given = _consent(await json_body(ConsentDocument, request, deps), deps)
    change = partial(decisions.consented, consent=given, at=deps.clock())
    return await _changed_subject(request, deps, pseudonym, access, change)


async def withdraw_subject(
    request: Request, deps: ApiDeps, access: InStudy, subject: SubjectPath
) -> SubjectView:
    """
    Record that a subject has withdrawn.

    After the answer no upload about it succeeds, also none that was in progress. Its data is kept.
    """
    pseudonym = pseudonym_of(access.study.slug, subject)
    change = partial(decisions.withdrawn, at=deps.clock())
    return await _changed_subject(request, deps, pseudonym, access, change)


async def _changed_subject(
    request: Request,
    deps: ApiDependencies,
    pseudonym: Pseudonym,
    access: StudyAccess,
    change: Callable[[Subject | None], Subject],
) -> SubjectView:
    after = await deps.studies.change_subject(access.study.slug, pseudonym, change)
    await note_subject(request, deps, after)
    return subject_view(after)


def pseudonym_of(study: StudySlug, text: str) -> Pseudonym:
    """
    Return the pseudonym in a path.

    Raises:
        DefaultStudyError: *study* has no subjects.
        RequestRefusedError: *text* is no pseudonym.
    """
    decisions.require_no_default(study)
    if _PSEUDONYM.fullmatch(text) is None:
        code = "invalid-subject"
        raise RequestRefusedError(code)
    return Pseudonym(text)


def _account_id(text: str) -> AccountId:
    try:
        return AccountId(UUID(text))
    except ValueError:
        raise AccountNotFoundError from None


def _consent(given: ConsentDocument, deps: ApiDependencies) -> Consent:
    if given.given_at > deps.clock() + _CLOCK_DIFFERENCE:
        code = "consent-in-future"
        raise RequestRefusedError(code)
    return Consent(given.version, given.given_at)
