"""
A world for the operator's core: in-memory ports with faults to switch on.

The fakes answer as the real systems do where the core depends on it: server-side apply keeps what
others added, the broker makes what it is told, a bucket has what was set. `tests/ports` and
`tests/cluster` run the real adapters.
"""

import base64
import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from healthingest_contract.conditions import Reason
from healthingest_operator.api.healthingest import Key
from healthingest_operator.api.v1alpha1 import BrokerSpec, QueueSpec, SecretRef
from healthingest_operator.reconcile.converge import Look, Outcome, World, converge
from healthingest_operator.reconcile.errors import ClusterError, DependencyError
from healthingest_operator.reconcile.glance import Memory
from healthingest_operator.reconcile.identity import database_place
from healthingest_operator.reconcile.ports import BrokerAccess, Manifest, StoreAccess
from healthingest_operator.resources import bucket, topology
from healthingest_operator.resources.names import INSTANCE_LABEL
from healthingest_operator.resources.rotation import Policy
from healthingest_operator.resources.secrets import Generators

KEY = Key("clinic-a", "clinic")
SIGNING_KEY = "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n"


def _signing_key(number: int) -> str:
    """The first is `SIGNING_KEY`; every one has the shape of a key."""
    text = base64.b64encode(f"ABC{number or ''}".encode()).decode()
    return f"-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"


def broker_spec(virtual_host: str, *queues: QueueSpec) -> BrokerSpec:
    """Return a broker with these queues."""
    return BrokerSpec(
        admin_secret_ref=SecretRef(name="secret"),
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
class FakeCluster:
    """Objects by kind, namespace and name; `writes` counts what was asked for."""

    objects: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)
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

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object, live: change it as somebody else would."""
        return self.objects[kind, KEY.namespace, name]

    def names(self, kind: str) -> list[str]:
        """Names of all objects of a kind."""
        return sorted(name for found, _, name in self.objects if found == kind)

    async def health_ingest(self, key: Key) -> dict[str, Any] | None:
        """See `Cluster.health_ingest`."""
        return await self.read("", "HealthIngest", key.namespace, key.name)

    async def read(
        self, api_version: str, kind: str, namespace: str, name: str
    ) -> dict[str, Any] | None:
        """See `Cluster.read`."""
        del api_version
        self._check()
        found = self.objects.get((kind, namespace, name))
        return None if found is None else _as_sent(found)

    async def version(self, api_version: str, kind: str, namespace: str, name: str) -> str | None:
        """See `Cluster.version`."""
        del api_version
        self._check()
        found = self.objects.get((kind, namespace, name))
        return None if found is None else _mark(found)

    async def children(self, api_version: str, kind: str, key: Key) -> list[dict[str, Any]]:
        """See `Cluster.children`."""
        del api_version
        self.lists += 1
        return [
            _as_sent(found)
            for (other, namespace, _), found in self.objects.items()
            if other == kind
            and namespace == key.namespace
            and found["metadata"].get("labels", {}).get(INSTANCE_LABEL) == key.name
        ]

    async def events_about(self, about: Manifest) -> list[dict[str, Any]]:
        """See `Cluster.events_about`."""
        self.event_lists += 1
        return [event for uid, event in self.recorded if uid == about["metadata"]["uid"]]

    async def apply(self, manifest: Manifest) -> dict[str, Any]:
        """See `Cluster.apply`."""
        metadata = manifest["metadata"]
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

    async def delete(self, manifest: Manifest) -> None:
        """See `Cluster.delete`."""
        metadata = manifest["metadata"]
        self.writes.append(f"delete {manifest['kind']} {metadata['name']}")
        self.objects.pop((manifest["kind"], metadata["namespace"], metadata["name"]), None)

    async def hand_over_replicas(self, manifest: Manifest, replicas: int) -> None:
        """See `Cluster.hand_over_replicas`."""
        self.writes.append(f"hand over {replicas}")
        self.objects["Deployment", KEY.namespace, manifest["metadata"]["name"]]["spec"][
            "replicas"
        ] = replicas

    async def set_fields(self, manifest: Manifest, values: Sequence[tuple[str, object]]) -> None:
        """See `Cluster.set_fields`."""
        self.writes.append(f"set fields of {manifest['kind']} {manifest['metadata']['name']}")
        live = self.get(manifest["kind"], manifest["metadata"]["name"])
        for pointer, value in values:
            *way, last = pointer.split("/")[1:]
            inner: Any = live
            for step in way:
                inner = inner[int(step)] if isinstance(inner, list) else inner[step]
            inner[last] = value

    async def open_gate(self, pod: Manifest) -> None:
        """See `Cluster.open_gate`."""
        self.writes.append(f"open gate of {pod['metadata']['name']}")
        live = self.get("Pod", pod["metadata"]["name"])
        live["status"] = {
            "conditions": [{"type": "healthingest.dev/dependencies-ready", "status": "True"}]
        }

    async def write_status(self, key: Key, status: Mapping[str, Any]) -> None:
        """See `Cluster.write_status`."""
        self._check()
        self.writes.append("status")
        self.objects["HealthIngest", key.namespace, key.name]["status"] = _as_sent(dict(status))

    async def is_going(self, namespace: str) -> bool:
        """See `Cluster.is_going`."""
        self.forbidden |= self.asks_forbidden
        self._check()
        return namespace in self.going

    async def tell(self, about: Manifest, kind: str, reason: str, message: str) -> None:
        """See `Cluster.tell`."""
        del about, kind
        if self.forbidden:
            return
        self.events.append((reason, message))

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
class FakeStore(_Faulty):
    """Buckets by name."""

    buckets: dict[str, bucket.Observed] = field(default_factory=dict)
    unsupported: frozenset[bucket.Capability] = frozenset()
    full: bool = False
    writes: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    """Secret access keys that are worth nothing."""

    def _may_refuse(self, access: StoreAccess) -> None:
        if access.secret_access_key in self.refused:
            raise DependencyError(Reason.AUTHENTICATION_FAILED, "refused")

    async def observe(self, access: StoreAccess) -> bucket.Observed | None:
        """See `ObjectStore.observe`."""
        self._may_fail()
        self._may_refuse(access)
        return self.buckets.get(access.bucket)

    async def fingerprint(self, access: StoreAccess) -> str:
        """See `ObjectStore.fingerprint`."""
        found = await self.observe(access)
        if found is None:
            raise DependencyError(Reason.REQUEST_REFUSED, "no bucket")
        return _mark(replace(found, missing=frozenset()))

    async def create(self, access: StoreAccess) -> None:
        """See `ObjectStore.create`."""
        self._may_fail()
        self.writes.append("create")
        self.buckets[access.bucket] = bucket.Observed(missing=self.unsupported)

    async def carry_out(self, access: StoreAccess, step: bucket.Step) -> bool:
        """See `ObjectStore.carry_out`."""
        self._may_fail()
        self.writes.append(str(step.capability))
        old = self.buckets[access.bucket]
        names = {"publicAccessBlock": "public_access_block", "tagging": "tags"}
        values = {name: getattr(old, name) for name in old.__slots__}
        values[names.get(str(step.capability), str(step.capability))] = step.value
        self.buckets[access.bucket] = bucket.Observed(**values)
        return True

    async def probe(self, access: StoreAccess) -> frozenset[bucket.Capability]:
        """See `ObjectStore.probe`."""
        self._may_fail()
        self.writes.append(f"probe {access.bucket}")
        return self.unsupported & {bucket.Capability.CHECKSUMS}

    async def check(self, access: StoreAccess) -> None:
        """See `ObjectStore.check`."""
        self._may_fail()
        self._may_refuse(access)

    async def is_empty(self, access: StoreAccess) -> bool:
        """See `ObjectStore.is_empty`."""
        self._may_fail()
        return access.bucket in self.buckets and not self.full

    async def remove(self, access: StoreAccess) -> bool:
        """See `ObjectStore.remove`."""
        self._may_fail()
        if not self.full:
            self.buckets.pop(access.bucket, None)
        return not self.full


@dataclass
class FakeBroker(_Faulty):
    """What the management API would hold."""

    things: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)
    bindings: set[tuple[str, str, str]] = field(default_factory=set)
    """Of virtual host `clinic`."""
    other_bindings: dict[str, set[tuple[str, str, str]]] = field(default_factory=dict)
    full: set[str] = field(default_factory=set)
    """Virtual hosts that take no connection."""
    log_ins: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)

    async def check(self, access: BrokerAccess) -> None:
        """See `Broker.check`."""
        del access
        self._may_fail()

    async def log_in(self, access: BrokerAccess, virtual_host: str, login: topology.Login) -> None:
        """See `Broker.log_in`."""
        del access
        self._may_fail()
        self.log_ins.append(login.name)
        if virtual_host in self.full:
            raise DependencyError(Reason.LIMIT_REACHED, f"virtual host {virtual_host} is full")
        if not topology.is_password(self.things["users", login.name], login.password):
            raise DependencyError(Reason.AUTHENTICATION_FAILED, "refused")

    async def observe(
        self, access: BrokerAccess, virtual_host: str, users: Sequence[str]
    ) -> topology.Observed:
        """See `Broker.observe`."""
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

    async def fingerprint(
        self, access: BrokerAccess, virtual_host: str, users: Sequence[str]
    ) -> str:
        """See `Broker.fingerprint`."""
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

    async def carry_out(self, access: BrokerAccess, call: topology.Call) -> None:
        """See `Broker.carry_out`."""
        del access
        self._may_fail()
        self.writes.append(call.what)
        body = dict(call.body)
        if call.method == "DELETE":
            if call.path[0] == "bindings":
                self._bound(call.path[1]).discard((call.path[3], call.path[5], call.path[6]))
            self.things.pop(call.path, None)
            return
        if call.path[0] == "bindings":
            self._bound(call.path[1]).add((call.path[3], call.path[5], body["routing_key"]))
            return
        if call.path[0] == "vhosts":
            body["tags"] = [tag for tag in body["tags"].split(",") if tag]
        if call.path[0] == "users":
            salt = b"salt"
            known = salt + hashlib.sha256(salt + body.pop("password").encode()).digest()
            body["password_hash"] = base64.b64encode(known).decode()
        if call.path[0] == "queues":
            body["messages"] = 0
        self.things[call.path] = body

    async def remove(self, access: BrokerAccess, path: Sequence[str]) -> None:
        """See `Broker.remove`."""
        del access
        self._may_fail()
        self.things.pop(tuple(path), None)
        if path[0] == "users":  # with its permissions everywhere
            gone = [
                other for other in self.things if other[0] == "permissions" and other[2] == path[1]
            ]
            for other in gone:
                del self.things[other]

    async def remove_if_empty(self, access: BrokerAccess, virtual_host: str, queue: str) -> bool:
        """See `Broker.remove_if_empty`."""
        del access
        self._may_fail()
        live = self.things.get(("queues", virtual_host, queue), {})
        if live.get("messages"):
            return False
        self.writes.append(f"remove queue {queue}")
        self.things.pop(("queues", virtual_host, queue), None)
        return True

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
class FakeDatabase(_Faulty):
    """Logins that work."""

    logins: set[str] = field(default_factory=set)
    marks: dict[str, dict[str, str]] = field(default_factory=dict)
    """Installations by owner, of databases by host, port and name."""
    places: set[str] = field(default_factory=set)
    """The databases that there are, by host, port and name."""
    locked: bool = False
    """No table can be made; the service has its own already."""

    async def write_mark(self, url: str, owner: str, installation: str) -> bool:
        """See `Database.write_mark`."""
        self._may_fail()
        if not self.locked:
            self.marks.setdefault(database_place(url), {})[owner] = installation
        return not self.locked

    async def check(self, url: str, owner: str | None = None) -> str | None:
        """See `Database.check`."""
        self._may_fail()
        if url not in self.logins and url != USER_SECRETS["postgres"]["adminUrl"]:
            raise DependencyError(Reason.AUTHENTICATION_FAILED, "refused")
        return self.marks.get(database_place(url), {}).get(owner or "")

    async def exists(self, admin_url: str, url: str) -> bool:
        """See `Database.exists`."""
        del admin_url
        self._may_fail()
        return database_place(url) in self.places

    async def provision(self, admin_url: str, url: str) -> bool:
        """See `Database.provision`."""
        del admin_url
        self._may_fail()
        self.places.add(database_place(url))
        user = urlsplit(url).username
        self.logins = {other for other in self.logins if urlsplit(other).username != user} | {url}
        return True

    async def revoke(self, admin_url: str, role: str) -> None:
        """See `Database.revoke`."""
        del admin_url
        self._may_fail()
        self.logins = {url for url in self.logins if urlsplit(url).username != role}


class FakeCache(_Faulty):
    """Answers."""

    async def check(self, url: str) -> None:
        """See `Cache.check`."""
        del url
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


class FakeWorld:
    """All of it, with the user's Secrets and one HealthIngest."""

    def __init__(self, **spec: object) -> None:
        self.cluster = FakeCluster()
        self.store = FakeStore()
        self.broker = FakeBroker()
        self.database = FakeDatabase()
        self.cache = FakeCache()
        self.clock = FakeClock()
        self.policy = Policy()
        self.memory = Memory()
        self._passwords = iter(f"made-password-{number:032d}" for number in range(1000))
        self._keys = iter(_signing_key(number) for number in range(1000))
        for name, values in USER_SECRETS.items():
            self.cluster.secret(name, values)
        self.cluster.put(manifest(**spec))

    @property
    def ports(self) -> World:
        """The world as the core takes it."""
        make = Generators(lambda: next(self._passwords), lambda: next(self._keys))
        return World(
            self.cluster,
            self.store,
            self.broker,
            self.database,
            self.clock,
            make,
            "service:1",
            self.policy,
            self.memory,
            cache=self.cache,
        )

    async def converge(self, look: Look = Look.COMPLETE) -> Outcome:
        """One pass."""
        return await converge(self.ports, KEY, look)

    async def until_ready(self) -> None:
        """Passes and Kubernetes' own work in turn, until nothing is left to do."""
        for _ in range(6):
            outcome = await self.converge()
            self.cluster.settle()
            if outcome is Outcome.READY:
                return
        message = f"not ready: {self.conditions()}"
        raise AssertionError(message)

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
