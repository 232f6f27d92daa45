"""
The admission of an upload into a study, before its file is read.

Study and subject come from the headers, so that no log of addresses has pseudonyms, or from the
form. An upload that names none goes into the study `default`, without a request to the database.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from fastapi import Request

from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.audit_details import details_of, note_subject
from healthingest_service.api.dependencies import count
from healthingest_service.api.problems import RequestRefusedError
from healthingest_service.identity.errors import BoundTokenError
from healthingest_service.identity.model import Binding, Principal
from healthingest_service.identity.throttling import Charge, Rate, Rule, Unit
from healthingest_service.studies.decisions import admit_upload
from healthingest_service.studies.errors import StudyError, StudyNotFoundError
from healthingest_service.studies.model import (
    DEFAULT_STUDY,
    PSEUDONYM_PATTERN,
    SLUG_PATTERN,
    Intake,
    Policy,
    Pseudonym,
    StudySlug,
)
from healthingest_service.uploads.errors import FileTooLargeError

STUDY_HEADER: Final = "Healthingest-Study"
SUBJECT_HEADER: Final = "Healthingest-Subject"
_HEADERS: Final = {"study": STUDY_HEADER, "subject": SUBJECT_HEADER}
_SLUG: Final = re.compile(SLUG_PATTERN)
_PSEUDONYM: Final = re.compile(PSEUDONYM_PATTERN)
STUDY_UPLOADS: Final = "study-uploads"
STUDY_BYTES: Final = "study-bytes"
"""The names of the limits of a study, in responses and metrics."""
_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Named:
    """The study and the subject that a request names; None if it names none."""

    study: str | None
    subject: str | None

    @property
    def is_complete(self) -> bool:
        """Whether both are named."""
        return self.study is not None and self.subject is not None


@dataclass(frozen=True, slots=True)
class DeclaredSize:
    """
    The size of a body by `Content-Length`, None if it is unknown.

    `least_file_bytes` is a lower bound of the size of the file in it. With `is_more` the bytes are
    more of an upload that was counted before.
    """

    body_bytes: int | None
    least_file_bytes: int
    is_more: bool = False


def named_by_headers(request: Request) -> Named:
    """
    Return what the headers name.

    Raises:
        RequestRefusedError: a header comes twice.
    """
    found = {name: request.headers.getlist(header) for name, header in _HEADERS.items()}
    if any(len(values) > 1 for values in found.values()):
        code = "contradicting-subject"
        raise RequestRefusedError(code)
    return Named(*(values[0] if values else None for values in found.values()))


def with_fields(named: Named, fields: Mapping[str, str]) -> Named:
    """
    Return *named*, completed from the *fields* of a form.

    Raises:
        RequestRefusedError: a field contradicts a header.
    """
    for name, value in fields.items():
        if getattr(named, name) not in {None, value}:
            code = "contradicting-subject"
            raise RequestRefusedError(code)
    return replace(named, **fields)


def with_binding(named: Named, binding: Binding | None) -> Named:
    """
    Return *named*, completed by what the caller's token is bound to.

    Raises:
        BoundTokenError: the token is for another study or subject.
    """
    if binding is None:
        return named
    if named.study not in {None, binding.study}:
        raise BoundTokenError
    if binding.subject is not None and named.subject not in {None, binding.subject}:
        raise BoundTokenError
    return Named(binding.study, binding.subject or named.subject)


async def admitted(
    request: Request,
    deps: ApiDependencies,
    principal: Principal,
    named: Named,
    *,
    size: DeclaredSize,
) -> Intake | None:
    """
    Admit an upload, and count it; None: it goes into the study `default`.

    Raises:
        StudyError: the study does not accept it; see `admit_upload`.
        RequestRefusedError: *named* is not well-formed, or names a subject in the study `default`
            that is not the account.
        FileTooLargeError: the declared size exceeds a limit of the study.
        RateLimitedError: the rate or the bytes of the study are used up.
    """
    if (named.study or DEFAULT_STUDY) == DEFAULT_STUDY:
        if named.subject not in {None, str(principal.account_id)}:
            code = "contradicting-subject"
            raise RequestRefusedError(code)
        return None
    study, pseudonym = _parsed(named)
    facts = await deps.studies.intake(principal.account_id, study, pseudonym)
    try:
        intake = admit_upload(facts, pseudonym)
    except StudyError:
        if facts.study is not None:
            details_of(request).study = facts.study.slug
            await note_subject(request, deps, facts.subject)
        raise
    await _count(request, deps, principal, intake, size)
    return intake


async def _count(
    request: Request,
    deps: ApiDependencies,
    principal: Principal,
    intake: Intake,
    size: DeclaredSize,
) -> None:
    """
    Count an admitted upload against the limits of its study.

    Raises:
        FileTooLargeError: the declared size exceeds a limit of the study.
        RateLimitedError: the rate or the bytes of the study are used up.
    """
    key = _key(intake, principal)
    rate = None if size.is_more else _rate_rule(intake.policy)
    charges = [] if rate is None else [Charge(rate, key)]
    quota = _byte_rule(intake.policy)
    largest_bytes = intake.policy.largest_file_bytes(deps.body.max_file_bytes)
    is_too_large = quota is not None and size.least_file_bytes > largest_bytes
    if quota is not None and not is_too_large:
        # A form is larger than its file, which may be as large as the quota.
        size_bytes = min(size.body_bytes or 0, quota.rate.amount)
        charges.append(Charge(quota, key, size_bytes))
    if charges:
        await count(request, deps, *charges)
    if is_too_large:
        raise FileTooLargeError(largest_bytes)


async def counted(
    request: Request,
    deps: ApiDependencies,
    principal: Principal,
    intake: Intake,
    content: AsyncIterator[bytes],
) -> AsyncIterator[bytes]:
    """
    Yield the chunks of a file of unknown size, and count them at its end, before it is stored.

    Raises:
        RateLimitedError: the bytes of the study are used up.
    """
    size_bytes = 0
    async for chunk in content:
        size_bytes += len(chunk)
        yield chunk
    quota = _byte_rule(intake.policy)
    if quota is not None:
        await count(request, deps, Charge(quota, _key(intake, principal), size_bytes))


def _key(intake: Intake, principal: Principal) -> str:
    return f"study:{intake.study}|account:{principal.account_id}"


def _rate_rule(policy: Policy) -> Rule | None:
    rate = policy.uploads_rate
    return None if rate is None else Rule(STUDY_UPLOADS, Rate.parse(rate))


def _byte_rule(policy: Policy) -> Rule | None:
    amount = policy.bytes_per_day
    if amount is None:
        return None
    return Rule(STUDY_BYTES, Rate(amount, _DAY_SECONDS), unit=Unit.BYTES)


def _parsed(named: Named) -> tuple[StudySlug, Pseudonym | None]:
    """
    Return the slug and the pseudonym.

    Raises:
        StudyNotFoundError: the study is not well-formed, so there is no such study.
        RequestRefusedError: the subject is not well-formed.
    """
    if named.study is None or _SLUG.fullmatch(named.study) is None:
        raise StudyNotFoundError
    if named.subject is not None and _PSEUDONYM.fullmatch(named.subject) is None:
        code = "invalid-subject"
        raise RequestRefusedError(code)
    return StudySlug(named.study), None if named.subject is None else Pseudonym(named.subject)
