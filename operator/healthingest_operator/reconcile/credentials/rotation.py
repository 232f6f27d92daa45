"""
The states of a credential rotation, and the table of their transitions: pure functions.

The state is stored only in annotations of the service's Secret. Each login alternates between two
user names. The next passwords are in the Secret under keys that no pod mounts, until broker and
database have accepted them. `resources/signing_keys.py` explains how signing keys overlap.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from healthingest_contract.conditions import API_GROUP
from healthingest_operator.api.manifest import ManifestView

TOKEN_OVERLAP: Final = timedelta(seconds=3600 + 60)
"""Maximum lifetime of an access token, with leeway and clock differences."""

_PHASE: Final = f"{API_GROUP}/rotation"
_SINCE: Final = f"{API_GROUP}/rotation-since"
_REQUEST: Final = f"{API_GROUP}/rotated"
_MADE: Final = f"{API_GROUP}/made-at"


class Phase(StrEnum):
    """The phase of a rotation; a phase ends when all pods have its values."""

    SETTLED = "Settled"
    INTRODUCED = "Introduced"
    """New passwords are staged, and the new key verifies; broker and database get the passwords."""
    PROMOTED = "Promoted"
    """Pods get the new logins; the old ones stay valid until no pod uses them."""
    SIGNING = "Signing"
    """The old logins are revoked; pods are replaced one by one and then sign with the new key."""
    OVERLAPPING = "Overlapping"
    """The old key only verifies; the consumers' old user is valid until its grace period ends."""


class Action(StrEnum):
    """The change of the Secret that belongs to a transition."""

    NONE = "none"
    STAGE_CREDENTIALS = "stage new passwords and add a second signing key"
    PROMOTE_LOGINS = "give the new logins to the pods"
    SIGN_WITH_NEW_KEY = "make the second signing key the first"
    REMOVE_OLD_KEY = "remove the signing key that only verifies"


@dataclass(frozen=True, slots=True)
class Policy:
    """
    When credentials are rotated.

    `after` is their maximum age; None: only on request. `consumer_grace` is the time for which the
    old user of the consumers stays valid.
    """

    after: timedelta | None = None
    consumer_grace: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class RotationState:
    """
    The state of a rotation.

    `since` is when the phase was entered, `request` the value of the rotate annotation that was
    last served, and `made` when the newest credentials were made.
    """

    phase: Phase
    since: datetime
    request: str
    made: datetime

    @property
    def annotations(self) -> dict[str, str]:
        """The state as annotations of the Secret."""
        return {
            _PHASE: self.phase.value,
            _SINCE: _text(self.since),
            _REQUEST: self.request,
            _MADE: _text(self.made),
        }


@dataclass(frozen=True, slots=True)
class Progress:
    """The facts that guards check; a fact that is unknown is False or 0."""

    now: datetime
    request: str = ""
    """The current value of the rotate annotation."""
    is_due: bool = False
    logins_confirmed: bool = False
    """Broker and database accept the staged passwords."""
    pods_are_current: bool = False
    """Every pod has the values of the Secret, and the old logins of the phase are revoked."""
    consumers_revoked: bool = False
    """The grace period of the consumers' old user is over, and the user is removed."""
    signing_keys: int = 0


Guard = Callable[[RotationState, Progress], bool]


def _is_due(_: RotationState, progress: Progress) -> bool:
    return progress.is_due


def _logins_confirmed(_: RotationState, progress: Progress) -> bool:
    return progress.logins_confirmed


def _pods_are_current(_: RotationState, progress: Progress) -> bool:
    return progress.pods_are_current


def _pods_are_current_with_two_keys(_: RotationState, progress: Progress) -> bool:
    return progress.pods_are_current and progress.signing_keys > 1


def _overlap_is_over(state: RotationState, progress: Progress) -> bool:
    is_over = progress.now - state.since >= TOKEN_OVERLAP
    return progress.pods_are_current and progress.consumers_revoked and is_over


@dataclass(frozen=True, slots=True)
class Transition:
    """The transition from `phase` to `next_phase` as soon as `guard` is True."""

    phase: Phase
    guard: Guard
    action: Action
    next_phase: Phase


TRANSITIONS: Final = (
    Transition(Phase.SETTLED, _is_due, Action.STAGE_CREDENTIALS, Phase.INTRODUCED),
    Transition(Phase.INTRODUCED, _logins_confirmed, Action.PROMOTE_LOGINS, Phase.PROMOTED),
    Transition(
        Phase.PROMOTED, _pods_are_current_with_two_keys, Action.SIGN_WITH_NEW_KEY, Phase.SIGNING
    ),
    Transition(Phase.PROMOTED, _pods_are_current, Action.NONE, Phase.SETTLED),
    Transition(Phase.SIGNING, _pods_are_current, Action.NONE, Phase.OVERLAPPING),
    Transition(Phase.OVERLAPPING, _overlap_is_over, Action.REMOVE_OLD_KEY, Phase.SETTLED),
)
"""The transitions; the first row whose phase and guard match is taken, at most one at a time."""


def next_state(state: RotationState, progress: Progress) -> tuple[RotationState, Action]:
    """Return the state after the first possible transition, and its action; else *state*."""
    for row in TRANSITIONS:
        if row.phase is state.phase and row.guard(state, progress):
            entered = replace(state, phase=row.next_phase, since=progress.now)
            if row.action is Action.STAGE_CREDENTIALS:
                entered = replace(entered, request=progress.request, made=progress.now)
            return entered, row.action
    return state, Action.NONE


def initial_state(request: str, now: datetime, *, replaces: bool) -> RotationState:
    """
    Return the state of a Secret that is created now.

    *replaces*: it replaces a lost Secret, whose logins may still be valid and must be revoked.
    """
    return RotationState(Phase.PROMOTED if replaces else Phase.SETTLED, now, request, now)


def state_of(secret: ManifestView, now: datetime, *, staged: bool, keys: int) -> RotationState:
    """
    Return the state from the annotations of a live Secret.

    If the phase is missing or unknown, it is derived from the values: whether passwords are
    *staged*, and the number of signing *keys*.
    """
    found = secret["metadata"].get("annotations") or {}
    derived = Phase.INTRODUCED if staged else Phase.PROMOTED if keys > 1 else Phase.SETTLED
    phase = Phase(found[_PHASE]) if found.get(_PHASE) in set(Phase) else derived
    return RotationState(
        phase,
        _time(found.get(_SINCE)) or now,
        found.get(_REQUEST, ""),
        _time(found.get(_MADE)) or now,
    )


def is_due(state: RotationState, request: str, policy: Policy, now: datetime) -> bool:
    """Whether a rotation begins now: none is in progress, and one is requested or due by age."""
    if state.phase is not Phase.SETTLED:
        return False
    is_old = policy.after is not None and now - state.made >= policy.after
    return is_old or (bool(request) and request != state.request)


def made_at(secret: ManifestView | None, now: datetime) -> datetime:
    """Return the creation time of the login in the consumers' *secret*; *now* if it is unknown."""
    metadata = (secret or {}).get("metadata") or {}
    return _time((metadata.get("annotations") or {}).get(_MADE)) or now


def made_annotation(made: datetime) -> dict[str, str]:
    """Return the annotation that `made_at` reads."""
    return {_MADE: _text(made)}


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
