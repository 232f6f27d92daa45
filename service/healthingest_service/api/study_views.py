"""The documents of studies, members and subjects in requests and responses."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from healthingest_contract.topology import RECORD_TYPE_PATTERN
from healthingest_service.api.parsed_body import ClosedModel
from healthingest_service.identity.registration import is_printable
from healthingest_service.identity.throttling import Rate
from healthingest_service.studies.model import (
    HIDDEN_PATTERN,
    PSEUDONYM_PATTERN,
    SLUG_PATTERN,
    Consent,
    Enrolment,
    Member,
    Policy,
    Role,
    Standing,
    Study,
    StudyChange,
    StudyState,
    Subject,
    SubjectState,
    pseudonym_warnings,
)

_MAX_RECORD_TYPES: Final = 100
_MAX_RETENTION_DAYS: Final = 36_500
_MAX_HOLD_SECONDS: Final = 365 * 86_400
_MAX_BYTES: Final = 2**53 - 1
"""The greatest integer of which every JSON reader knows each smaller one (RFC 8259, 6)."""


def _printable(name: str) -> str:
    if not is_printable(name):
        code = "unprintable_characters"
        raise PydanticCustomError(
            code, "must not contain control characters or text direction characters"
        )
    return name


def _rate(text: str) -> str:
    try:
        Rate.parse(text)
    except ValueError:
        code = "invalid_rate"
        raise PydanticCustomError(code, "must be a rate such as 10/minute") from None
    return text.strip()


REPEATABLE: Final[JsonDict] = {"uniqueItems": False}
"""A value that comes twice in a list counts once."""
Slug = Annotated[str, Field(pattern=f"^{SLUG_PATTERN}$")]
PseudonymText = Annotated[str, Field(pattern=f"^{PSEUDONYM_PATTERN}$")]
_Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
_RecordTypes = Annotated[
    frozenset[Annotated[str, Field(pattern=f"^{RECORD_TYPE_PATTERN}$")]],
    Field(min_length=1, max_length=_MAX_RECORD_TYPES, json_schema_extra=REPEATABLE),
]
_Retention = Annotated[int, Field(ge=1, le=_MAX_RETENTION_DAYS)]
_Hold = Annotated[int, Field(ge=0, le=_MAX_HOLD_SECONDS)]
_Rate = Annotated[str, Field(max_length=32), AfterValidator(_rate)]
_Bytes = Annotated[int, Field(ge=1, le=_MAX_BYTES)]


class PolicyDocument(ClosedModel):
    """The rules of a study; null means no rule, or the limit of the installation."""

    enrolment: Enrolment = Enrolment.OPEN
    consent_required: bool = False
    retention_days: _Retention | None = None
    record_types: _RecordTypes | None = None
    erasure_hold_seconds: _Hold = 0
    uploads_rate: _Rate | None = None
    max_file_bytes: _Bytes | None = None
    bytes_per_day: _Bytes | None = None

    def policy(self) -> Policy:
        """Return the policy."""
        return Policy(**{name: getattr(self, name) for name in type(self).model_fields})


class NewStudy(ClosedModel):
    """The request to create a study."""

    slug: Slug
    name: _Name
    policy: PolicyDocument = PolicyDocument()


class ChangedStudy(ClosedModel):
    """
    The request to change a study.

    Fields that are absent stay as they are; null removes a rule (RFC 7396).
    """

    name: _Name = ""
    state: StudyState = StudyState.OPEN
    policy: PolicyDocument = PolicyDocument()

    def change(self) -> StudyChange:
        """Return the fields that are present."""
        given = self.model_fields_set
        policy = self.policy
        return StudyChange(
            name=self.name if "name" in given else None,
            state=self.state if "state" in given else None,
            policy={name: getattr(policy, name) for name in policy.model_fields_set},
        )


class StudyView(BaseModel):
    """A study, and the roles of the caller in it."""

    slug: str
    name: str
    state: StudyState
    policy: PolicyDocument
    roles: list[Role]
    created_at: datetime


class StudiesView(BaseModel):
    """Studies by slug; `next_cursor` is null on the last page."""

    studies: list[StudyView]
    next_cursor: str | None


class MemberDocument(ClosedModel):
    """The roles that an account gets; others are removed."""

    roles: Annotated[frozenset[Role], Field(min_length=1, json_schema_extra=REPEATABLE)]


class MemberView(BaseModel):
    """
    An account and its roles in the study.

    `group_roles` follow from its groups at an identity provider; only `roles` can be changed here.
    """

    account_id: UUID
    roles: list[Role]
    group_roles: list[Role]


class MembersView(BaseModel):
    """Members by account id; `next_cursor` is null on the last page."""

    members: list[MemberView]
    next_cursor: str | None


class ConsentDocument(ClosedModel):
    """A consent: the version of the study's information, and when the subject has agreed."""

    version: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]
    given_at: Annotated[AwareDatetime, Field(strict=True)]
    """Not a number, as it could be seconds or milliseconds."""


class SubjectDocument(ClosedModel):
    """The request to enrol a subject."""

    consent: ConsentDocument | None = None


class ConsentView(BaseModel):
    """A consent; `withdrawn_at` is null while it holds."""

    version: str
    given_at: datetime
    withdrawn_at: datetime | None


class SubjectView(BaseModel):
    """
    A subject and its consent.

    `warnings` has a code for each kind of identifying text that the pseudonym looks like.
    """

    study: str
    subject: str
    state: SubjectState
    consent: ConsentView | None
    enrolled_at: datetime
    changed_at: datetime
    warnings: list[str]


class SubjectsView(BaseModel):
    """Subjects by pseudonym; `next_cursor` is null on the last page."""

    subjects: list[SubjectView]
    next_cursor: str | None


class _Page(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 20


class StudiesQuery(_Page):
    """Paging of the list of studies."""

    cursor: Slug | None = None


class MembersQuery(_Page):
    """Paging of the list of members."""

    cursor: UUID | None = None


class SubjectsQuery(_Page):
    """Paging of the list of subjects."""

    cursor: Annotated[str | None, Field(pattern=f"^(?:{PSEUDONYM_PATTERN}|{HIDDEN_PATTERN})$")] = (
        None
    )


class StudyTokensQuery(_Page):
    """Filter and paging of the device tokens of a study."""

    cursor: UUID | None = None
    subject: PseudonymText | None = None


def study_view(study: Study, standing: Standing) -> StudyView:
    """Return the view of a study."""
    policy = PolicyDocument.model_validate(study.policy, from_attributes=True)
    return StudyView(
        slug=study.slug,
        name=study.name,
        state=study.state,
        policy=policy,
        roles=sorted(standing.roles),
        created_at=study.created_at,
    )


def member_view(member: Member) -> MemberView:
    """Return the view of a member."""
    return MemberView(
        account_id=member.account_id,
        roles=sorted(member.roles),
        group_roles=sorted(member.group_roles),
    )


def subject_view(subject: Subject) -> SubjectView:
    """Return the view of a subject."""
    return SubjectView(
        study=subject.study,
        subject=subject.pseudonym,
        state=subject.state,
        consent=None if subject.consent is None else _consent_view(subject.consent),
        enrolled_at=subject.enrolled_at,
        changed_at=subject.changed_at,
        warnings=list(pseudonym_warnings(subject.pseudonym)),
    )


def _consent_view(consent: Consent) -> ConsentView:
    return ConsentView.model_validate(consent, from_attributes=True)
