"""
A cheap look at one that was ready: is everything as it was when a pass found it good?

A pass over one that is ready leaves a fingerprint of all that it stands on outside of its children,
which tell of themselves. While the fingerprint is the same there is nothing to do; another one, or
none because something cannot be seen, asks for a pass. So nothing but work is lost when the memory
is: it holds manifests, digests, and what several HealthIngests share for some seconds.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any, TypeVar

from healthingest_contract.conditions import ConditionType
from healthingest_operator.api.healthingest import HealthIngest, Key
from healthingest_operator.reconcile.credentials.user_secrets import Credentials, credentials
from healthingest_operator.reconcile.errors import ClusterError, DependencyError
from healthingest_operator.reconcile.ports import (
    Broker,
    BrokerAccess,
    Cache,
    Clock,
    Cluster,
    Database,
    ObjectStore,
    StoreAccess,
)
from healthingest_operator.reconcile.ttl_cache import Shared
from healthingest_operator.resources import names

_Part = TypeVar("_Part")


class Memory:
    """What was found good, and Secrets that many name, for a moment. A new process has none."""

    def __init__(self) -> None:
        self._good: dict[Key, tuple[HealthIngest, str]] = {}
        self.secrets = Shared()

    def recorded(self, key: Key) -> tuple[HealthIngest, str] | None:
        """What a pass has found good, and with which fingerprint; None: nothing."""
        return self._good.get(key)

    def remember(self, owner: HealthIngest, fingerprint: str | None) -> None:
        """
        A pass has found it good with this fingerprint.

        None: something was not seen, so it is looked at again.
        """
        if fingerprint is not None:
            self._good[owner.key] = owner, fingerprint

    def forget(self, key: Key) -> None:
        """It is to be looked at in full."""
        self._good.pop(key, None)


@dataclass(frozen=True, slots=True)
class Glance:
    """The outside, as a glance needs it."""

    cluster: Cluster
    store: ObjectStore
    broker: Broker
    database: Database
    cache: Cache
    clock: Clock
    memory: Memory

    async def is_as_it_was(self, key: Key) -> bool:
        """
        Whether what *key* stands on is as a pass found it good.

        Of a change of itself the watch tells.
        """
        good = self.memory.recorded(key)
        return good is not None and await self._fingerprint(good[0]) == good[1]

    async def fingerprint(self, owner: HealthIngest, status: Mapping[str, Any]) -> str | None:
        """
        Of everything that *owner* stands on.

        None: it is not ready, or not everything can be seen.
        """
        return await self._fingerprint(owner) if _is_settled(owner, status) else None

    async def _fingerprint(self, owner: HealthIngest) -> str | None:
        try:
            found = await credentials(_Secrets(self), owner)
            if found.errors:
                return None
            own = names.service_secret(owner.key), names.consumer_secret(owner.key)
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
        What lies outside the cluster.

        Raises:
            DependencyError: something of it cannot be seen.
        """
        store = _known(found.store)
        admin: StoreAccess = _known(found.store_admin)
        parts = [await self.store.fingerprint(admin)]
        if store != admin:
            await self.store.check(store)
        broker: BrokerAccess = _known(found.broker)
        host = owner.spec.broker.virtual_host
        users = [*names.relay_users(host), *names.consumer_users(host), broker.username]
        parts.append(await self.broker.fingerprint(broker, host, users))
        database = _known(found.database)
        # Of a login that the operator made a pass asks; a pod whose own is refused is not ready.
        await self.database.check(database.url or database.admin_url or "")
        return [*parts, await self._cache(found)]

    async def _cache(self, found: Credentials) -> str:
        """What is wrong with it: nothing waits for it, so that is only a state among others."""
        if not isinstance(found.cache_url, str):
            return ""
        try:
            await self.cache.check(found.cache_url)
        except DependencyError as error:
            return error.message
        return ""


@dataclass(frozen=True, slots=True)
class _Secrets:
    """Reads Secrets that many HealthIngests of a namespace name once for all of them."""

    glance: Glance

    async def read(
        self, api_version: str, kind: str, namespace: str, name: str
    ) -> dict[str, Any] | None:
        """See `Reader.read`."""
        cluster = self.glance.cluster

        async def ask() -> dict[str, Any] | None:
            found = await cluster.read(api_version, kind, namespace, name)
            return None if found is None else {"data": found.get("data")}

        return await self.glance.memory.secrets.get(
            (kind, namespace, name), self.glance.clock.now().timestamp(), ask
        )


def _is_settled(owner: HealthIngest, status: Mapping[str, Any]) -> bool:
    """Whether it was ready in this generation, with nothing to report once or to remove."""
    held = {entry["type"] for entry in status.get("conditions") or () if entry["status"] == "True"}
    ready = ConditionType.READY in held and ConditionType.DRIFTED not in held
    current = status.get("observedGeneration") == owner.generation and not status.get("leftBehind")
    # The ConfigMap with the schemas is the user's, so no watch tells of it.
    return ready and current and owner.spec.schemas.config_map_ref is None


def _known(part: _Part | DependencyError) -> _Part:
    if isinstance(part, DependencyError):
        raise part
    return part


def _digest(value: tuple[Any, ...]) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()
