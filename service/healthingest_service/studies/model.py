"""
The values of studies: studies, policies, subjects, consent, roles.

Times are timezone-aware and in UTC.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType
from uuid import UUID

from healthingest_contract import events
from healthingest_service.identity.model import AccountId

StudySlug = NewType("StudySlug", str)
Pseudonym = NewType("Pseudonym", str)
SubjectId = NewType("SubjectId", UUID)

SLUG_PATTERN: Final = r"[a-z0-9-]{1,40}"
PSEUDONYM_PATTERN: Final = r"[A-Za-z0-9._-]{1,64}"
DEFAULT_STUDY: Final = StudySlug(events.DEFAULT_STUDY)
"""
The study of an upload that names no study. It always exists.

Its policy cannot be changed, every account may upload into it, and the subject of an upload is the
account.
"""

ERASED_MARK: Final = "~"
"""The first character of the text that replaces the pseudonym of an erased subject."""
HIDDEN_PATTERN: Final = rf"{ERASED_MARK}[A-Za-z0-9_-]{{43}}"
"""Such a text; no pseudonym matches it."""

_PHONE_NUMBER = re.compile(r"[0-9]{2,}(?:[._-]?[0-9]{2,})*")
_PHONE_DIGITS: Final = range(9, 16)  # ITU-T E.164, 6.1: at most 15 digits
_E_MAIL = re.compile(r"(?i).+[._-].+\.(?:com|org|net|edu|gov|info|[a-z]{2})")


class StudyState(StrEnum):
    """The state of a study: a closed one accepts no uploads."""

    OPEN = "open"
    CLOSED = "closed"


class Enrolment(StrEnum):
    """
    How subjects are enrolled.

    `Open`: the first upload about an unknown subject enrols it. `Listed`: a manager enrols it
    before its first upload.
    """

    OPEN = "Open"
    LISTED = "Listed"


class SubjectState(StrEnum):
    """The state of a subject; only data about an `active` one is accepted."""

    ACTIVE = "active"
    WITHDRAWN = "withdrawn"
    ERASING = "erasing"
    ERASED = "erased"


class Role(StrEnum):
    """
    What an account may do in a study.

    `uploader` sends files. `reader` lists and downloads. `manager` changes the study, its members
    and subjects.
    """

    UPLOADER = "uploader"
    READER = "reader"
    MANAGER = "manager"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    The rules of a study. None means no rule, or the installation's limit.

    `uploads_rate` is a text such as `10/minute`, for each account, as is `bytes_per_day`.
    `retention_days` and `erasure_hold_seconds` apply to the removal of data.
    """

    enrolment: Enrolment = Enrolment.OPEN
    consent_required: bool = False
    retention_days: int | None = None
    record_types: frozenset[str] | None = None
    erasure_hold_seconds: int = 0
    uploads_rate: str | None = None
    max_file_bytes: int | None = None
    bytes_per_day: int | None = None

    def largest_file_bytes(self, of_installation: int) -> int:
        """Return the greatest size of a file: the installation's limit, or a lower one."""
        limits = (of_installation, self.max_file_bytes, self.bytes_per_day)
        return min(limit for limit in limits if limit is not None)


@dataclass(frozen=True, slots=True)
class Study:
    """A study and its policy. One that `is_erased` stays closed for ever."""

    slug: StudySlug
    name: str
    state: StudyState
    policy: Policy
    created_at: datetime
    is_erased: bool = False


@dataclass(frozen=True, slots=True)
class Consent:
    """The consent of a subject to a version of the study's information."""

    version: str
    given_at: datetime
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """
    A person whose data a study receives, known by a pseudonym only.

    `id` is random, and part of the object keys. `changed_at` is the time of the last change of
    `state`.
    """

    id: SubjectId
    study: StudySlug
    pseudonym: Pseudonym
    state: SubjectState
    consent: Consent | None
    enrolled_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """The roles of an account in a study; `is_admin` applies to the installation."""

    roles: frozenset[Role] = frozenset()
    is_admin: bool = False


NO_STANDING: Final = Standing()


@dataclass(frozen=True, slots=True)
class StudyAccess:
    """A study, and the standing of the caller in it."""

    study: Study
    standing: Standing


@dataclass(frozen=True, slots=True)
class IntakeFacts:
    """Everything that decides on an upload: None means that the study or subject is unknown."""

    study: Study | None
    standing: Standing
    subject: Subject | None


@dataclass(frozen=True, slots=True)
class Intake:
    """
    The result of an admitted upload.

    `subject` is None if the upload itself enrols the subject.
    """

    study: StudySlug
    pseudonym: Pseudonym
    subject: Subject | None
    policy: Policy


@dataclass(frozen=True, slots=True)
class Member:
    """
    An account and its roles in a study; at least one.

    `roles` were given by a manager or administrator, `group_roles` follow from groups at an
    identity provider. It has all of them.
    """

    account_id: AccountId
    roles: frozenset[Role]
    group_roles: frozenset[Role] = frozenset()


@dataclass(frozen=True, slots=True)
class Membership:
    """The roles of an account in a study, by who gave them: a manager, or a group."""

    study: StudySlug
    account_id: AccountId
    by_manager: frozenset[Role] = frozenset()
    by_group: frozenset[Role] = frozenset()

    def also(self, role: Role, *, by_manager: bool, by_group: bool) -> "Membership":
        """Return the membership with one more role."""
        return Membership(
            self.study,
            self.account_id,
            self.by_manager | {role} if by_manager else self.by_manager,
            self.by_group | {role} if by_group else self.by_group,
        )


@dataclass(frozen=True, slots=True)
class StudyPage:
    """Studies by slug; `next_cursor` is None on the last page, as in the other pages."""

    studies: tuple[StudyAccess, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class MemberPage:
    """Members by account id."""

    members: tuple[Member, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class SubjectPage:
    """Subjects by pseudonym."""

    subjects: tuple[Subject, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class StudyChange:
    """New values for a study; None keeps the value. `policy` has names of `Policy`."""

    name: str | None = None
    state: StudyState | None = None
    policy: Mapping[str, object] = field(default_factory=dict, hash=False)


def pseudonym_warnings(pseudonym: Pseudonym) -> tuple[str, ...]:
    """Return a code for each kind of identifying text that *pseudonym* looks like."""
    digits = sum(character.isdigit() for character in pseudonym)
    looks_like_number = _PHONE_NUMBER.fullmatch(pseudonym) is not None
    found = {
        "looks-like-a-phone-number": looks_like_number and digits in _PHONE_DIGITS,
        "looks-like-an-email-address": _E_MAIL.fullmatch(pseudonym) is not None,
    }
    return tuple(code for code, is_found in found.items() if is_found)
