"""
In-memory ports for the operator's core, with faults to switch on.

The fakes answer as the real systems do where the core depends on it: server-side apply keeps what
others added, the broker makes what it is told, a bucket has what was set. `tests/ports` and
`tests/cluster` run the real adapters.
"""

import base64
import copy
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from typing_extensions import override

from healthingest_contract.conditions import Reason
from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial
from healthingest_operator.adapters.rabbitmq import requests
from healthingest_operator.adapters.rabbitmq.amqp import place
from healthingest_operator.api.healthingest import Key
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.api.v1alpha1 import BrokerSecretRef, BrokerSpec, QueueSpec
from healthingest_operator.reconcile.credentials.rotation import Policy
from healthingest_operator.reconcile.errors import ClusterError, DependencyError
from healthingest_operator.reconcile.identity import database_place
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.reconcile.ports import (
    Broker,
    BrokerAccess,
    BrokerUser,
    Cache,
    Cluster,
    Database,
    ObjectStore,
    Ports,
    StoreAccess,
)
from healthingest_operator.reconcile.reconcile import reconcile
from healthingest_operator.reconcile.records import Records
from healthingest_operator.resources import bucket, topology
from healthingest_operator.resources.names import INSTANCE_LABEL
from healthingest_operator.resources.prepared_topology import PreparedHost
from healthingest_operator.resources.secrets import Generators
from healthingest_operator.status import outside_causes as causes

KEY = Key("clinic-a", "clinic")
SIGNING_KEY = "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n"


def _signing_key(number: int) -> str:
    """The first is `SIGNING_KEY`; every one has the shape of a key."""
    text = base64.b64encode(f"ABC{number or ''}".encode()).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"


def erasure_key(number: int) -> str:
    """Return the erasure key that is made after *number* others."""
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).decode()


def broker_spec(virtual_host: str, *queues: QueueSpec) -> BrokerSpec:
    """Return a broker with these queues."""
    return BrokerSpec(
        admin_secret_ref=BrokerSecretRef(name="secret"),
        virtual_host=virtual_host,
        exchange="exchange",
        queues=queues,
    )


def manifest(**spec: object) -> dict[str, Any]:
    """The smallest HealthIngest, with *spec* on top, as the cluster returns it."""
    return {
        "apiVersion": "healthingest.dev/v1alpha1",
        "kind": "HealthIngest",
        "metadata": {"namespace": KEY.namespace, "name": KEY.name, "uid": "uid-1", "generation": 1},
        "spec": {
            "objectStore": {
                "endpoint": "http://s3:7070",
                "bucket": "clinic-data",
                "credentialsSecretRef": {"name": "s3"},
            },
            "broker": {"adminSecretRef": {"name": "rabbitmq"}, "virtualHost": "clinic"},
            "database": {"secretRef": {"name": "postgres"}},
            **spec,
        },
    }


USER_SECRETS: dict[str, dict[str, str]] = {
    "s3": {"accessKeyId": "user", "secretAccessKey": "store-secret"},
    "rabbitmq": {
        "managementUrl": "http://rabbitmq:15672",
        "amqpUrl": "amqp://rabbitmq:5672",
        "username": "admin",
        "password": "broker-secret",
    },
    "postgres": {"adminUrl": "postgresql://admin:database-secret@postgres:5432/postgres"},
}


def _as_sent(found: dict[str, Any]) -> dict[str, Any]:
    """A copy, as it comes over the wire."""
    sent: dict[str, Any] = json.loads(json.dumps(found))
    return sent


def _mark(found: object) -> str:
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _merge(live: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        if isinstance(value, Mapping) and isinstance(live.get(name), dict):
            _merge(live[name], value)
        else:
            live[name] = copy.deepcopy(value)


@dataclass
class FakeCluster(Cluster):
    """Objects by kind, namespace and name; `writes` counts what was asked for."""

    objects: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """Messages of the events of type Warning."""
    migration_fails: bool = False
    going: set[str] = field(default_factory=set)
    pods_start: bool = True
    jobs_end: bool = True
    lists: int = 0
    event_lists: int = 0
    recorded: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Events of Kubernetes' own controllers, by the uid of what they are about."""
    forbidden: bool = False
    """The operator's Role in the namespace is gone."""
    unserved: set[str] = field(default_factory=set)
    """Kinds that the API server does not have."""
    denied: set[str] = field(default_factory=set)
    """Kinds that the operator's Role does not name."""
    asks_forbidden: bool = False
    """It goes while the operator asks whether the namespace goes."""

    def put(self, found: dict[str, Any]) -> None:
        """Let this object be there."""
        metadata = found["metadata"]
        self.objects[found["kind"], metadata["namespace"], metadata["name"]] = found

    def secret(self, name: str, values: Mapping[str, str]) -> None:
        """Let a user's Secret have these values."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self.put(
            {"kind": "Secret", "metadata": {"namespace": KEY.namespace, "name": name}, "data": data}
        )

    def _check_role(self, kind: str) -> None:
        if kind in self.denied:
            raise ClusterError(403, f"{kind} is forbidden")

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object, live: change it as somebody else would."""
        return self.objects[kind, KEY.namespace, name]

    def names(self, kind: str) -> list[str]:
        """Names of all objects of a kind."""
        return sorted(name for found, _, name in self.objects if found == kind)

    @override
    async def health_ingest(self, key: Key) -> dict[str, Any] | None:
        return await self.read("", "HealthIngest", key.namespace, key.name)

    @override
    async def read(
        self, api_version: str, kind: str, namespace: str, name: str
    ) -> dict[str, Any] | None:
        del api_version
        self._check()
        self._check_role(kind)
        found = self.objects.get((kind, namespace, name))
        return None if found is None else _as_sent(found)

    @override
    async def version(self, api_version: str, kind: str, namespace: str, name: str) -> str | None:
        del api_version
        self._check()
        found = self.objects.get((kind, namespace, name))
        return None if found is None else _mark(found)

    @override
    async def children(self, api_version: str, kind: str, key: Key) -> list[dict[str, Any]]:
        del api_version
        self.lists += 1
        self._check_role(kind)
        return [
            _as_sent(found)
            for (other, namespace, _), found in self.objects.items()
            if other == kind
            and namespace == key.namespace
            and found["metadata"].get("labels", {}).get(INSTANCE_LABEL) == key.name
        ]

    @override
    async def events_about(self, about: ManifestView) -> list[dict[str, Any]]:
        self.event_lists += 1
        return [event for uid, event in self.recorded if uid == about["metadata"]["uid"]]

    @override
    async def apply(self, manifest: ManifestView) -> dict[str, Any]:
        metadata = manifest["metadata"]
        self._check_role(manifest["kind"])
        if manifest["kind"] in self.unserved:
            raise ClusterError(404, "the server could not find the requested resource")
        if (
            metadata["namespace"] in self.going
            and (
                manifest["kind"],
                metadata["namespace"],
                metadata["name"],
            )
            not in self.objects
        ):
            raise ClusterError(
                403, "the namespace is being terminated", frozenset({"NamespaceTerminating"})
            )
        self.writes.append(f"apply {manifest['kind']} {metadata['name']}")
        live = self.objects.setdefault(
            (manifest["kind"], metadata["namespace"], metadata["name"]), {}
        )
        if manifest["kind"] in {"ConfigMap", "Secret"}:
            live.pop(
                "data", None
            )  # nobody else has keys in it, so those that are no longer sent go
        _merge(live, manifest)
        live["metadata"]["generation"] = live["metadata"].get("generation", 0) + 1
        live["metadata"].setdefault("uid", f"uid-{len(self.objects)}")
        return _as_sent(live)

    @override
    async def delete(self, manifest: ManifestView) -> None:
        metadata = manifest["metadata"]
        self.writes.append(f"delete {manifest['kind']} {metadata['name']}")
        self.objects.pop((manifest["kind"], metadata["namespace"], metadata["name"]), None)

    @override
    async def hand_over_replicas(self, manifest: ManifestView, replicas: int) -> None:
        self.writes.append(f"hand over {replicas}")
        self.objects["Deployment", KEY.namespace, manifest["metadata"]["name"]]["spec"][
            "replicas"
        ] = replicas

    @override
    async def set_fields(
        self, manifest: ManifestView, values: Sequence[tuple[str, object]]
    ) -> None:
        self.writes.append(f"set fields of {manifest['kind']} {manifest['metadata']['name']}")
        live = self.get(manifest["kind"], manifest["metadata"]["name"])
        for pointer, value in values:
            *way, last = pointer.split("/")[1:]
            inner: Any = live
            for step in way:
                inner = inner[int(step)] if isinstance(inner, list) else inner[step]
            inner[last] = value

    @override
    async def open_gate(self, pod: ManifestView) -> None:
        self.writes.append(f"open gate of {pod['metadata']['name']}")
        live = self.get("Pod", pod["metadata"]["name"])
        live["status"] = {
            "conditions": [{"type": "healthingest.dev/dependencies-ready", "status": "True"}]
        }

    @override
    async def write_status(self, key: Key, status: Mapping[str, Any]) -> None:
        self._check()
        self.writes.append("status")
        self.objects["HealthIngest", key.namespace, key.name]["status"] = _as_sent(dict(status))

    @override
    async def is_terminating(self, namespace: str) -> bool:
        self.forbidden |= self.asks_forbidden
        self._check()
        return namespace in self.going

    @override
    async def emit_event(self, about: ManifestView, kind: str, reason: str, message: str) -> None:
        del about
        if self.forbidden:
            return
        self.events.append((reason, message))
        if kind == "Warning":
            self.warnings.append(message)

    def _check(self) -> None:
        if self.forbidden:
            raise ClusterError(403, "forbidden")

    def settle(self) -> None:
        """What Kubernetes' own controllers would have done by now."""
        now = "2026-01-01T00:00:00Z"
        for (kind, _, _), found in self.objects.items():
            if kind == "Job" and "status" not in found and self.jobs_end:
                outcome = "Failed" if self.migration_fails else "Complete"
                found["status"] = {
                    "conditions": [{"type": outcome, "status": "True", "lastTransitionTime": now}]
                }
            if kind == "Deployment" and self.pods_start:
                count = found["spec"].get("replicas", 1)
                found["status"] = {
                    "observedGeneration": found["metadata"]["generation"],
                    "replicas": count,
                    "updatedReplicas": count,
                    "availableReplicas": count,
                }


class _Faulty:
    """Raises `fault` from every method while it is set."""

    fault: DependencyError | None = None

    def _may_fail(self) -> None:
        if self.fault is not None:
            raise self.fault


@dataclass
class FakeStore(_Faulty, ObjectStore):
    """Buckets by name."""

    buckets: dict[str, bucket.Observed] = field(default_factory=dict)
    unsupported: frozenset[bucket.Capability] = frozenset()
    full: bool = False
    erasures: bool = False
    writes: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    """Secret access keys that are worth nothing."""
    writers: set[str] = field(default_factory=set)
    """Secret access keys that may write, of those that are checked."""
    tls: list[TlsMaterial] = field(default_factory=list)
    """The certificates of each observation."""
    seen: list[StoreAccess] = field(default_factory=list)
    """The access of each request."""

    def _may_refuse(self, access: StoreAccess) -> None:
        self.seen.append(access)
        if access.secret_access_key in self.refused:
            raise DependencyError(Reason.AUTHENTICATION_FAILED, "refused")

    @override
    async def observe(
        self, access: StoreAccess, *, needs_object_lock: bool = False
    ) -> bucket.Observed | None:
        del needs_object_lock
        self.tls.append(access.tls)
        self._may_fail()
        self._may_refuse(access)
        return self.buckets.get(access.bucket)

    @override
    async def fingerprint(self, access: StoreAccess, *, needs_object_lock: bool = False) -> str:
        del needs_object_lock
        found = await self.observe(access)
        if found is None:
            raise DependencyError(Reason.REQUEST_REFUSED, "no bucket")
        return _mark(replace(found, missing=frozenset()))

    @override
    async def create(self, access: StoreAccess, *, object_lock: bool = False) -> None:
        self._may_fail()
        self.writes.append("create")
        lock = {"ObjectLockEnabled": "Enabled", "Rule": {}} if object_lock else None
        self.buckets[access.bucket] = bucket.Observed(missing=self.unsupported, object_lock=lock)

    @override
    async def carry_out(self, access: StoreAccess, step: bucket.Step) -> bool:
        self._may_fail()
        self.writes.append(str(step.capability))
        old = self.buckets[access.bucket]
        names = {
            "publicAccessBlock": "public_access_block",
            "tagging": "tags",
            "objectLock": "object_lock",
        }
        values = {name: getattr(old, name) for name in old.__slots__}
        values[names.get(str(step.capability), str(step.capability))] = step.value
        self.buckets[access.bucket] = bucket.Observed(**values)
        return True

    @override
    async def probe(self, access: StoreAccess) -> frozenset[bucket.Capability]:
        self._may_fail()
        self.seen.append(access)
        self.writes.append(f"probe {access.bucket}")
        return self.unsupported & {bucket.Capability.CHECKSUMS}

    @override
    async def check(self, access: StoreAccess) -> None:
        self._may_fail()
        self._may_refuse(access)

    @override
    async def may_write(self, reader: StoreAccess, writer: StoreAccess) -> bool:
        self._may_fail()
        self._may_refuse(writer)
        self._may_refuse(reader)
        self.writes.append(f"probe {reader.bucket} as reader")
        return reader.secret_access_key in self.writers

    @override
    async def is_empty(self, access: StoreAccess) -> bool:
        self._may_fail()
        return access.bucket in self.buckets and not self.full

    @override
    async def has_erasures(self, access: StoreAccess) -> bool:
        self._may_fail()
        return access.bucket in self.buckets and self.erasures

    @override
    async def remove(self, access: StoreAccess) -> bool:
        self._may_fail()
        if not self.full:
            self.buckets.pop(access.bucket, None)
        return not self.full


@dataclass
class FakeBroker(_Faulty, Broker):
    """What the management API would hold, by the paths of its requests."""

    things: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)
    bindings: set[tuple[str, str, str]] = field(default_factory=set)
    """Of virtual host `clinic`."""
    other_bindings: dict[str, set[tuple[str, str, str]]] = field(default_factory=dict)
    full: set[str] = field(default_factory=set)
    """Virtual hosts that take no connection."""
    log_ins: list[str] = field(default_factory=list)
    tls: list[TlsMaterial] = field(default_factory=list)
    """The certificates of each check."""
    writes: list[str] = field(default_factory=list)

    @override
    async def check(self, access: BrokerAccess) -> None:
        self.tls.append(access.tls)
        self._may_fail()

    @override
    async def log_in(self, access: BrokerAccess, virtual_host: str, login: topology.Login) -> None:
        del access
        self._may_fail()
        self.log_ins.append(login.name)
        if virtual_host in self.full:
            raise DependencyError(Reason.LIMIT_REACHED, f"virtual host {virtual_host} is full")
        if not topology.is_password(self.things["users", login.name], login.password):
            raise DependencyError(Reason.AUTHENTICATION_FAILED, "refused")

    @override
    async def observe(
        self, access: BrokerAccess, virtual_host: str, users: Sequence[str]
    ) -> topology.Observed:
        del access
        self._may_fail()
        people = {
            user: self.things["users", user] for user in users if ("users", user) in self.things
        }
        if ("vhosts", virtual_host) not in self.things:
            return topology.Observed(users=people)
        return topology.Observed(
            virtual_host=self.things["vhosts", virtual_host],
            exchanges=self._within("exchanges", virtual_host),
            queues=self._within("queues", virtual_host),
            bindings={binding: (binding[2],) for binding in self._bound(virtual_host)},
            policies=self._within("policies", virtual_host),
            users=people,
            permissions=self._within("permissions", virtual_host),
        )

    @override
    async def fingerprint(
        self, access: BrokerAccess, virtual_host: str, users: Sequence[str]
    ) -> str:
        found = await self.observe(access, virtual_host, users)
        queues = {name: {**queue, "messages": None} for name, queue in found.queues.items()}
        parts = (found.exchanges, queues, found.policies, found.users, found.permissions)
        limits = virtual_host in self.full
        return _mark(
            (
                found.virtual_host,
                sorted(found.bindings),
                [sorted(part.items()) for part in parts],
                limits,
            )
        )

    @override
    async def ensure(
        self, access: BrokerAccess, virtual_host: str, resource: topology.Resource
    ) -> None:
        del access
        self._may_fail()
        self.writes.append(resource.title)
        request = requests.ensure(virtual_host, resource)
        body = dict(request.body or {})
        if resource.kind is topology.Kind.BINDING:
            source = resource.values["source"]
            self._bound(virtual_host).add((source, resource.name, body["routing_key"]))
            return
        if resource.kind is topology.Kind.VIRTUAL_HOST:
            body["tags"] = [tag for tag in body["tags"].split(",") if tag]
        if resource.kind is topology.Kind.USER:
            salt = b"salt"
            known = salt + hashlib.sha256(salt + body.pop("password").encode()).digest()
            body["password_hash"] = base64.b64encode(known).decode()
        if resource.kind is topology.Kind.QUEUE:
            body["messages"] = 0
        self.things[request.path] = body

    @override
    async def remove_binding(
        self, access: BrokerAccess, virtual_host: str, binding: topology.BindingKey
    ) -> None:
        del access
        self._may_fail()
        self.writes.append(binding.title)
        self._bound(virtual_host).discard((binding.source, binding.queue, binding.key))

    @override
    async def remove_policy(self, access: BrokerAccess, virtual_host: str, queue: str) -> None:
        del access
        self._may_fail()
        self.writes.append(f"policy of queue {queue}")
        self.things.pop(("policies", virtual_host, f"{topology.POLICY_PREFIX}{queue}"), None)

    @override
    async def remove_user(self, access: BrokerAccess, user: str) -> None:
        del access
        self._may_fail()
        self.things.pop(("users", user), None)
        for path in [path for path in self.things if path[0] == "permissions" and path[2] == user]:
            del self.things[path]

    @override
    async def remove_virtual_host(self, access: BrokerAccess, virtual_host: str) -> None:
        del access
        self._may_fail()
        self.things.pop(("vhosts", virtual_host), None)

    @override
    async def remove_queue_if_empty(
        self, access: BrokerAccess, virtual_host: str, queue: str
    ) -> bool:
        del access
        self._may_fail()
        live = self.things.get(("queues", virtual_host, queue), {})
        if live.get("messages"):
            return False
        self.writes.append(f"remove queue {queue}")
        self.things.pop(("queues", virtual_host, queue), None)
        return True

    @override
    async def check_user(self, user: BrokerUser) -> None:
        self._may_fail()
        live = self.things.get(("users", user.username))
        if live is None or not topology.is_password(live, user.password):
            raise DependencyError.of(
                causes.USER_LOGIN, where=place(user.amqp_url), user=user.username
            )

    @override
    async def declare(
        self,
        user: BrokerUser,
        virtual_host: str,
        resources: Sequence[topology.Resource],
        *,
        create: bool,
    ) -> PreparedHost:
        await self.check_user(user)
        where = {"where": place(user.amqp_url), "user": user.username, "host": virtual_host}
        if ("vhosts", virtual_host) not in self.things:
            raise DependencyError.of(causes.PREPARED_HOST_MISSING, **where)
        rights = self.things.get(("permissions", virtual_host, user.username))
        if rights is None:
            raise DependencyError.of(causes.PREPARED_HOST_DENIED, **where)
        found: dict[str, list[str]] = {"created": [], "absent": [], "unchecked": []}
        for resource in resources:
            outcome = self._declare(virtual_host, resource, rights, create=create)
            if outcome:
                found[outcome].append(resource.title)
                self.writes += [resource.title] if outcome == "created" else []
        exchange = resources[0].name
        return PreparedHost(
            **{name: tuple(titles) for name, titles in found.items()},
            may_publish=not create or bool(re.search(rights["write"], exchange)),
        )

    def _declare(
        self,
        virtual_host: str,
        resource: topology.Resource,
        rights: Mapping[str, str],
        *,
        create: bool,
    ) -> str:
        """Return what became of a resource; empty: it exists."""
        values = resource.values
        name = resource.name
        if resource.kind is topology.Kind.BINDING:
            ends = ("queues", virtual_host, name), ("exchanges", virtual_host, values["source"])
            if not create or any(end not in self.things for end in ends):
                return ""
            may = re.search(rights["write"], name) and re.search(rights["read"], values["source"])
            if may:
                self._bound(virtual_host).add((values["source"], name, values["routing_key"]))
            return "" if may else "unchecked"
        path = (f"{resource.kind}s", virtual_host, name)
        if path in self.things:
            return ""
        letters = str((values.get("arguments") or {}).get("x-dead-letter-exchange", ""))
        may_all = re.search(rights["configure"], name) and (
            not letters or (re.search(rights["read"], name) and re.search(rights["write"], letters))
        )
        if not (create and may_all):
            return "absent"
        self.things[path] = {"type": "quorum", "messages": 0, **values}
        return "created"

    def _bound(self, virtual_host: str) -> set[tuple[str, str, str]]:
        return (
            self.bindings
            if virtual_host == "clinic"
            else self.other_bindings.setdefault(virtual_host, set())
        )

    def _within(self, kind: str, virtual_host: str) -> dict[str, dict[str, Any]]:
        return {
            path[2]: body for path, body in self.things.items() if path[:2] == (kind, virtual_host)
        }


@dataclass
class FakeDatabase(_Faulty, Database):
    """Logins that work."""

    logins: set[str] = field(default_factory=set)
    installations: dict[str, dict[str, str]] = field(default_factory=dict)
    """Installations by owner, of databases by host, port and name."""
    places: set[str] = field(default_factory=set)
    """The databases that there are, by host, port and name."""
    locked: bool = False
    """No table can be made; the service has its own already."""
    tls: list[TlsMaterial] = field(default_factory=list)
    """The certificates of each call."""

    @override
    async def write_installation(
        self, url: str, owner: str, installation: str, *, tls: TlsMaterial = NO_TLS_MATERIAL
    ) -> bool:
        self.tls.append(tls)
        self._may_fail()
        if not self.locked:
            self.installations.setdefault(database_place(url), {})[owner] = installation
        return not self.locked

    @override
    async def check(
        self, url: str, owner: str | None = None, *, tls: TlsMaterial = NO_TLS_MATERIAL
    ) -> str | None:
        self.tls.append(tls)
        self._may_fail()
        if url not in self.logins and url != USER_SECRETS["postgres"]["adminUrl"]:
            raise DependencyError(Reason.AUTHENTICATION_FAILED, "refused")
        return self.installations.get(database_place(url), {}).get(owner or "")

    @override
    async def exists(self, admin_url: str, url: str, *, tls: TlsMaterial = NO_TLS_MATERIAL) -> bool:
        del admin_url
        self.tls.append(tls)
        self._may_fail()
        return database_place(url) in self.places

    @override
    async def provision(
        self, admin_url: str, url: str, *, tls: TlsMaterial = NO_TLS_MATERIAL
    ) -> bool:
        del admin_url
        self.tls.append(tls)
        self._may_fail()
        self.places.add(database_place(url))
        user = urlsplit(url).username
        self.logins = {other for other in self.logins if urlsplit(other).username != user} | {url}
        return True

    @override
    async def revoke(
        self, admin_url: str, role: str, *, tls: TlsMaterial = NO_TLS_MATERIAL
    ) -> None:
        del admin_url
        self.tls.append(tls)
        self._may_fail()
        self.logins = {url for url in self.logins if urlsplit(url).username != role}


class FakeCache(_Faulty, Cache):
    """Answers; `tls` are the certificates of the last call."""

    tls: TlsMaterial | None = None

    @override
    async def check(self, url: str, tls: TlsMaterial = NO_TLS_MATERIAL) -> None:
        del url
        self.tls = tls
        self._may_fail()


@dataclass
class FakeClock:
    """Stands still until told."""

    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """See `Clock.now`."""
        return self.time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += timedelta(seconds=seconds)


class OperatorFakes:
    """All of it, with the user's Secrets and one HealthIngest."""

    def __init__(self, **spec: object) -> None:
        self.cluster = FakeCluster()
        self.store = FakeStore()
        self.broker = FakeBroker()
        self.database = FakeDatabase()
        self.cache = FakeCache()
        self.clock = FakeClock()
        self.policy = Policy()
        self.records = Records()
        self._passwords = iter(f"made-password-{number:032d}" for number in range(1000))
        self._keys = iter(_signing_key(number) for number in range(1000))
        self._erasure_keys = (erasure_key(number) for number in range(1000))
        for name, values in USER_SECRETS.items():
            self.cluster.secret(name, values)
        self.cluster.put(manifest(**spec))

    @property
    def ports(self) -> Ports:
        """The fakes, as the core takes them."""
        make = Generators(
            lambda: next(self._passwords),
            lambda: next(self._keys),
            lambda: next(self._erasure_keys),
        )
        return Ports(
            self.cluster,
            self.store,
            self.broker,
            self.database,
            self.clock,
            make,
            "service:1",
            self.policy,
            self.records,
            cache=self.cache,
        )

    async def reconcile(self, mode: ReconcileMode = ReconcileMode.FULL) -> Outcome:
        """Reconcile once."""
        return await reconcile(self.ports, KEY, mode)

    async def until_ready(self) -> None:
        """Reconcile and let Kubernetes' own controllers work in turn, until Ready."""
        for _ in range(6):
            outcome = await self.reconcile()
            self.cluster.settle()
            if outcome is Outcome.READY:
                return
        message = f"not ready: {self.conditions()}"
        raise AssertionError(message)

    def settings_digests(self) -> list[str]:
        """Return the digest of the settings in the pod templates of API and relay."""
        found = (self.cluster.get("Deployment", name) for name in ("clinic-api", "clinic-relay"))
        return [
            item["spec"]["template"]["metadata"]["annotations"]["healthingest.dev/settings"]
            for item in found
        ]

    def conditions(self) -> dict[str, tuple[str, str, str]]:
        """Status, reason and message of each condition."""
        status = self.cluster.get("HealthIngest", KEY.name).get("status", {})
        return {
            entry["type"]: (entry["status"], entry["reason"], entry["message"])
            for entry in status.get("conditions", ())
        }

    def forget_writes(self) -> None:
        """Count from here."""
        self.cluster.writes.clear()
        self.store.writes.clear()
        self.broker.writes.clear()

    def all_writes(self) -> list[str]:
        """Everything that was written anywhere."""
        return [*self.cluster.writes, *self.store.writes, *self.broker.writes]
