"""
The operator's own two Secrets: read, completed, written before anything outside learns a value.

What pods have changes only after the outside has confirmed it: a wrong or half-made credential
never reaches them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from healthingest_contract import environment as env
from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.reconcile.children import owned, refuse_foreign
from healthingest_operator.reconcile.credentials.user_secrets import Credentials
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import Cluster
from healthingest_operator.resources import names, rotation
from healthingest_operator.resources.comparison import difference, stamped
from healthingest_operator.resources.rotation import Marks, Phase
from healthingest_operator.resources.secrets import (
    STAGED,
    Generators,
    Values,
    consumer_values,
    decode,
    held,
    secret_object,
    service_values,
    staged_values,
)
from healthingest_operator.status.conditions import ConditionUpdate, condition_false, condition_true


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is, how rotations are wished, and what is known of before."""

    now: datetime
    policy: rotation.Policy
    settled: bool
    """It was Ready: only then a rotation begins, and a missing Secret was removed by somebody."""
    ran: bool
    """Pods have run: a missing Secret may have had other logins than the new one."""


@dataclass(frozen=True, slots=True)
class OwnSecrets:
    """Values of both Secrets now, and after the outside systems have confirmed them."""

    service: Mapping[str, str]
    consumer: Mapping[str, str]
    marks: Marks
    consumer_made: datetime
    staged: Mapping[str, str]
    next_service: Mapping[str, str]
    next_consumer: Mapping[str, str]
    healed: tuple[str, ...] = ()
    written: bool = False

    @property
    def rotating(self) -> bool:
        """Whether a rotation is under way."""
        return self.marks.phase is not Phase.SETTLED


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What of the outside holds with the next values."""

    store: bool
    broker: bool
    database: bool


async def write_own_secrets(
    cluster: Cluster, owner: HealthIngest, found: Credentials, make: Generators, moment: Moment
) -> OwnSecrets:
    """
    Complete both Secrets, and begin a rotation that is due.

    Raises:
        DependencyError: a name is taken by somebody else's Secret.
    """
    space, now = owner.key.namespace, moment.now
    service_name, consumer_name = names.service_secret(owner.key), names.consumer_secret(owner.key)
    live = {
        name: await cluster.read("v1", "Secret", space, name)
        for name in (service_name, consumer_name)
    }
    for secret in live.values():
        if secret is not None and not owned(secret, owner):
            refuse_foreign(secret, owner)
    old, readers = decode(live[service_name]), decode(live[consumer_name])
    marks = _marks(live[service_name], old, owner, moment)
    staged = staged_values(old, marks.phase, make)
    wanted = service_values(owner, found.known, old, staged, make)
    wanted_readers = consumer_values(owner, found.known, readers, staged, make)
    own = OwnSecrets(
        service=held(old, wanted),
        consumer=readers if readers.get("url") and readers.get("password") else wanted_readers,
        marks=marks,
        consumer_made=rotation.made_at(live[consumer_name], now),
        staged=staged,
        next_service=wanted,
        next_consumer=wanted_readers,
    )
    return await _write(cluster, owner, own, live, expected=moment.settled)


def _marks(
    live: Mapping[str, Any] | None, old: Values, owner: HealthIngest, moment: Moment
) -> Marks:
    if live is None:
        return rotation.fresh(owner.rotate, moment.now, replaces=moment.ran)
    keys = len(rotation.keys_of(old.get(env.IDENTITY_SIGNING_KEYS)))
    marks = rotation.marks_of(
        live, moment.now, staged=any(name in old for name in STAGED), keys=keys
    )
    if moment.settled and rotation.is_due(marks, owner.rotate, moment.policy, moment.now):
        return rotation.begun(owner.rotate, moment.now)
    return marks


async def promote(
    cluster: Cluster, owner: HealthIngest, own: OwnSecrets, confirmed: Confirmed, now: datetime
) -> OwnSecrets:
    """
    Give the pods what the outside has confirmed.

    The logins of a rotation together, so that pods roll once.
    """
    broker, database, marks = confirmed.broker, confirmed.database, own.marks
    if own.staged:
        broker = database = broker and database
        marks = marks.entered(Phase.PROMOTED, now) if broker else marks
    sound = {
        env.STORE_ACCESS_KEY_ID: confirmed.store,
        env.STORE_SECRET_ACCESS_KEY: confirmed.store,
        env.BROKER_URL: broker,
        env.DATABASE_URL: database,
    }
    service = {
        name: value if sound.get(name, True) else own.service[name]
        for name, value in own.next_service.items()
    }
    consumer = own.next_consumer if broker else own.consumer
    other_login = consumer.get("username") != own.consumer.get("username")
    after = replace(
        own,
        service=service,
        consumer=consumer,
        marks=marks,
        staged={} if marks.phase is Phase.PROMOTED else own.staged,
        consumer_made=now if other_login else own.consumer_made,
    )
    return (
        after if after == own else await _write(cluster, owner, after, await _live(cluster, owner))
    )


async def step(cluster: Cluster, owner: HealthIngest, own: OwnSecrets, marks: Marks) -> OwnSecrets:
    """Enter the phase of *marks*, with the signing keys as they are in it."""
    keys = rotation.turned(own.service[env.IDENTITY_SIGNING_KEYS], own.marks.phase, marks.phase)
    service = {**own.service, env.IDENTITY_SIGNING_KEYS: keys}
    return await _write(
        cluster, owner, replace(own, service=service, marks=marks), await _live(cluster, owner)
    )


async def _live(cluster: Cluster, owner: HealthIngest) -> dict[str, dict[str, Any] | None]:
    both = names.service_secret(owner.key), names.consumer_secret(owner.key)
    return {name: await cluster.read("v1", "Secret", owner.key.namespace, name) for name in both}


async def _write(
    cluster: Cluster,
    owner: HealthIngest,
    own: OwnSecrets,
    live: Mapping[str, Mapping[str, Any] | None],
    *,
    expected: bool = False,
) -> OwnSecrets:
    """
    Write what differs; with *expected*, a missing one was removed by somebody.

    The consumers' first: while the service's still has the staged passwords, a crash in between is
    gone over again.
    """
    healed = list(own.healed)
    written = own.written
    consumer_annotations = rotation.made_annotation(own.consumer_made)
    for name, values, annotations in (
        (names.consumer_secret(owner.key), own.consumer, consumer_annotations),
        (names.service_secret(owner.key), {**own.service, **own.staged}, own.marks.annotations),
    ):
        if not values:
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


def secrets_condition(found: Credentials, own: OwnSecrets) -> ConditionUpdate:
    """Whether everything could be read; the first problem's reason, every problem's message."""
    kind, marks = ConditionType.SECRETS_READY, own.marks
    errors = found.errors
    if errors:
        reasons: list[Reason] = [
            error.reason for error in errors if isinstance(error, DependencyError)
        ]
        return condition_false(kind, reasons[0], "; ".join(error.message for error in errors))
    if own.rotating:
        message = {
            Phase.INTRODUCED: "broker and database get new credentials; the pods use the old ones",
            Phase.PROMOTED: "pods get new credentials; old ones are valid until all pods have them",
            Phase.SIGNING: "the old logins are refused; the pods begin to sign with the new key",
            Phase.OVERLAPPING: "the new key signs; old tokens and the old consumer are still valid",
        }[marks.phase]
        return condition_true(kind, message, Reason.CREDENTIALS_ROTATING)
    if marks.phase is Phase.SETTLED and marks.since > marks.made:
        return condition_true(
            kind, "all Secrets are there; credentials were rotated", Reason.CREDENTIALS_ROTATED
        )
    return condition_true(kind, "all Secrets are there")
