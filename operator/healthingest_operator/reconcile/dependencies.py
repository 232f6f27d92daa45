"""Bucket, broker and database: each is looked at, completed, and reported in conditions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from healthingest_contract import environment as env
from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.model.spec import HealthIngest
from healthingest_operator.reconcile.credentials import Credentials, DatabaseAccess
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import Broker, Database, ObjectStore, StoreAccess
from healthingest_operator.resources import bucket, topology
from healthingest_operator.resources.names import owner_mark
from healthingest_operator.resources.secrets import digest, password_of
from healthingest_operator.status.conditions import Finding, bad, good


@dataclass(frozen=True, slots=True)
class BucketResult:
    """The finding, what the store lacks and a fingerprint of what was probed (None: not known now)."""

    finding: Finding
    missing: frozenset[str] | None = None
    probed: str | None = None


@dataclass(frozen=True, slots=True)
class BrokerResult:
    """Findings about broker and topology, and what had to be restored."""

    findings: tuple[Finding, ...]
    healed: tuple[str, ...] = ()


async def look_at_bucket(
    store: ObjectStore, owner: HealthIngest, found: Credentials, values: Mapping[str, str], status: Mapping[str, Any]
) -> BucketResult:
    """Make the bucket and its properties; probe it when anything about it is new."""
    try:
        if isinstance(found.store, DependencyError):
            raise found.store
        if isinstance(found.store_admin, DependencyError):
            raise found.store_admin
        admin: StoreAccess = found.store_admin
        missing = await _complete_bucket(store, owner, admin)
        before = status.get("objectStore") or {}
        wanted = repr(owner.spec.object_store)
        probed = digest(values, (env.STORE_ACCESS_KEY_ID, env.STORE_SECRET_ACCESS_KEY), wanted)
        if before.get("probed") == probed and _held(status, ConditionType.BUCKET_READY):
            await store.check(found.store)
            lacking = {*missing, *(set(before.get("missingCapabilities", ())) & {bucket.Capability.CHECKSUMS})}
        else:
            lacking = {*missing, *await store.probe(found.store)}
    except DependencyError as error:
        return BucketResult(bad(ConditionType.BUCKET_READY, error.reason, error.message))
    names = frozenset(str(name) for name in lacking)
    hurts = sorted(names & {str(name) for name in bucket.required(owner.spec.object_store)})
    if hurts:
        message = f"the object store lacks {', '.join(hurts)}, which is required"
        return BucketResult(bad(ConditionType.BUCKET_READY, Reason.CAPABILITY_MISSING, message), names, probed)
    return BucketResult(good(ConditionType.BUCKET_READY, f"bucket {owner.spec.object_store.bucket}"), names, probed)


async def _complete_bucket(store: ObjectStore, owner: HealthIngest, admin: StoreAccess) -> set[bucket.Capability]:
    observed = await store.observe(admin)
    if observed is None:
        await store.create(admin)
        observed = await store.observe(admin)
    if observed is None:
        message = f"bucket {admin.bucket} was made but is not there yet"
        raise DependencyError(Reason.UNREACHABLE, message)
    mark = owner_mark(owner.key)
    if observed.owner not in {None, mark}:
        message = f"bucket {admin.bucket} belongs to HealthIngest {observed.owner}: use another bucket"
        raise DependencyError(Reason.RESOURCE_CONFLICT, message)
    missing = set(observed.missing)
    for step in bucket.plan(owner.spec.object_store, mark, observed):
        if not await store.carry_out(admin, step):
            missing.add(step.capability)
    return missing


async def look_at_broker(
    broker: Broker, owner: HealthIngest, found: Credentials, service: Mapping[str, str], consumer: Mapping[str, str]
) -> BrokerResult:
    """Make the virtual host and what is in it; passwords are those of the operator's own Secrets."""
    access = found.broker
    try:
        if isinstance(access, DependencyError):
            raise access
        await broker.check(access)
    except DependencyError as error:
        waiting = bad(ConditionType.TOPOLOGY_READY, Reason.WAITING_FOR_DEPENDENCIES, "waits for the broker")
        return BrokerResult((bad(ConditionType.BROKER_READY, error.reason, error.message), waiting))
    ready = good(ConditionType.BROKER_READY, f"broker {urlsplit(access.amqp_url).netloc}")
    wanted = topology.topology(
        owner.spec.broker,
        owner_mark(owner.key),
        access.username,
        password_of(service.get(env.BROKER_URL)) or "",
        consumer.get("password", ""),
    )
    try:
        users = [login.name for login in wanted.logins]
        observed = await broker.observe(access, wanted.virtual_host, [*users, access.username])
        calls = _calls(wanted, observed)
        for call in calls:
            await broker.carry_out(access, call)
    except DependencyError as error:
        return BrokerResult((ready, bad(ConditionType.TOPOLOGY_READY, error.reason, error.message)))
    provisioned = good(ConditionType.TOPOLOGY_READY, f"virtual host {wanted.virtual_host}")
    return BrokerResult((ready, provisioned), tuple(call.what for call in calls))


def _calls(wanted: topology.Topology, observed: topology.Observed) -> tuple[topology.Call, ...]:
    if observed.owner not in {None, wanted.owner}:
        message = f"virtual host {wanted.virtual_host} belongs to HealthIngest {observed.owner}: use another one"
        raise DependencyError(Reason.RESOURCE_CONFLICT, message)
    plan = topology.plan(wanted, observed)
    if plan.conflicts:
        message = f"virtual host {wanted.virtual_host}: {'; '.join(plan.conflicts)}; empty it, remove it, wait"
        raise DependencyError(Reason.TOPOLOGY_CONFLICT, message)
    return plan.calls


async def look_at_database(database: Database, found: Credentials, service: Mapping[str, str]) -> Finding:
    """Make role and database where the Secret allows it; then log in as the service will."""
    access = found.database
    try:
        if isinstance(access, DependencyError):
            raise access
        await _provision(database, access, service[env.DATABASE_URL])
    except DependencyError as error:
        return bad(ConditionType.DATABASE_READY, error.reason, error.message)
    parts = urlsplit(service[env.DATABASE_URL])
    return good(ConditionType.DATABASE_READY, f"database {parts.path.lstrip('/')} on {parts.hostname}")


async def _provision(database: Database, access: DatabaseAccess, url: str) -> None:
    """A login that works needs no administrator: his rights are used only when it does not."""
    try:
        await database.check(url)
    except DependencyError as error:
        if access.admin_url is None or error.reason is Reason.UNREACHABLE:
            raise
        await database.provision(access.admin_url, url)
        await database.check(url)


def _held(status: Mapping[str, Any], kind: ConditionType) -> bool:
    return any(entry["type"] == kind and entry["status"] == "True" for entry in status.get("conditions") or [])
