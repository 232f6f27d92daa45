"""
The operator's own two Secrets: read, completed, and written before they are used.

Pods get a new value only after the external system has accepted it, so they never have an invalid
credential.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from healthingest_contract import environment as env
from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest, ManifestView
from healthingest_operator.reconcile.children import owned, refuse_foreign
from healthingest_operator.reconcile.credentials import rotation
from healthingest_operator.reconcile.credentials.erasure_key import ErasureKey
from healthingest_operator.reconcile.credentials.rotation import (
    Action,
    Phase,
    Progress,
    RotationState,
    next_state,
)
from healthingest_operator.reconcile.credentials.user_secrets import Credentials
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import Cluster
from healthingest_operator.resources import names
from healthingest_operator.resources.comparison import difference, stamped
from healthingest_operator.resources.secrets import (
    STAGED,
    STORE_KEYS,
    Generators,
    Values,
    confirmed_values,
    consumer_values,
    decode,
    login_part,
    reader_part,
    secret_object,
    service_values,
    staged_values,
)
from healthingest_operator.resources.signing_keys import (
    keys_of,
    with_first_key_only,
    with_second_key_first,
)
from healthingest_operator.status import rotation_progress
from healthingest_operator.status.conditions import ConditionUpdate, condition_false, condition_true


@dataclass(frozen=True, slots=True)
class RotationClock:
    """The time, the rotation policy, and the previous status."""

    now: datetime
    policy: rotation.Policy
    was_ready: bool
    """Only a Ready HealthIngest begins a rotation, and only its missing Secret counts as drift."""
    had_pods: bool
    """A missing Secret may have contained logins that are still valid and must be revoked."""


@dataclass(frozen=True, slots=True)
class Given:
    """The values that the operator's Secrets get from elsewhere."""

    credentials: Credentials
    erasure_key: ErasureKey


@dataclass(frozen=True, slots=True)
class OwnSecrets:
    """Values of both Secrets: now, and after all external systems have accepted them."""

    service: Mapping[str, str]
    consumer: Mapping[str, str]
    state: RotationState
    consumer_made: datetime
    staged: Mapping[str, str]
    next_service: Mapping[str, str]
    next_consumer: Mapping[str, str]
    healed: tuple[str, ...] = ()
    written: bool = False
    erasure_key_error: DependencyError | None = None

    @property
    def rotating(self) -> bool:
        """Whether a rotation is in progress."""
        return self.state.phase is not Phase.SETTLED


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The external systems that accept the next values."""

    store: bool
    broker: bool
    database: bool
    reader: bool = True


async def write_own_secrets(
    cluster: Cluster,
    owner: HealthIngest,
    given: Given,
    make: Generators,
    clock: RotationClock,
) -> OwnSecrets:
    """
    Complete and write both Secrets, and begin a rotation if one is due.

    Raises:
        DependencyError: a Secret of this name belongs to another owner.
    """
    namespace = owner.key.namespace
    service_name = names.service_secret(owner.key)
    consumer_name = names.consumer_secret(owner.key)
    live = {
        name: await cluster.read("v1", "Secret", namespace, name)
        for name in (service_name, consumer_name)
    }
    for secret in live.values():
        if secret is not None and not owned(secret, owner):
            refuse_foreign(secret, owner)
    old = decode(live[service_name])
    readers = decode(live[consumer_name])
    state = _state(live[service_name], old, owner, clock)
    staged = staged_values(old, make) if state.phase is Phase.INTRODUCED else {}
    found = given.credentials.user_secrets
    wanted = given.erasure_key.put_into(service_values(owner, found, old, staged, make))
    wanted_readers = consumer_values(owner, found, readers, staged, make)
    own = OwnSecrets(
        service=confirmed_values(old, wanted),
        consumer=_confirmed_consumer(readers, wanted_readers),
        state=state,
        consumer_made=rotation.made_at(live[consumer_name], clock.now),
        staged=staged,
        next_service=wanted,
        next_consumer=wanted_readers,
        erasure_key_error=given.erasure_key.error,
    )
    return await _write(cluster, owner, own, live, expected=clock.was_ready)


def _confirmed_consumer(existing: Values, wanted: Values) -> dict[str, str]:
    """Return the values that consumers may have before the external systems accepted *wanted*."""
    has_login = existing.get("url") and existing.get("password")
    login = existing if has_login else wanted
    return login_part(login) | reader_part(existing)


def _state(
    live: ManifestView | None, old: Values, owner: HealthIngest, clock: RotationClock
) -> RotationState:
    if live is None:
        return rotation.initial_state(owner.rotate, clock.now, replaces=clock.had_pods)
    keys = len(keys_of(old.get(env.IDENTITY_SIGNING_KEYS)))
    state = rotation.state_of(
        live, clock.now, staged=any(name in old for name in STAGED), keys=keys
    )
    is_due = clock.was_ready and rotation.is_due(state, owner.rotate, clock.policy, clock.now)
    begun, _ = next_state(state, Progress(clock.now, owner.rotate, is_due=is_due))
    return begun


def _confirmed_values(own: OwnSecrets, confirmed: Confirmed) -> dict[str, str]:
    """Return the next values for what is *confirmed*, and the present ones for the rest."""
    sound = {
        **dict.fromkeys(STORE_KEYS, confirmed.store),
        env.BROKER_URL: confirmed.broker,
        env.DATABASE_URL: confirmed.database,
    }
    # Keys that are given up stay until the store was reached without them.
    kept = () if confirmed.store else STORE_KEYS
    unconfirmed = {name: own.service[name] for name in kept if name in own.service}
    return unconfirmed | {
        name: value if sound.get(name, True) else own.service[name]
        for name, value in own.next_service.items()
    }


async def promote(
    cluster: Cluster, owner: HealthIngest, own: OwnSecrets, confirmed: Confirmed, now: datetime
) -> OwnSecrets:
    """
    Write the confirmed values into the Secret that pods mount.

    All logins of a rotation are promoted together, so that pods are replaced once.
    """
    broker = confirmed.broker
    database = confirmed.database
    state = own.state
    if own.staged:
        broker = database = broker and database
        state, _ = next_state(state, Progress(now, logins_confirmed=broker))
    service = _confirmed_values(own, replace(confirmed, broker=broker, database=database))
    consumer = login_part(own.next_consumer if broker else own.consumer) | reader_part(
        own.next_consumer if confirmed.reader else own.consumer
    )
    other_login = consumer.get("username") != own.consumer.get("username")
    after = replace(
        own,
        service=service,
        consumer=consumer,
        state=state,
        staged={} if state.phase is Phase.PROMOTED else own.staged,
        consumer_made=now if other_login else own.consumer_made,
    )
    return (
        after if after == own else await _write(cluster, owner, after, await _live(cluster, owner))
    )


async def enter_phase(
    cluster: Cluster, owner: HealthIngest, own: OwnSecrets, state: RotationState, action: Action
) -> OwnSecrets:
    """Write *state* and the signing keys that *action* gives."""
    keys = own.service[env.IDENTITY_SIGNING_KEYS]
    if action is Action.SIGN_WITH_NEW_KEY:
        keys = with_second_key_first(keys)
    elif action is Action.REMOVE_OLD_KEY:
        keys = with_first_key_only(keys)
    service = {**own.service, env.IDENTITY_SIGNING_KEYS: keys}
    return await _write(
        cluster, owner, replace(own, service=service, state=state), await _live(cluster, owner)
    )


async def _live(cluster: Cluster, owner: HealthIngest) -> dict[str, Manifest | None]:
    both = (names.service_secret(owner.key), names.consumer_secret(owner.key))
    return {name: await cluster.read("v1", "Secret", owner.key.namespace, name) for name in both}


async def _write(
    cluster: Cluster,
    owner: HealthIngest,
    own: OwnSecrets,
    live: Mapping[str, ManifestView | None],
    *,
    expected: bool = False,
) -> OwnSecrets:
    """
    Write the Secrets that differ; with *expected*, a missing Secret counts as drift.

    The consumers' Secret is written first. After a crash the service's Secret still has the staged
    passwords, so the step is repeated.
    """
    healed = list(own.healed)
    written = own.written
    consumer_annotations = rotation.made_annotation(own.consumer_made)
    for name, values, annotations in (
        (names.consumer_secret(owner.key), own.consumer, consumer_annotations),
        (names.service_secret(owner.key), {**own.service, **own.staged}, own.state.annotations),
    ):
        if not values and live[name] is None:
            continue
        desired = stamped(secret_object(owner, name, values, annotations))
        now = live[name]
        if (
            now is None
            or difference(desired, now) is not None
            or set(desired["data"]) != set(now.get("data") or {})
        ):
            if expected and now is None:
                healed.append(f"Secret {name} was missing")
            await cluster.apply(desired)
            written = True
    return replace(own, healed=tuple(healed), written=written)


_MESSAGES: Final = {
    Phase.INTRODUCED: rotation_progress.INTRODUCED,
    Phase.PROMOTED: rotation_progress.PROMOTED,
    Phase.SIGNING: rotation_progress.SIGNING,
    Phase.OVERLAPPING: rotation_progress.OVERLAPPING,
}
"""The message of each phase of a rotation."""


def secrets_condition(found: Credentials, own: OwnSecrets) -> ConditionUpdate:
    """
    Return `SecretsReady`: False with the reason of the first error and all messages.

    A trimmed value is a warning: the condition is True, and its message names the key.
    """
    kind = ConditionType.SECRETS_READY
    state = own.state
    errors = found.errors
    if own.erasure_key_error is not None:
        errors.append(own.erasure_key_error)
    if errors:
        message = "; ".join(error.message for error in errors)
        return condition_false(kind, errors[0].reason, message)
    trimmed = "".join(f"; {warning}" for warning in found.warnings)
    if own.rotating:
        message = _MESSAGES[state.phase]
        return condition_true(kind, message + trimmed, Reason.CREDENTIALS_ROTATING)
    if trimmed:
        return condition_true(kind, f"all Secrets exist{trimmed}", Reason.SECRET_VALUE_TRIMMED)
    if state.phase is Phase.SETTLED and state.since > state.made:
        return condition_true(
            kind, "all Secrets exist; credentials were rotated", Reason.CREDENTIALS_ROTATED
        )
    return condition_true(kind, "all Secrets exist")
