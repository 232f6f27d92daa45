"""Records events of the API and of the administrator's commands."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Final
from uuid import UUID

from healthingest_service.audit.model import Action, ActorKind, AuditEvent, Outcome, salted_hash
from healthingest_service.audit.ports import AuditLog, AuditSalts

EMAIL_SALTS: Final = "email/"
"""The first characters of the names of these salts; the day follows, so names sort by day."""
_TOKEN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(slots=True)
class EventDetails:
    """
    The details of the event of a request, as far as they are known.

    `email` is hashed. `is_own` says that the caller has read its own data.
    """

    account_id: UUID | None = None
    token_id: str | None = None
    object_id: str | None = None
    study: str | None = None
    subject_hash: str | None = None
    email: str | None = field(default=None, repr=False)
    correlation_id: str | None = None
    is_own: bool = False


class AuditRecorder:
    """
    Records events with the current time. Every method raises `AuditUnavailableError`.

    E-mail addresses have one salt for each day (UTC), so that clients cannot fill the table.
    """

    def __init__(self, log: AuditLog, salts: AuditSalts, *, clock: Callable[[], datetime]) -> None:
        self._log = log
        self._salts = salts
        self._clock = clock
        self._salt_of_day: tuple[str, bytes] = ("", b"")

    async def by_client(
        self, action: Action, outcome: Outcome, details: EventDetails, *, reason: str | None = None
    ) -> None:
        """Record what a client did, or tried to do; without an account it is anonymous."""
        event = client_event(action, outcome, details, at=self._clock())
        email = details.email
        email_hash = None if email is None else await self._email_hash(email, event.occurred_at)
        await self._log.record(replace(event, reason=reason, email_hash=email_hash))

    async def by_administrator(
        self,
        action: Action,
        outcome: Outcome,
        *,
        object_id: str | None = None,
        study: str | None = None,
        subject_hash: str | None = None,
    ) -> None:
        """Record a command of an administrator."""
        await self._log.record(
            AuditEvent(
                occurred_at=self._clock(),
                actor=ActorKind.ADMINISTRATOR,
                action=action,
                outcome=outcome,
                object_id=object_id,
                study=study,
                subject_hash=subject_hash,
            )
        )

    async def _email_hash(self, email: str, at: datetime) -> str:
        name = email_salt_name(at)
        if self._salt_of_day[0] != name:
            self._salt_of_day = name, await self._salts.salt(name)
        return salted_hash(self._salt_of_day[1], email)


def client_event(
    action: Action, outcome: Outcome, details: EventDetails, *, at: datetime
) -> AuditEvent:
    """Return the event of what a client did, without the hash of an e-mail address."""
    is_known = details.account_id is not None
    return AuditEvent(
        occurred_at=at,
        actor=ActorKind.ACCOUNT if is_known else ActorKind.ANONYMOUS,
        action=action,
        outcome=outcome,
        account_id=details.account_id,
        token_id=recorded_token_id(details.token_id),
        object_id=details.object_id,
        study=details.study,
        subject_hash=details.subject_hash,
        correlation_id=details.correlation_id,
    )


def email_salt_name(at: date) -> str:
    """Return the name of the salt of e-mail addresses on that day; a time is in UTC."""
    return f"{EMAIL_SALTS}{at:%Y-%m-%d}"


def recorded_token_id(token_id: str | None) -> str | None:
    """
    Return the id of a token as the log has it.

    An identity provider chooses its ids; one that is long, or has other characters than ours, is
    replaced by half of its SHA-256.
    """
    if token_id is None or _TOKEN_ID.fullmatch(token_id) is not None:
        return token_id
    return hashlib.sha256(token_id.encode()).hexdigest()[:32]
