"""The values of the audit log. Times are timezone-aware and in UTC."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID


class ActorKind(StrEnum):
    """Who acted."""

    ACCOUNT = "account"
    ADMINISTRATOR = "administrator"
    """A person with a shell in the installation, through `healthingest-admin`."""
    ANONYMOUS = "anonymous"
    """A client that could not be authenticated."""
    SYSTEM = "system"
    """A process of the service itself, such as the janitor."""


class Action(StrEnum):
    """What was done."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    UPLOAD_READ = "upload-read"
    """Receipts and states of uploads, no files."""
    SUBJECT_READ = "subject-read"
    COVERAGE_READ = "coverage-read"
    STUDY_READ = "study-read"
    STUDY_CREATE = "study-create"
    STUDY_CHANGE = "study-change"
    MEMBER_READ = "member-read"
    MEMBER_CHANGE = "member-change"
    MEMBER_REMOVE = "member-remove"
    SUBJECT_ENROL = "subject-enrol"
    SUBJECT_CONSENT = "subject-consent"
    SUBJECT_WITHDRAW = "subject-withdraw"
    LOGIN = "login"
    TOKEN_REFRESH = "token-refresh"  # noqa: S105 - the name of an action
    SESSION_READ = "session-read"
    SESSION_REVOKE = "session-revoke"
    ACCOUNT_CREATE = "account-create"
    ACCOUNT_READ = "account-read"
    ACCOUNT_CHANGE = "account-change"
    ACCOUNT_CLOSE = "account-close"
    ACCOUNT_DEACTIVATE = "account-deactivate"
    ADMIN_CHANGE = "admin-change"
    """The right to administrate was given to an account, or taken from it."""
    PASSWORD_CHANGE = "password-change"  # noqa: S105 - the name of an action
    PASSWORD_RESET = "password-reset"  # noqa: S105 - the name of an action
    EMAIL_VERIFY = "email-verify"
    MAIL_REQUEST = "mail-request"
    DEVICE_TOKEN_CREATE = "device-token-create"  # noqa: S105 - the name of an action
    DEVICE_TOKEN_READ = "device-token-read"  # noqa: S105 - the name of an action
    ENROLMENT_CREATE = "enrolment-create"
    ENROLMENT_CANCEL = "enrolment-cancel"
    DEVICE_TOKEN_REVOKE = "device-token-revoke"  # noqa: S105 - the name of an action
    ERASURE_REQUEST = "erasure-request"
    ERASURE_READ = "erasure-read"
    ERASURE_KEY_EXPORT = "erasure-key-export"
    UPLOADS_REPAIR = "uploads-repair"
    UPLOADS_FORGET = "uploads-forget"
    LEDGER_REBUILD = "ledger-rebuild"
    REPLAY = "replay"
    AUDIT_READ = "audit-read"
    AUDIT_EXPORT = "audit-export"
    AUDIT_PRUNE = "audit-prune"
    """Old events were removed; `object_id` is position and hash of the last one, `7-ab…`."""
    DISCLOSURE_READ = "disclosure-read"
    OUTCOME_REPORT = "outcome-report"
    DEAD_LETTER_REDRIVE = "dead-letter-redrive"
    DEAD_LETTER_DROP = "dead-letter-drop"


class Outcome(StrEnum):
    """
    How it ended.

    A `DONE` download was admitted and found; how many bytes arrived is not known.
    """

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """
    One event, before the database gives it a number.

    `object_id` identifies what was acted on, such as an upload. `study` and `subject_hash` say
    whose data it is. `subject_hash` and `email_hash` are salted, see `salted_hash`; no field has a
    personal value in clear. `reason` is the problem code of a refusal.
    """

    occurred_at: datetime
    actor: ActorKind
    action: Action
    outcome: Outcome
    reason: str | None = None
    account_id: UUID | None = None
    token_id: str | None = None
    object_id: str | None = None
    study: str | None = None
    subject_hash: str | None = None
    email_hash: str | None = None
    correlation_id: str | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the database keeps it. Numbers grow, but some may be missing."""

    number: int
    event: AuditEvent


@dataclass(frozen=True, slots=True)
class Link:
    """
    One link of the chain: the event at a position.

    Positions count from 1 without a gap. `hash` covers the event and the hash of the link before.
    """

    position: int
    number: int
    hash: str


class ChainRow(NamedTuple):
    """A link, and the canonical form of its event; None if the database does not have it."""

    position: int
    number: int
    hash: str
    form: str | None


@dataclass(frozen=True, slots=True)
class Anchor:
    """The hash of a link, kept outside the database."""

    position: int
    hash: str
    written_at: datetime


def salted_hash(salt: bytes, value: str) -> str:
    """
    Return the HMAC-SHA256 of a personal value, in hexadecimal.

    Without the salt, the value can be neither computed nor guessed and compared. So whoever erases
    the salt anonymises the events, and the chain stays verifiable.
    """
    return hmac.new(salt, value.encode(), hashlib.sha256).hexdigest()
