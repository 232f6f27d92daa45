"""
The ports of the core: Kubernetes and the external systems.

Every method has a timeout. On timeout or without an answer it raises `DependencyError` with reason
`Unreachable` (the cluster: `ClusterError`). Every method may be called again with the same
arguments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.credentials.rotation import Policy
from healthingest_operator.reconcile.fingerprint_cache import FingerprintCache
from healthingest_operator.resources import bucket, topology
from healthingest_operator.resources.secrets import Generators

Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """How to reach a bucket. `endpoint` None is AWS."""

    endpoint: str | None
    region: str
    bucket: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """How to reach the broker as its administrator; `amqp_url` has scheme, host and port alone."""

    management_url: str
    amqp_url: str
    username: str
    password: str = field(repr=False)


class Reader(Protocol):
    """Who reads single objects."""

    async def read(
        self, api_version: str, kind: str, namespace: str, name: str
    ) -> dict[str, Any] | None:
        """One object; None: there is none."""


class Cluster(Reader, Protocol):
    """The Kubernetes API."""

    async def health_ingest(self, key: Key) -> dict[str, Any] | None:
        """The resource as it is; None: gone."""

    async def version(self, api_version: str, kind: str, namespace: str, name: str) -> str | None:
        """
        A mark of one object that is another one after every change of it.

        None: there is none.
        """

    async def children(self, api_version: str, kind: str, key: Key) -> list[dict[str, Any]]:
        """All objects of a kind that bear the labels of this HealthIngest."""

    async def events_about(self, about: Manifest) -> list[dict[str, Any]]:
        """The newest events about an object, a few dozen at most, in no order."""

    async def apply(self, manifest: Manifest) -> dict[str, Any]:
        """
        Server-side apply of the complete owned set, with force.

        Returns the object as it is now.
        """

    async def delete(self, manifest: Manifest) -> None:
        """Remove an object and what hangs on it, in the background; gone is done."""

    async def hand_over_replicas(self, manifest: Manifest, replicas: int) -> None:
        """Let a Deployment keep its replicas when this operator stops setting them."""

    async def set_fields(self, manifest: Manifest, values: Sequence[tuple[str, object]]) -> None:
        """Set existing fields of an object, each named by a JSON pointer (RFC 6901)."""

    async def open_gate(self, pod: Manifest) -> None:
        """Set the pod's readiness gate to True."""

    async def write_status(self, key: Key, status: Mapping[str, Any]) -> None:
        """Make this the whole status."""

    async def is_going(self, namespace: str) -> bool:
        """Whether this namespace is being deleted: nothing can be made in it again."""

    async def emit_event(self, about: Manifest, kind: str, reason: str, message: str) -> None:
        """Record an event; *kind* is Normal or Warning. One that cannot be recorded is dropped."""


class ObjectStore(Protocol):
    """An S3 server."""

    async def observe(self, access: StoreAccess) -> bucket.Observed | None:
        """What the bucket has; None: there is none."""

    async def fingerprint(self, access: StoreAccess) -> str:
        """
        What `observe` would find, as a mark that is another one when anything of it is.

        Cheap.
        """

    async def create(self, access: StoreAccess) -> None:
        """Make the bucket; one that this account has already is fine."""

    async def carry_out(self, access: StoreAccess, step: bucket.Step) -> bool:
        """Set a property; False: this store cannot."""

    async def probe(self, access: StoreAccess) -> frozenset[bucket.Capability]:
        """
        Write, read and remove a small object under a reserved key.

        What turned out to be missing.
        """

    async def check(self, access: StoreAccess) -> None:
        """Whether these credentials may use the bucket; writes nothing."""

    async def is_empty(self, access: StoreAccess) -> bool:
        """Whether there is no object but the probe's."""

    async def remove(self, access: StoreAccess) -> bool:
        """Remove the bucket; False: it holds objects, and stays. Gone is done."""


class Broker(Protocol):
    """A RabbitMQ broker: its management API, and one look at its AMQP port."""

    async def check(self, access: BrokerAccess) -> None:
        """
        Whether the login is an administrator's, AMQP answers, and no alarm stops publishing.

        All HealthIngests on a broker share the answer for some seconds.
        """

    async def log_in(self, access: BrokerAccess, virtual_host: str, login: topology.Login) -> None:
        """
        Open a connection and a channel as the service does, and close them again.

        Raises `DependencyError` where the broker lets this user not in: limits, a virtual host that
        is down, a login that another way of authentication refuses.
        """

    async def observe(
        self, access: BrokerAccess, virtual_host: str, users: Sequence[str]
    ) -> topology.Observed:
        """What there is, of these users too."""

    async def fingerprint(
        self, access: BrokerAccess, virtual_host: str, users: Sequence[str]
    ) -> str:
        """
        What `check` and `observe` would find, as a mark that is another one when anything of it is.

        Cheap.

        It may be some seconds old: all virtual hosts of a broker are looked at together.
        """

    async def ensure(
        self, access: BrokerAccess, virtual_host: str, resource: topology.Resource
    ) -> None:
        """Create or update *resource*."""

    async def remove_binding(
        self, access: BrokerAccess, virtual_host: str, binding: topology.BindingKey
    ) -> None:
        """Remove a binding, if it exists."""

    async def remove_policy(self, access: BrokerAccess, virtual_host: str, queue: str) -> None:
        """Remove the operator's policy of *queue*, if it exists."""

    async def remove_user(self, access: BrokerAccess, user: str) -> None:
        """Remove *user* with its permissions, if it exists; its connections are closed."""

    async def remove_virtual_host(self, access: BrokerAccess, virtual_host: str) -> None:
        """Remove *virtual_host* with everything in it, if it exists."""

    async def remove_queue_if_empty(
        self, access: BrokerAccess, virtual_host: str, queue: str
    ) -> bool:
        """Remove *queue*; False: it holds messages and stays. A missing queue counts as removed."""


class Cache(Protocol):
    """A Redis server."""

    async def check(self, url: str) -> None:
        """Whether this login gets an answer to PING."""


class Database(Protocol):
    """A PostgreSQL server."""

    async def check(self, url: str, owner: str | None = None) -> str | None:
        """
        Whether this login can use its database, and write to it.

        The installation that the database names for *owner*.

        None: it names none. Without *owner* all HealthIngests with this address share the answer
            for some seconds.
        """

    async def write_mark(self, url: str, owner: str, installation: str) -> bool:
        """
        Let the database name this installation for *owner*; a backup carries it.

        Returns False when it has the service's tables already and this login may not create another
        one. Raises `DependencyError` when it may create none though the service's are still to be
        made.
        """

    async def exists(self, admin_url: str, url: str) -> bool:
        """Whether the server of *admin_url* has the database of *url*."""

    async def provision(self, admin_url: str, url: str) -> bool:
        """
        Make the role (with this password) and the database of *url*.

        Whether anything had to be done.

        The database is owned by the role of its own name; another role becomes a member of it and
        acts as it.
        """

    async def revoke(self, admin_url: str, role: str) -> None:
        """
        Let *role* log in no more, and end its sessions; what it owns stays.

        No such role is done.
        """


class Clock(Protocol):
    """The time of day, for conditions and deadlines of deletions."""

    def now(self) -> datetime:
        """Now, aware, in UTC."""


@dataclass(frozen=True, slots=True)
class Ports:
    """
    The ports, and the settings of the operator that a reconciliation needs.

    `service_image` is the image of the operator's own release.
    """

    cluster: Cluster
    store: ObjectStore
    broker: Broker
    database: Database
    clock: Clock
    generators: Generators
    service_image: str
    rotation: Policy = field(default_factory=Policy)
    cache: Cache = field(kw_only=True)
    fingerprints: FingerprintCache = field(default_factory=FingerprintCache)
