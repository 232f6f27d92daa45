"""Bucket, broker, database and cache: each is observed, completed, and reported."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from healthingest_contract import environment as env
from healthingest_contract.conditions import ConditionType, Reason
from healthingest_contract.database_address import read_database_address
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.reconcile.broker_result import BrokerResult, broker_not_ready
from healthingest_operator.reconcile.credentials.user_secrets import Credentials, DatabaseAccess
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.identity import (
    bucket_place,
    database_place,
    installation_of_bucket,
    installation_of_database,
    refuse_new_database,
)
from healthingest_operator.reconcile.ports import (
    Broker,
    BrokerAccess,
    BrokerUser,
    Cache,
    Database,
    ObjectStore,
    StoreAccess,
)
from healthingest_operator.reconcile.prepared_broker import reconcile_prepared_broker
from healthingest_operator.resources import bucket, topology
from healthingest_operator.resources.names import consumer_users, owner_id, relay_users
from healthingest_operator.resources.pruning import Superfluous, superfluous
from healthingest_operator.resources.secrets import digest, password_of, user_of
from healthingest_operator.status import lock_causes
from healthingest_operator.status.conditions import ConditionUpdate, condition_false, condition_true

_PROVISIONING_HELPS: Final = frozenset(
    {Reason.AUTHENTICATION_FAILED, Reason.REQUEST_REFUSED, Reason.PERMISSION_DENIED}
)
"""Reasons for a failed login that creating role and database, or granting rights, can resolve."""
_LOGIN_KINDS: Final = frozenset({topology.Kind.USER, topology.Kind.PERMISSIONS})


@dataclass(frozen=True, slots=True)
class BucketResult:
    """
    The condition `BucketReady` and the properties of the bucket; None: unknown now.

    `probed` is a fingerprint of the settings that were probed, `place` is host and bucket, and
    `changed` names what was created or changed.
    """

    update: ConditionUpdate
    missing: frozenset[str] | None = None
    probed: str | None = None
    changed: tuple[str, ...] = ()
    installation: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class DatabaseResult:
    """The condition, and the installation that the database belongs to; None: unknown now."""

    update: ConditionUpdate
    installation: str | None = None


Outranks = Callable[[str], Awaitable[bool]]
"""Whether the HealthIngest with this id (`namespace/name`) must give up its ownership."""


@dataclass(frozen=True, slots=True)
class BucketContext:
    """
    The values of the service's Secret, the previous status, and the rule of ownership.

    `erasure_key` is the fingerprint of the erasure key; empty: it is unknown.
    """

    values: Mapping[str, str]
    status: ManifestView
    outranks: Outranks
    erasure_key: str = ""


@dataclass(frozen=True, slots=True)
class BrokerContext:
    """The wanted logins (passwords by user), and the rule of ownership."""

    relays: Mapping[str, str]
    consumers: Mapping[str, str]
    outranks: Outranks


async def reconcile_bucket(
    store: ObjectStore, owner: HealthIngest, found: Credentials, context: BucketContext
) -> BucketResult:
    """Create and configure the bucket; probe the store if its settings or credentials are new."""
    try:
        pods, admin = _store_accesses(found)
        before = context.status.get("objectStore") or {}
        names = (env.STORE_ACCESS_KEY_ID, env.STORE_SECRET_ACCESS_KEY)
        probed = digest(context.values, names, repr(owner.spec.object_store))
        known = (
            set(before.get("missingCapabilities", ())) if before.get("probed") == probed else set()
        )
        done = await _complete_bucket(store, owner, admin, known, context)
        if before.get("probed") == probed and _held(context.status, ConditionType.BUCKET_READY):
            if pods != admin and pods.has_keys:  # those of the operator were used just now
                await store.check(pods)
            lacking = {*done.missing, *(known & {bucket.Capability.CHECKSUMS})}
        else:
            # The operator cannot act with the identity of the pods.
            lacking = {*done.missing, *await store.probe(pods if pods.has_keys else admin)}
    except DependencyError as error:
        return BucketResult(
            condition_false(ConditionType.BUCKET_READY, error.reason, error.message)
        )
    return BucketResult(
        _bucket_condition(owner, lacking, done.observed),
        frozenset(str(name) for name in lacking),
        probed,
        done.changed,
        done.installation,
        bucket_place(admin),
    )


def _store_accesses(found: Credentials) -> tuple[StoreAccess, StoreAccess]:
    """
    Return the access of the pods, and that of the operator.

    Raises:
        DependencyError: a Secret is missing or invalid.
    """
    pods = found.store
    if isinstance(pods, DependencyError):
        raise pods
    admin = found.store_admin
    if isinstance(admin, DependencyError):
        raise admin
    return pods, admin


def _bucket_condition(
    owner: HealthIngest, lacking: Collection[str], observed: bucket.Observed
) -> ConditionUpdate:
    """Return the condition; a lock that the spec does not name is a warning."""
    hurts = sorted(
        {str(name) for name in lacking}
        & {str(name) for name in bucket.required(owner.spec.object_store)}
    )
    if hurts:
        message = f"the object store lacks {', '.join(hurts)}, which is required"
        return condition_false(ConditionType.BUCKET_READY, Reason.CAPABILITY_MISSING, message)
    name = owner.spec.object_store.bucket
    if owner.spec.object_store.object_lock is None and observed.retention:
        cause = lock_causes.LOCK_NOT_IN_SPEC
        message = cause.text(bucket=name, **bucket.described_retention(observed))
        return condition_true(ConditionType.BUCKET_READY, message, cause.reason)
    return condition_true(ConditionType.BUCKET_READY, f"bucket {name}")


@dataclass(frozen=True, slots=True)
class _CompletedBucket:
    """The bucket as it was found, with missing capabilities, changes and installation."""

    observed: bucket.Observed
    missing: set[bucket.Capability]
    changed: tuple[str, ...]
    installation: str


async def _complete_bucket(
    store: ObjectStore,
    owner: HealthIngest,
    admin: StoreAccess,
    known: Collection[str],
    context: BucketContext,
) -> _CompletedBucket:
    """
    Configure the bucket.

    A capability that is *known* to be missing is not requested again.
    """
    locks = owner.spec.object_store.object_lock is not None
    observed = await store.observe(admin, needs_object_lock=locks)
    installation = await installation_of_bucket(
        store, owner, admin, observed, context.status.get("objectStore") or {}
    )
    changed = []
    if observed is None:
        observed = await _create_bucket(store, admin, locks=locks)
        changed.append(f"bucket {admin.bucket}")
    name = owner_id(owner.key)
    await _check_bucket_owner(observed, name, admin, context.outranks)
    if locks and observed.object_lock is None and _may_lock(observed):
        raise DependencyError.of(lock_causes.BUCKET_WITHOUT_LOCK, bucket=admin.bucket)
    known_missing = set(known) - {bucket.Capability.CHECKSUMS}
    missing = {*observed.missing, *(lack for lack in bucket.Capability if lack in known_missing)}
    seen = replace(observed, missing=frozenset(missing))
    steps = bucket.plan(owner.spec.object_store, name, seen, installation, context.erasure_key)
    for step in steps:
        if await store.carry_out(admin, step):
            changed.append(f"{step.capability} of bucket {admin.bucket}")
        else:
            missing.add(step.capability)
    return _CompletedBucket(observed, missing, tuple(changed), installation)


def _may_lock(observed: bucket.Observed) -> bool:
    """Whether the store has object lock; without it, a capability is missing."""
    return bucket.Capability.OBJECT_LOCK not in observed.missing


async def _create_bucket(store: ObjectStore, admin: StoreAccess, *, locks: bool) -> bucket.Observed:
    """
    Create the bucket and return its properties.

    Raises:
        DependencyError: the store does not report the bucket yet.
    """
    await store.create(admin, object_lock=locks)
    observed = await store.observe(admin, needs_object_lock=locks)
    if observed is None:
        message = f"bucket {admin.bucket} was created but the object store does not report it yet"
        raise DependencyError(Reason.UNREACHABLE, message)
    return observed


async def _check_bucket_owner(
    observed: bucket.Observed, name: str, admin: StoreAccess, outranks: Outranks
) -> None:
    """
    Check that *name* owns the bucket, or may take it over.

    Raises:
        DependencyError: the bucket belongs to another HealthIngest.
    """
    if observed.owner in {None, name} or await outranks(str(observed.owner)):
        return
    message = f"bucket {admin.bucket} belongs to HealthIngest {observed.owner}: use another bucket"
    raise DependencyError(Reason.RESOURCE_CONFLICT, message)


async def reconcile_broker(
    broker: Broker, owner: HealthIngest, found: Credentials, context: BrokerContext
) -> BrokerResult:
    """
    Create the virtual host with its content, then log in as the relay.

    The passwords are those in the operator's own Secrets.
    """
    access = found.broker
    if isinstance(access, BrokerUser):
        return await reconcile_prepared_broker(broker, owner, access)
    try:
        if isinstance(access, DependencyError):
            raise access
        await broker.check(access)
    except DependencyError as error:
        return broker_not_ready(error)
    ready = condition_true(ConditionType.BROKER_READY, f"broker {urlsplit(access.amqp_url).netloc}")
    wanted = topology.topology(
        owner.spec.broker,
        owner_id(owner.key),
        access.username,
        context.relays,
        context.consumers,
    )
    try:
        completed = await _complete_topology(broker, access, wanted, context.outranks)
    except DependencyError as error:
        return BrokerResult(
            (ready, condition_false(ConditionType.TOPOLOGY_READY, error.reason, error.message))
        )
    provisioned = condition_true(
        ConditionType.TOPOLOGY_READY, f"virtual host {wanted.virtual_host}"
    )
    try:
        for login in wanted.logins:
            # Limits may refuse a user with the right permissions, so the login is tried.
            if login.name in context.relays:
                await broker.log_in(access, wanted.virtual_host, login)
    except DependencyError as error:
        ready = condition_false(ConditionType.BROKER_READY, error.reason, error.message)
    return replace(completed, updates=(ready, provisioned))


def logins(*addresses: str | None) -> dict[str, str]:
    """Return the passwords by user name, from broker URLs."""
    return {user_of(url) or "": password_of(url) or "" for url in addresses if user_of(url)}


async def _complete_topology(
    broker: Broker, access: BrokerAccess, wanted: topology.Topology, outranks: Outranks
) -> BrokerResult:
    """Complete the virtual host; return changes, unwanted queues with messages, unused users."""
    host = _VirtualHost(broker, access, wanted.virtual_host)
    own_users = [*relay_users(host.name), *consumer_users(host.name)]
    observed = await broker.observe(access, host.name, [*own_users, access.username])
    missing = await _missing(wanted, observed, outranks)
    unwanted = superfluous(wanted, observed)
    changed = await host.ensure(missing)
    changed += await host.remove_bindings_and_policies(unwanted)
    if any(resource.kind in _LOGIN_KINDS for resource in missing):
        await host.check_logins(wanted)
    removed, full = await host.remove_empty_queues(unwanted)
    wanted_users = {login.name for login in wanted.logins}
    return BrokerResult(
        updates=(),
        changed=(*changed, *removed),
        left_behind=tuple(
            sorted(
                f"queue {name} of virtual host {host.name} is not in the spec but has messages"
                for name in full
            )
        ),
        unused_users=tuple(
            user for user in own_users if user in observed.users and user not in wanted_users
        ),
    )


@dataclass(frozen=True, slots=True)
class _VirtualHost:
    """Changes the content of a virtual host; each method returns titles of its changes."""

    broker: Broker
    access: BrokerAccess
    name: str

    async def ensure(self, resources: Iterable[topology.Resource]) -> list[str]:
        changed = []
        for resource in resources:
            await self.broker.ensure(self.access, self.name, resource)
            changed.append(resource.title)
        return changed

    async def remove_bindings_and_policies(self, unwanted: Superfluous) -> list[str]:
        changed = []
        for binding in unwanted.bindings:
            await self.broker.remove_binding(self.access, self.name, binding)
            changed.append(binding.title)
        for queue in unwanted.policies:
            await self.broker.remove_policy(self.access, self.name, queue)
            changed.append(f"policy of queue {queue}")
        return changed

    async def check_logins(self, wanted: topology.Topology) -> None:
        """
        Check that the broker reports the wanted users and permissions.

        Raises:
            DependencyError: it does not report one of them yet.
        """
        users = [login.name for login in wanted.logins]
        observed = await self.broker.observe(self.access, self.name, users)
        if unknown := topology.missing_logins(wanted, observed):
            raise DependencyError(
                Reason.UNREACHABLE,
                f"the broker has accepted the change and does not report it yet: {unknown[0]}",
            )

    async def remove_empty_queues(self, unwanted: Superfluous) -> tuple[list[str], list[str]]:
        """Return the titles of the removed queues, and the names of those with messages."""
        removed = []
        full = list(unwanted.full)
        for queue in unwanted.queues:
            if await self.broker.remove_queue_if_empty(self.access, self.name, queue):
                removed.append(f"queue {queue}")
            else:
                full.append(queue)
        return removed, full


async def _missing(
    wanted: topology.Topology, observed: topology.Observed, outranks: Outranks
) -> tuple[topology.Resource, ...]:
    if observed.owner not in {None, wanted.owner} and not await outranks(str(observed.owner)):
        message = (
            f"virtual host {wanted.virtual_host} belongs to HealthIngest"
            f" {observed.owner}: use another one"
        )
        raise DependencyError(Reason.RESOURCE_CONFLICT, message)
    plan = topology.plan(wanted, observed)
    if plan.conflicts:
        message = (
            f"virtual host {wanted.virtual_host}: {'; '.join(plan.conflicts)}; empty"
            " and delete it, and the operator creates it again"
        )
        raise DependencyError(Reason.TOPOLOGY_CONFLICT, message)
    return plan.resources


async def check_cache(cache: Cache, found: Credentials) -> ConditionUpdate | None:
    """
    Return `CacheReady`; None: the spec names no cache.

    Uploads work without the cache, so `Ready` does not depend on it.
    """
    if found.cache_url is None:
        return None
    try:
        if isinstance(found.cache_url, DependencyError):
            raise found.cache_url
        if isinstance(found.cache_tls, DependencyError):
            raise found.cache_tls
        await cache.check(found.cache_url, found.cache_tls)
    except DependencyError as error:
        return condition_false(ConditionType.CACHE_READY, error.reason, error.message)
    return condition_true(
        ConditionType.CACHE_READY, f"cache {urlsplit(found.cache_url).netloc.rpartition('@')[2]}"
    )


async def reconcile_database(
    database: Database, owner: HealthIngest, found: Credentials, url: str, known: str | None
) -> DatabaseResult:
    """
    Create role and database if the Secret permits it, and log in with *url* as the service does.

    *known* is the installation that the database had before.
    """
    access = found.database
    try:
        if isinstance(access, DependencyError):
            raise access
        named = await _provision(database, access, url, owner, known)
        installation = installation_of_database(owner, database_place(url), named, known)
        written = installation == named or await database.write_installation(
            url, owner_id(owner.key), installation, tls=access.tls
        )
    except DependencyError as error:
        return DatabaseResult(
            condition_false(ConditionType.DATABASE_READY, error.reason, error.message)
        )
    address = read_database_address(url)
    message = f"database {address.database} on {address.place}"
    more = (
        ""
        if written
        else "; its identity cannot be stored, because its user may not create a table"
    )
    update = condition_true(ConditionType.DATABASE_READY, message + more)
    return DatabaseResult(update, installation if written else None)


async def _provision(
    database: Database, access: DatabaseAccess, url: str, owner: HealthIngest, known: str | None
) -> str | None:
    """
    Log in, create the database if necessary, and return the installation that it names.

    The administrator's rights are used only if the login fails.
    """
    name = owner_id(owner.key)
    try:
        return await database.check(url, name, tls=access.tls)
    except DependencyError as error:
        if access.admin_url is None or error.reason not in _PROVISIONING_HELPS:
            raise
        if known is not None and not await database.exists(access.admin_url, url, tls=access.tls):
            refuse_new_database(owner, database_place(url))
        await database.provision(access.admin_url, url, tls=access.tls)
        return await database.check(url, name, tls=access.tls)


def _held(status: ManifestView, kind: ConditionType) -> bool:
    return any(
        entry["type"] == kind and entry["status"] == "True"
        for entry in status.get("conditions") or []
    )
