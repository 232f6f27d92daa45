"""
One reconciliation of one HealthIngest: observe → plan → act → status.

It may be repeated, and cancelled at any point.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any, Final

from healthingest_contract import environment as env
from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.api.healthingest import HealthIngest, InvalidSpecError, Key, parse
from healthingest_operator.reconcile.change_detection import ChangeDetector
from healthingest_operator.reconcile.children import Children
from healthingest_operator.reconcile.credentials.own_secrets import (
    Confirmed,
    OwnSecrets,
    RotationClock,
    promote,
    secrets_condition,
    write_own_secrets,
)
from healthingest_operator.reconcile.credentials.revocation import Rotation, RotationContext
from healthingest_operator.reconcile.credentials.user_secrets import Credentials, credentials
from healthingest_operator.reconcile.dependencies import (
    BrokerContext,
    BrokerResult,
    BucketContext,
    BucketResult,
    DatabaseResult,
    check_cache,
    logins,
    reconcile_broker,
    reconcile_bucket,
    reconcile_database,
)
from healthingest_operator.reconcile.errors import ClusterError, DependencyError
from healthingest_operator.reconcile.ownership import outranked
from healthingest_operator.reconcile.ports import Ports
from healthingest_operator.reconcile.rollout_gate import dependencies_hold
from healthingest_operator.reconcile.status_report import Report
from healthingest_operator.reconcile.workload import Inputs, Trial, WorkloadResult, roll_out
from healthingest_operator.resources import names
from healthingest_operator.resources.bucket import Capability
from healthingest_operator.resources.children import foundations
from healthingest_operator.resources.configuration import Surroundings, configuration, service_url
from healthingest_operator.resources.kept_store import keep_store
from healthingest_operator.resources.network_policy import endpoint_of, ports_of
from healthingest_operator.status.conditions import (
    POLARITY,
    ConditionUpdate,
    condition_false,
    drift,
)
from healthingest_operator.status.summary import Facts

_REFUSALS: Final = {403: Reason.PERMISSION_DENIED, 409: Reason.FIELD_CONFLICT}
_ANSWERS_ABOUT_THE_REQUEST: Final = frozenset({400, 403, 404, 409, 413, 422})


class Outcome(StrEnum):
    """How a reconciliation ended; a label of the metrics."""

    GONE = "gone"
    READY = "ready"
    UNCHANGED = "unchanged"
    PROGRESSING = "progressing"
    FAILING = "failing"
    INVALID = "invalid"
    PAUSED = "paused"


class ReconcileMode(StrEnum):
    """How much of a HealthIngest is compared with its spec."""

    FULL = "full"
    EXTERNAL_CHECK = "external_check"
    """Only what lies outside the cluster: watches report changes of children."""


async def reconcile(ports: Ports, key: Key, mode: ReconcileMode = ReconcileMode.FULL) -> Outcome:
    """
    Reconcile one HealthIngest as far as possible now, and write its status.

    An external check first compares fingerprints. If they differ, it compares Secrets, bucket,
    broker and database in full, and continues as a full reconciliation when one of them differs.

    Raises:
        ClusterError: the Kubernetes API failed; the reconciliation stopped at an unknown step.
    """
    detector = ChangeDetector(
        ports.cluster,
        ports.store,
        ports.broker,
        ports.database,
        ports.cache,
        ports.clock,
        ports.fingerprints,
    )
    if mode is ReconcileMode.EXTERNAL_CHECK and await detector.is_unchanged(key):
        return Outcome.UNCHANGED
    ports.fingerprints.discard(key)
    report = Report(ports.cluster, ports.clock)
    body = await ports.cluster.health_ingest(key)
    if body is None or body["metadata"].get("deletionTimestamp"):
        return Outcome.GONE
    try:
        owner = parse(body)
    except InvalidSpecError as error:
        await report.invalid(body, str(error))
        return Outcome.INVALID
    if owner.spec.paused:
        await report.paused(body)
        return Outcome.PAUSED
    fingerprint = await detector.fingerprint(owner, body.get("status") or {})
    seen = await _Pass(ports, owner, body.get("status") or {}).run(mode)
    if seen is not None:
        await report.found(body, seen.updates, seen.facts)
    if seen is None or seen.quiet:
        ports.fingerprints.record(owner, fingerprint)
    return Outcome.READY if seen is None else seen.outcome


@dataclass(frozen=True, slots=True)
class _Seen:
    updates: list[ConditionUpdate]
    facts: Facts
    outcome: Outcome
    quiet: bool = False
    """Ready, and nothing had to be done, nor waits to be done."""


class _Pass:
    """The work on a HealthIngest that is neither invalid nor paused nor going."""

    def __init__(self, ports: Ports, owner: HealthIngest, previous: Mapping[str, Any]) -> None:
        self._ports = ports
        self._owner = owner
        self._previous = previous
        self._was = {entry["type"]: entry for entry in previous.get("conditions") or []}
        self._settled = self._held(ConditionType.READY)
        self._same_spec = previous.get("observedGeneration") == owner.generation

    async def run(self, mode: ReconcileMode) -> _Seen | None:
        """Return the result; None: an external check found no change."""
        found = await credentials(self._ports.cluster, self._owner)
        try:
            own = await write_own_secrets(
                self._ports.cluster,
                self._owner,
                found,
                self._ports.generators,
                self._rotation_clock(),
            )
        except DependencyError as error:
            return self._seen(
                [condition_false(ConditionType.SECRETS_READY, error.reason, error.message)], Facts()
            )
        bucket, broker, database, cache = await self._dependencies(found, own)
        confirmed = Confirmed(
            bucket.update.is_true,
            all(one.is_true for one in broker.updates),
            database.update.is_true,
        )
        own = await promote(
            self._ports.cluster, self._owner, own, confirmed, self._ports.clock.now()
        )
        updates = (
            secrets_condition(found, own),
            bucket.update,
            *broker.updates,
            database.update,
            *cache,
        )
        touched = (
            own.written or own.rotating or broker.unused_users or bucket.changed or broker.changed
        )
        same_cache = all(self._held(one.type) == one.is_true for one in cache)
        settled = dependencies_hold(updates) and same_cache
        if (
            mode is ReconcileMode.EXTERNAL_CHECK
            and not touched
            and settled
            and self._may_skip_children(broker)
        ):
            return None
        children = Children(self._ports.cluster, self._owner, self._settled)
        await children.observe()
        result = await self._workload(children, updates, bucket, own)
        rotation = Rotation(
            self._ports.cluster, self._ports.broker, self._ports.database, self._ports.rotation
        )
        context = RotationContext(
            found, own, broker.unused_users, is_complete=confirmed.broker and confirmed.database
        )
        now = self._ports.clock.now()
        after, secrets = await rotation.advance(children, result, context, now)
        updates = (secrets, *updates[1:])
        replaced = {update.type for update in result.updates}
        final = [
            *(update for update in updates if update.type not in replaced),
            *result.updates,
        ]
        healed = [*own.healed, *children.healed]
        if self._same_spec and self._held(ConditionType.TOPOLOGY_READY):
            healed += [f"{what} was missing or changed" for what in broker.changed]
        if self._same_spec and self._held(ConditionType.BUCKET_READY):
            healed += [f"{what} was missing or changed" for what in bucket.changed]
        facts = replace(
            self._facts(children, bucket, result),
            left_behind=broker.left,
            database=database.installation,
        )
        seen = self._seen([*final, drift(healed, self._was.get(ConditionType.DRIFTED))], facts)
        ready = seen.outcome is Outcome.READY
        # The next phase has begun: the next reconciliation continues it.
        outcome = Outcome.PROGRESSING if ready and after != own else seen.outcome
        return replace(
            seen, outcome=outcome, quiet=ready and not (touched or healed or broker.left)
        )

    def _may_skip_children(self, broker: BrokerResult) -> bool:
        """Whether only external systems can have changed since the last full reconciliation."""
        told = tuple(self._previous.get("leftBehind") or ())
        quiet = (
            self._settled
            and self._same_spec
            and not self._held(ConditionType.DRIFTED)
            and told == broker.left
        )
        # The ConfigMap with the schemas is the user's, so no watch tells of it.
        return quiet and self._owner.spec.schemas.config_map_ref is None

    async def _dependencies(
        self, found: Credentials, own: OwnSecrets
    ) -> tuple[BucketResult, BrokerResult, DatabaseResult, tuple[ConditionUpdate, ...]]:
        ports, owner = self._ports, self._owner
        async with asyncio.TaskGroup() as group:
            outranks = partial(outranked, ports.cluster, owner)
            relays = logins(own.service.get(env.BROKER_URL), own.next_service.get(env.BROKER_URL))
            consumers = logins(own.consumer.get("url"), own.next_consumer.get("url"))
            bucket = group.create_task(
                reconcile_bucket(
                    ports.store,
                    owner,
                    found,
                    BucketContext(own.next_service, self._previous, outranks),
                )
            )
            broker = group.create_task(
                reconcile_broker(
                    ports.broker, owner, found, BrokerContext(relays, consumers, outranks)
                )
            )
            url, known = (
                own.next_service.get(env.DATABASE_URL, ""),
                self._previous.get("database") or {},
            )
            database = group.create_task(
                reconcile_database(ports.database, owner, found, url, known.get("installation"))
            )
            cache = group.create_task(check_cache(ports.cache, found))
        looked = cache.result()
        return (
            bucket.result(),
            broker.result(),
            database.result(),
            () if looked is None else (looked,),
        )

    async def _workload(
        self,
        children: Children,
        updates: tuple[ConditionUpdate, ...],
        bucket: BucketResult,
        own: OwnSecrets,
    ) -> WorkloadResult:
        rolled_out = self._previous.get("workload")
        try:
            schemas = await self._schemas()
            config, ports = self._config(bucket, own), ports_of(self._owner, own.service)
            if not bucket.update.is_true:
                config, ports = keep_store(
                    children.get("ConfigMap", names.config_map(self._owner.key)), config, ports
                )
            await children.ensure(foundations(self._owner, config, ports))
            image = self._owner.spec.image or self._ports.service_image
            inputs = Inputs(image, config, own.service, schemas)
            trial = Trial(self._ports.clock.now(), self._was.get(ConditionType.DATABASE_READY))
            result = await roll_out(children, updates, inputs, rolled_out, trial)
            await children.prune(workload_known=result.known)
            if dependencies_hold(updates) or rolled_out is not None:
                await children.open_gates()
        except DependencyError as error:
            return WorkloadResult(
                (condition_false(ConditionType.WORKLOAD_AVAILABLE, error.reason, error.message),),
                rolled_out,
            )
        except ClusterError as error:
            if error.status not in _ANSWERS_ABOUT_THE_REQUEST:
                raise
            reason = _REFUSALS.get(error.status, Reason.REQUEST_REFUSED)
            return WorkloadResult(
                (condition_false(ConditionType.WORKLOAD_AVAILABLE, reason, str(error)),), rolled_out
            )
        return result

    async def _schemas(self) -> Mapping[str, str] | None:
        reference = self._owner.spec.schemas.config_map_ref
        if reference is None:
            return None
        name = reference.name
        found = await self._ports.cluster.read("v1", "ConfigMap", self._owner.key.namespace, name)
        if found is None:
            message = (
                f"ConfigMap {self._owner.key.namespace}/{name} with the schemas does not exist:"
                " create it"
            )
            raise DependencyError(Reason.WAITING_FOR_DEPENDENCIES, message)
        return dict(found.get("data") or {})

    def _config(self, bucket: BucketResult, own: OwnSecrets) -> dict[str, str]:
        known = (self._previous.get("objectStore") or {}).get("missingCapabilities", ())
        missing = bucket.missing if bucket.missing is not None else frozenset(known)
        endpoint = endpoint_of(own.service.get(env.BROKER_URL))
        around = Surroundings(
            endpoint, service_url(self._owner), Capability.ENCRYPTION not in missing
        )
        return configuration(self._owner.spec, around)

    def _facts(self, children: Children, bucket: BucketResult, result: WorkloadResult) -> Facts:
        key = self._owner.key
        api = children.get("Deployment", f"{key.name}-api") or {}
        return Facts(
            selector=",".join(
                f"{name}={value}" for name, value in names.selector(key, names.API).items()
            ),
            secrets={"service": names.service_secret(key), "consumer": names.consumer_secret(key)},
            url=service_url(self._owner),
            replicas=(api.get("status") or {}).get("replicas", 0),
            workload=result.rolled_out,
            probed=bucket.probed,
            store=None
            if bucket.place is None
            else {"place": bucket.place, "installation": bucket.installation},
            missing_capabilities=sorted(bucket.missing) if bucket.missing is not None else None,
        )

    def _rotation_clock(self) -> RotationClock:
        ran = self._previous.get("workload") is not None
        return RotationClock(self._ports.clock.now(), self._ports.rotation, self._settled, ran)

    def _seen(self, updates: list[ConditionUpdate], facts: Facts) -> _Seen:
        failing = [
            update
            for update in updates
            if not update.is_true and POLARITY[update.type].required_for_ready
        ]
        under_way = {
            Reason.ROLLOUT_PROGRESSING,
            Reason.MIGRATION_RUNNING,
            Reason.WAITING_FOR_DEPENDENCIES,
        }
        if not failing:
            outcome = Outcome.READY
        elif {update.reason for update in failing} <= under_way:
            outcome = Outcome.PROGRESSING
        else:
            outcome = Outcome.FAILING
        return _Seen(updates, facts, outcome)

    def _held(self, kind: ConditionType) -> bool:
        return bool(self._was.get(kind, {}).get("status") == "True")
