"""
Change detection: compare a fingerprint of the external state with the recorded one.

A full reconciliation that ends in Ready records a fingerprint of Secrets, bucket, broker and
database. Children are not part of it, because a watch reports their changes. If the fingerprint is
the same, there is nothing to do. If it differs, or if part of the state is unreadable, a full
reconciliation follows.
"""

import hashlib
from collections.abc import Set as AbstractSet
from dataclasses import astuple, dataclass
from typing import TypeVar

from typing_extensions import override

from healthingest_contract.conditions import ConditionType
from healthingest_operator.api.healthingest import HealthIngest, Key
from healthingest_operator.api.manifest import Manifest, ManifestView
from healthingest_operator.api.v1alpha1 import HealthIngestSpec
from healthingest_operator.reconcile.credentials.user_secrets import Credentials, credentials
from healthingest_operator.reconcile.errors import ClusterError, DependencyError
from healthingest_operator.reconcile.ports import (
    Broker,
    BrokerAccess,
    BrokerUser,
    Cache,
    Clock,
    Cluster,
    Database,
    ObjectStore,
    Reader,
    StoreAccess,
)
from healthingest_operator.reconcile.records import Records
from healthingest_operator.resources import names, prepared_topology

_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True)
class ChangeDetector:
    """Computes and compares fingerprints."""

    cluster: Cluster
    store: ObjectStore
    broker: Broker
    database: Database
    cache: Cache
    clock: Clock
    records: Records

    async def is_unchanged(self, key: Key) -> bool:
        """
        Whether the external state of *key* has the recorded fingerprint.

        Changes of the HealthIngest itself are reported by the watch.
        """
        record = self.records.of(key)
        if record.reconciled is None or record.fingerprint is None:
            return False
        return await self._fingerprint(record.reconciled) == record.fingerprint

    async def fingerprint(self, owner: HealthIngest, status: ManifestView) -> str | None:
        """
        Return the fingerprint of the external state of *owner*.

        None: *owner* is not Ready, or part of the state is unreadable.
        """
        return await self._fingerprint(owner) if _is_settled(owner, status) else None

    async def _fingerprint(self, owner: HealthIngest) -> str | None:
        try:
            found = await credentials(_Secrets(self), owner)
            if found.errors:
                return None
            own = (
                names.service_secret(owner.key),
                names.consumer_secret(owner.key),
                names.erasure_key_secret(owner.key),
            )
            versions = [
                await self.cluster.version("v1", "Secret", owner.key.namespace, name)
                for name in own
            ]
            outside = await self._outside(owner, found)
        except (DependencyError, ClusterError):
            return None
        return _digest(
            (owner.uid, owner.generation, owner.rotate, astuple(found), versions, outside)
        )

    async def _outside(self, owner: HealthIngest, found: Credentials) -> list[str]:
        """
        Return fingerprints of the state outside the cluster.

        Raises:
            DependencyError: part of it is unreadable.
        """
        store = _value_of(found.store)
        admin: StoreAccess = _value_of(found.store_admin)
        needs_lock = owner.spec.object_store.object_lock is not None
        parts = [await self.store.fingerprint(admin, needs_object_lock=needs_lock)]
        if store != admin and store.has_keys:
            await self.store.check(store)
        parts.append(await self._broker(owner, found.broker))
        database = _value_of(found.database)
        # A full reconciliation checks the login that the operator created. A pod whose login is
        # refused is not ready.
        await self.database.check(database.url or database.admin_url or "", tls=database.tls)
        return [*parts, await self._cache(found)]

    async def _broker(
        self, owner: HealthIngest, access: BrokerAccess | BrokerUser | DependencyError
    ) -> str:
        if isinstance(access, DependencyError):
            raise access
        host = owner.spec.broker.virtual_host
        if isinstance(access, BrokerUser):
            await self.broker.check_user(access)
            wanted = prepared_topology.declarations(owner.spec.broker)
            return repr(await self.broker.declare(access, host, wanted, create=False))
        users = [*names.relay_users(host), *names.consumer_users(host), access.username]
        return await self.broker.fingerprint(access, host, users)

    async def _cache(self, found: Credentials) -> str:
        """Return the error of the cache, or an empty string; Ready does not depend on it."""
        if not isinstance(found.cache_url, str):
            return ""
        try:
            await self.cache.check(found.cache_url, _value_of(found.cache_tls))
        except DependencyError as error:
            return error.message
        return ""


@dataclass(frozen=True, slots=True)
class _Secrets(Reader):
    """Reads Secrets, each once for all HealthIngests of a namespace that name it."""

    detector: ChangeDetector

    @override
    async def read(self, api_version: str, kind: str, namespace: str, name: str) -> Manifest | None:
        cluster = self.detector.cluster

        async def ask() -> Manifest | None:
            found = await cluster.read(api_version, kind, namespace, name)
            return None if found is None else {"data": found.get("data")}

        return await self.detector.records.secrets.get(
            (kind, namespace, name), self.detector.clock.now().timestamp(), ask
        )


def _is_settled(owner: HealthIngest, status: ManifestView) -> bool:
    """Whether it was Ready in this generation, without drift and left-behind resources."""
    held = {entry["type"] for entry in status.get("conditions") or () if entry["status"] == "True"}
    ready = ConditionType.READY in held and ConditionType.DRIFTED not in held
    current = status.get("observedGeneration") == owner.generation and not status.get("leftBehind")
    return ready and current and _is_watched(owner.spec, held)


def _is_watched(spec: HealthIngestSpec, held: AbstractSet[str]) -> bool:
    """Whether a watch reports each change that could make one of its parts work or fail."""
    # No watch reports that the Gateway API is installed.
    routed = spec.http_route is None or ConditionType.ROUTE_READY in held
    reads = spec.object_store.reader_secret_ref is None or ConditionType.READER_READY in held
    # The ConfigMap with the schemas belongs to the user, so no watch reports its changes.
    return routed and reads and spec.schemas.config_map_ref is None


def _value_of(part: _Part | DependencyError) -> _Part:
    if isinstance(part, DependencyError):
        raise part
    return part


def _digest(value: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()
