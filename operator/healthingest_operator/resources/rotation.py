"""
Where a rotation stands, and what follows: pure.

The marks lie in annotations of the service's Secret and nowhere else.

Logins have two names in turn. Their next passwords lie in the Secret under keys that no pod mounts
until the broker and the database have been told and have confirmed them. Signing keys overlap: the
new one verifies everywhere before it signs anywhere, and the old one verifies until the last token
that it signed has run out.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from healthingest_contract.conditions import API_GROUP

TOKEN_OVERLAP: Final = timedelta(seconds=3600 + 60)
"""Longest permitted life of an access token, plus its leeway and clock differences."""

_PHASE: Final = f"{API_GROUP}/rotation"
_SINCE: Final = f"{API_GROUP}/rotation-since"
_TOKEN: Final = f"{API_GROUP}/rotated"
_MADE: Final = f"{API_GROUP}/made-at"
_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN PRIVATE KEY-----\n[A-Za-z0-9+/=\n]+-----END PRIVATE KEY-----\n?"
)


class Phase(StrEnum):
    """Each is left for the next one only after all pods have what the Secret had in it."""

    SETTLED = "Settled"
    INTRODUCED = "Introduced"
    """New passwords lie ready, the new key verifies; the broker and the database are being told."""
    PROMOTED = "Promoted"
    """The new logins are the pods'; the old ones are valid until no pod has them."""
    SIGNING = "Signing"
    """The old logins are refused; the new key signs, in one pod after the other."""
    OVERLAPPING = "Overlapping"
    """The old key signs nowhere and still verifies; the consumers' old user has its grace."""


@dataclass(frozen=True, slots=True)
class Policy:
    """
    `after` None: only when asked.

    `consumer_grace`: how long the consumers' old user stays valid.
    """

    after: timedelta | None = None
    consumer_grace: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Marks:
    """Phase, when it was entered, for which request, and when the newest credentials were made."""

    phase: Phase
    since: datetime
    token: str
    made: datetime

    @property
    def annotations(self) -> dict[str, str]:
        """As they lie in the cluster."""
        since, made = _text(self.since), _text(self.made)
        return {_PHASE: self.phase.value, _SINCE: since, _TOKEN: self.token, _MADE: made}

    def entered(self, phase: Phase, now: datetime) -> "Marks":
        """The same rotation, a phase further."""
        return replace(self, phase=phase, since=now)


def fresh(asked: str, now: datetime, *, replaces: bool) -> Marks:
    """
    For a Secret made now.

    One that *replaces* a lost one does not know whose logins are still valid.
    """
    return Marks(Phase.PROMOTED if replaces else Phase.SETTLED, now, asked, now)


def marks_of(secret: Mapping[str, Any], now: datetime, *, staged: bool, keys: int) -> Marks:
    """
    What a live Secret says.

    What somebody took away is concluded from its values, on the safe side.
    """
    found = secret["metadata"].get("annotations") or {}
    unmarked = Phase.INTRODUCED if staged else Phase.PROMOTED if keys > 1 else Phase.SETTLED
    phase = Phase(found[_PHASE]) if found.get(_PHASE) in set(Phase) else unmarked
    return Marks(
        phase,
        _time(found.get(_SINCE)) or now,
        found.get(_TOKEN, ""),
        _time(found.get(_MADE)) or now,
    )


def made_at(secret: Mapping[str, Any] | None, now: datetime) -> datetime:
    """When the consumers' login was made."""
    return (
        _time((((secret or {}).get("metadata") or {}).get("annotations") or {}).get(_MADE)) or now
    )


def made_annotation(made: datetime) -> dict[str, str]:
    """The same, to be written."""
    return {_MADE: _text(made)}


def is_due(marks: Marks, asked: str, policy: Policy, now: datetime) -> bool:
    """Whether one begins now: asked for or by age, and none at a time."""
    if marks.phase is not Phase.SETTLED:
        return False
    aged = policy.after is not None and now - marks.made >= policy.after
    return aged or (bool(asked) and asked != marks.token)


def begun(asked: str, now: datetime) -> Marks:
    """A rotation begins."""
    return Marks(Phase.INTRODUCED, now, asked, now)


def following(marks: Marks, now: datetime, *, keys: int, consumers_done: bool) -> Marks:
    """
    What follows once all pods are those that *marks* want and the old logins are refused.

    Itself: not yet.
    """
    match marks.phase:
        case Phase.PROMOTED:
            return marks.entered(Phase.SIGNING if keys > 1 else Phase.SETTLED, now)
        case Phase.SIGNING:
            return marks.entered(Phase.OVERLAPPING, now)
        case Phase.OVERLAPPING if consumers_done and now - marks.since >= TOKEN_OVERLAP:
            return marks.entered(Phase.SETTLED, now)
        case _:
            return marks


def keys_of(text: str | None) -> list[str]:
    """The keys of a PEM text; none when there is anything else in it."""
    found: list[str] = _PRIVATE_KEY.findall(text or "")
    return found if "".join(found) == (text or "") else []


def with_another(text: str, make: Callable[[], str]) -> str:
    """A second key, that verifies and does not sign; the same when there are two already."""
    keys = keys_of(text)
    return text if len(keys) > 1 else _joined([*keys, make()])


def turned(text: str, before: Phase, after: Phase) -> str:
    """The keys as they are after the step: the new one first, later the new one alone."""
    keys = keys_of(text)
    if before is Phase.PROMOTED and after is Phase.SIGNING:
        return _joined([*keys[1:], keys[0]])
    if before is Phase.OVERLAPPING and after is Phase.SETTLED:
        return keys[0]
    return text


def _joined(keys: list[str]) -> str:
    return "".join(key if key.endswith("\n") else f"{key}\n" for key in keys)


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
