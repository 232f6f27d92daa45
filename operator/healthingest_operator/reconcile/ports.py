"""
The ports of the core: Kubernetes and the external systems.

Every method has a timeout. Without a response in time it raises `DependencyError` with reason
`Unreachable`; the cluster raises `ClusterError`. Every method may be called again with the same
arguments.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial
from healthingest_operator.api.healthingest import Key
from healthingest_operator.api.manifest import Manifest, ManifestView
from healthingest_operator.reconcile.credentials.rotation import Policy
from healthingest_operator.reconcile.records import Records
from healthingest_operator.resources import bucket, topology
from healthingest_operator.resources.prepared_topology import PreparedHost
from healthingest_operator.resources.secrets import Generators


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """
    Address and credentials of a bucket; `endpoint` None: AWS.

    Without keys the operator uses the identity of its own pod.
    """

    endpoint: str | None
    region: str
    bucket: str
    access_key_id: str | None = field(repr=False)
    secret_access_key: str | None = field(repr=False)
    tls: TlsMaterial = NO_TLS_MATERIAL

    @property
    def has_keys(self) -> bool:
        """Whether it has keys of a Secret."""
        return self.access_key_id is not None


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """Addresses and administrator's login of a broker; `amqp_url` is only scheme, host and port."""

    management_url: str
    amqp_url: str
    username: str
    password: str = field(repr=False)
    tls: TlsMaterial = NO_TLS_MATERIAL


@dataclass(frozen=True, slots=True)
class BrokerUser:
    """Address and login of a user without administrator's rights; `amqp_url` has no login."""

    amqp_url: str
    username: str
    password: str = field(repr=False)
    tls: TlsMaterial = NO_TLS_MATERIAL


class Reader(Protocol):
    """Reads single objects."""

    async def read(self, api_version: str, kind: str, namespace: str, name: str) -> Manifest | None:
        """Return one object; None: it does not exist."""


class Cluster(Reader, Protocol):
    """The Kubernetes API."""

    async def health_ingest(self, key: Key) -> Manifest | None:
        """Return the live HealthIngest; None: it does not exist."""

    async def version(self, api_version: str, kind: str, namespace: str, name: str) -> str | None:
        """
        Return a version of one object, which differs after every change of it.

        None: it does not exist.
        """

    async def children(self, api_version: str, kind: str, key: Key) -> list[Manifest]:
        """Return all objects of a kind with the labels of this HealthIngest."""

    async def events_about(self, about: ManifestView) -> list[Manifest]:
        """Return the newest events about an object: a few dozen at most, unordered."""

    async def apply(self, manifest: ManifestView) -> Manifest:
        """
        Apply the complete set of owned fields by server-side apply, with force.

        Returns the live object.
        """

    async def delete(self, manifest: ManifestView) -> None:
        """Delete an object and its dependents in the background, if it exists."""

    async def hand_over_replicas(self, manifest: ManifestView, replicas: int) -> None:
        """Move `replicas` to another field manager, so that the Deployment keeps its replicas."""

    async def set_fields(
        self, manifest: ManifestView, values: Sequence[tuple[str, object]]
    ) -> None:
        """Set existing fields of an object, each named by a JSON pointer (RFC 6901)."""

    async def open_gate(self, pod: ManifestView) -> None:
        """Set the pod's readiness gate to True."""

    async def write_status(self, key: Key, status: ManifestView) -> None:
        """Replace the status."""

    async def is_terminating(self, namespace: str) -> bool:
        """Whether this namespace is being deleted, so that nothing can be created in it."""

    async def emit_event(self, about: ManifestView, kind: str, reason: str, message: str) -> None:
        """Create an event, *kind* Normal or Warning; an error is ignored."""


class ObjectStore(Protocol):
    """An S3 server."""

    async def observe(
        self, access: StoreAccess, *, needs_object_lock: bool = False
    ) -> bucket.Observed | None:
        """
        Return the properties of the bucket; None: it does not exist.

        Unless *needs_object_lock*, the lock is unknown if these credentials may not read it.
        """

    async def fingerprint(self, access: StoreAccess, *, needs_object_lock: bool = False) -> str:
        """
        Return a fingerprint of the result of `observe`, at low cost.

        It covers the lock only if it is needed.
        """

    async def create(self, access: StoreAccess, *, object_lock: bool = False) -> None:
        """Create the bucket, unless this account has it already."""

    async def carry_out(self, access: StoreAccess, step: bucket.Step) -> bool:
        """Set a property; False: the store does not support it."""

    async def probe(self, access: StoreAccess) -> frozenset[bucket.Capability]:
        """
        Write, read and delete a small object under a reserved key.

        Returns the capabilities that are missing.
        """

    async def check(self, access: StoreAccess) -> None:
        """Check that these credentials may use the bucket; writes nothing."""

    async def may_write(self, reader: StoreAccess, writer: StoreAccess) -> bool:
        """
        Whether *reader* may write objects; nothing of it is stored.

        It reads a small object that *writer* puts under a reserved key and deletes. Raises
        `DependencyError` if it may not read it.
        """

    async def is_empty(self, access: StoreAccess) -> bool:
        """Whether the bucket has no object, except that of `probe`."""

    async def has_erasures(self, access: StoreAccess) -> bool:
        """Whether the bucket has a record of an erasure, which only its erasure key can read."""

    async def remove(self, access: StoreAccess) -> bool:
        """
        Delete the bucket; False: it holds objects and is kept.

        A missing bucket counts as deleted.
        """


class Broker(Protocol):
    """A RabbitMQ broker: its management API and its AMQP port."""

    async def check(self, access: BrokerAccess) -> None:
        """
        Check that the user is an administrator, AMQP responds, and no alarm blocks publishing.

        All HealthIngests on a broker share the result for some seconds.
        """

    async def log_in(self, access: BrokerAccess, virtual_host: str, login: topology.Login) -> None:
        """
        Open a connection and a channel as the service does, and close them again.

        Raises `DependencyError` if the broker refuses the user: a limit, a stopped virtual host, or
        another authentication backend.
        """

    async def observe(
        self, access: BrokerAccess, virtual_host: str, users: Sequence[str]
    ) -> topology.Observed:
        """Return the content of the virtual host, and these *users*."""

    async def fingerprint(
        self, access: BrokerAccess, virtual_host: str, users: Sequence[str]
    ) -> str:
        """
        Return a fingerprint of the results of `check` and `observe`, at low cost.

        It may be some seconds old, because all virtual hosts of a broker are read together.
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
        """Remove *queue*; False: it holds messages and is kept. A missing one counts as removed."""

    async def check_user(self, user: BrokerUser) -> None:
        """
        Check that AMQP responds and the broker accepts the login of *user*.

        All HealthIngests with this login share the result for some seconds.
        """

    async def declare(
        self,
        user: BrokerUser,
        virtual_host: str,
        resources: Sequence[topology.Resource],
        *,
        create: bool,
    ) -> PreparedHost:
        """
        Check the exchanges, queues and bindings of a virtual host over AMQP, as *user*.

        With *create* those that are missing are declared, as far as *user* may, and permission to
        publish is checked. The first of *resources* is the exchange to which the service publishes.
        Raises `DependencyError` if *user* may not use the virtual host.
        """


class Cache(Protocol):
    """A Redis server."""

    async def check(self, url: str, tls: TlsMaterial = NO_TLS_MATERIAL) -> None:
        """Check that the server responds to PING with this login."""


class Database(Protocol):
    """A PostgreSQL server; *tls* are the certificates of the connection."""

    async def check(
        self, url: str, owner: str | None = None, *, tls: TlsMaterial = NO_TLS_MATERIAL
    ) -> str | None:
        """
        Return the installation that the database names for *owner*; None: it names none.

        It succeeds only if this login can use the database and write to it. Without *owner* all
        HealthIngests with this address share the result for some seconds.
        """

    async def write_installation(
        self, url: str, owner: str, installation: str, *, tls: TlsMaterial = NO_TLS_MATERIAL
    ) -> bool:
        """
        Store the installation of *owner* in the database; a backup contains it.

        Returns False if the service's tables exist and this login may not create another one.
        Raises `DependencyError` if it may not create tables and the service's do not exist yet.
        """

    async def exists(self, admin_url: str, url: str, *, tls: TlsMaterial = NO_TLS_MATERIAL) -> bool:
        """Whether the server of *admin_url* has the database of *url*."""

    async def provision(
        self, admin_url: str, url: str, *, tls: TlsMaterial = NO_TLS_MATERIAL
    ) -> bool:
        """
        Create the role (with this password) and the database of *url*.

        Returns whether anything was changed. The database is owned by the role of its own name;
        another role becomes a member of that role.
        """

    async def revoke(
        self, admin_url: str, role: str, *, tls: TlsMaterial = NO_TLS_MATERIAL
    ) -> None:
        """
        Forbid *role* to log in, and end its sessions; its objects are kept.

        A missing role counts as revoked.
        """


class Clock(Protocol):
    """The current time, for conditions and deadlines of deletions."""

    def now(self) -> datetime:
        """Return the current time in UTC, with time zone."""


@dataclass(frozen=True, slots=True)
class Ports:
    """
    The ports, and the operator's settings that a reconciliation needs.

    `service_image` is the image of the operator's release.
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
    records: Records = field(default_factory=Records)
