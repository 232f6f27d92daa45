"""
Faults of a HealthIngest, and the cause that each must be explained by.

The status of each is the operator's own: its reconciliation runs on fakes with the fault. What lies
outside of the status (operator, Lease, pause, deletion) is changed on the API server.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from healthingest_contract.stop_causes import StopCause, stop_line
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import BrokerAccess
from healthingest_operator.resources import topology
from healthingest_operator.resources.bucket import Capability
from healthingest_operator.status import identity_causes, outside_causes
from healthingest_operator.status.causes import Cause
from healthingest_operator.status.connection_causes import ConnectionFailure
from support.operator_fakes import KEY, OperatorFakes, manifest

Seed = Callable[[OperatorFakes], Awaitable[None]]
QUOTA: Final = (
    'pods "p" is forbidden: exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0'
)


@dataclass(frozen=True)
class SeededFault:
    """
    A fault and its explanation.

    `seed` makes the status, by reconciliations on fakes. `reason` and `text` are of the cause;
    `where` is its object. `consequences` are condition types that must be called consequences, and
    `others` condition types that must be called independent. `cluster` names a change of the
    cluster in `tests/cluster/test_plugin_explain.py`.
    """

    name: str
    seed: Seed
    reason: str
    text: str
    where: str = ""
    consequences: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    cluster: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)


def fault(cause: Cause, **values: object) -> DependencyError:
    """Return the error of an adapter that has found *cause*."""
    return DependencyError.of(cause, **values)


async def ready(fakes: OperatorFakes) -> None:
    """Reconcile until it is Ready."""
    await fakes.until_ready()


async def never(fakes: OperatorFakes) -> None:
    """No operator has reconciled it."""
    del fakes


def failing(port: str, cause: Cause, **values: object) -> Seed:
    """Return the seed of a dependency that fails after everything was ready."""

    async def seed(fakes: OperatorFakes) -> None:
        await fakes.until_ready()
        getattr(fakes, port).fault = fault(cause, **values)
        await fakes.reconcile()

    return seed


def failing_from_the_start(port: str, cause: Cause, **values: object) -> Seed:
    """Return the seed of a dependency that has never worked."""

    async def seed(fakes: OperatorFakes) -> None:
        getattr(fakes, port).fault = fault(cause, **values)
        await fakes.reconcile()

    return seed


def secret(name: str, values: dict[str, str] | None) -> Seed:
    """Return the seed of a Secret with *values*; None: it does not exist."""

    async def seed(fakes: OperatorFakes) -> None:
        if values is None:
            del fakes.cluster.objects["Secret", KEY.namespace, name]
        else:
            fakes.cluster.secret(name, values)
        await fakes.reconcile()

    return seed


def pods(component: str, status: dict[str, Any], *, then: Seed | None = None) -> Seed:
    """Return the seed of a Deployment whose only pod has *status*."""

    async def seed(fakes: OperatorFakes) -> None:
        await fakes.until_ready()
        deployment = fakes.cluster.get("Deployment", f"{KEY.name}-{component}")
        deployment["status"]["availableReplicas"] = 0
        add_pod(fakes, deployment, component, status)
        if then is not None:
            await then(fakes)
        await fakes.reconcile()

    return seed


def migration(status: dict[str, Any]) -> Seed:
    """Return the seed of a migration whose pod has *status*."""

    async def seed(fakes: OperatorFakes) -> None:
        fakes.cluster.jobs_end = False
        await fakes.reconcile()
        (name,) = fakes.cluster.names("Job")
        add_pod(fakes, fakes.cluster.get("Job", name), "migrate", status)
        await fakes.reconcile()

    return seed


def add_pod(
    fakes: OperatorFakes, owner: dict[str, Any], component: str, status: dict[str, Any]
) -> None:
    """Add a pod of *owner*."""
    metadata = {
        "namespace": KEY.namespace,
        "name": f"{owner['metadata']['name']}-x",
        "labels": {
            "app.kubernetes.io/name": "healthingest",
            "app.kubernetes.io/instance": KEY.name,
            "app.kubernetes.io/component": component,
        },
        "ownerReferences": [{"uid": owner["metadata"]["uid"], "kind": owner["kind"], "name": "o"}],
    }
    fakes.cluster.put({"kind": "Pod", "metadata": metadata, "status": status})


def container(state: dict[str, Any], name: str = "api", **more: object) -> dict[str, Any]:
    """Return the status of a pod with one container."""
    entry = {"name": name, "image": "registry.example/service:1", "state": state, **more}
    return {"phase": "Pending", "containerStatuses": [entry]}


def crashed(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    """Return the status of a pod whose container ends again and again."""
    ended = {"exitCode": code, "message": message, "reason": reason}
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    return container(state, lastState={"terminated": ended})


async def _store_and_image(fakes: OperatorFakes) -> None:
    fakes.store.fault = fault(outside_causes.STORE_LOGIN, where="s3:7070")


def _database_goes(cause: Cause, **values: object) -> Seed:
    async def seed(fakes: OperatorFakes) -> None:
        fakes.database.fault = fault(cause, **values)

    return seed


async def _invalid(fakes: OperatorFakes) -> None:
    fakes.cluster.put(manifest(limits={"uploads": "often"}))
    await fakes.reconcile()


async def _migration_runs(fakes: OperatorFakes) -> None:
    fakes.cluster.jobs_end = False
    await fakes.reconcile()


async def _lacks_encryption(fakes: OperatorFakes) -> None:
    fakes.store.unsupported = frozenset({Capability.ENCRYPTION})
    await fakes.reconcile()


async def _topology_conflict(fakes: OperatorFakes) -> None:
    await fakes.until_ready()
    exchange = fakes.broker.things["exchanges", "clinic", "health_data_exchange"]
    exchange["type"] = "fanout"
    await fakes.reconcile()


async def _refused_pods(fakes: OperatorFakes) -> None:
    await fakes.until_ready()
    status = fakes.cluster.get("Deployment", f"{KEY.name}-api")["status"]
    status["availableReplicas"] = 0
    refused = {"type": "ReplicaFailure", "status": "True", "message": QUOTA}
    status["conditions"] = [refused]
    await fakes.reconcile()


async def _no_replicas(fakes: OperatorFakes) -> None:
    for _ in range(3):
        await fakes.reconcile()
        fakes.cluster.settle()


async def _no_progress(fakes: OperatorFakes) -> None:
    await fakes.until_ready()
    status = fakes.cluster.get("Deployment", f"{KEY.name}-api")["status"]
    status["availableReplicas"] = 0
    status["conditions"] = [{"type": "Progressing", "status": "False"}]
    await fakes.reconcile()


async def _broker_and_relay(fakes: OperatorFakes) -> None:
    fakes.broker.fault = fault(
        outside_causes.AMQP[ConnectionFailure.SILENT], where="broker.example:5672"
    )


async def _foreign_service(fakes: OperatorFakes) -> None:
    metadata = {"namespace": KEY.namespace, "name": KEY.name, "uid": "other", "labels": {}}
    fakes.cluster.put({"kind": "Service", "metadata": metadata})
    await fakes.reconcile()


async def _prepared_without_queue(fakes: OperatorFakes) -> None:
    things = fakes.broker.things
    resource = topology.Resource(topology.Kind.USER, "team", "user", {"password": "word"})
    access = BrokerAccess("http://rabbitmq:15672", "amqp://rabbitmq:5672", "admin", "word")
    await fakes.broker.ensure(access, "clinic", resource)
    things["vhosts", "clinic"] = {"tags": []}
    exchange = "health_data_exchange"
    things["exchanges", "clinic", exchange] = {"type": "topic"}
    rights = {"configure": "^$", "write": f"^{exchange}$", "read": "^$"}
    things["permissions", "clinic", "team"] = rights
    values = {"amqpUrl": "amqp://rabbitmq:5672", "username": "team", "password": "word"}
    fakes.cluster.secret("relay", values)
    await fakes.reconcile()


async def _no_names(fakes: OperatorFakes) -> None:
    await fakes.until_ready()
    unknown = ConnectionFailure.UNKNOWN_NAME
    fakes.store.fault = fault(outside_causes.STORE[unknown], where="s3.example.com:443")
    fakes.broker.fault = fault(outside_causes.MANAGEMENT[unknown], where="mq.example.com:15672")
    fakes.database.fault = fault(outside_causes.DATABASE[unknown], where="db.example.com:5432")
    await fakes.reconcile()


_SILENT: Final = ConnectionFailure.SILENT
_TOPOLOGY: Final = frozenset({"TopologyReady"})
_WORKLOAD: Final = frozenset({"WorkloadAvailable"})
_RUNNING_RELAY: Final = container({"running": {}}, "relay", ready=False, started=True)

FAULTS: Final = (
    SeededFault("invalid spec", _invalid, "InvalidSpec", "limits.uploads", "HealthIngest"),
    SeededFault(
        "a Secret that does not exist", secret("postgres", None), "SecretNotFound",
        "Secret {space}/postgres does not exist", "Secret {space}/postgres",
        frozenset({"DatabaseReady", "WorkloadAvailable"}),
    ),
    SeededFault(
        "a Secret without a key", secret("s3", {"accessKeyId": "a"}), "SecretKeyMissing",
        "no key secretAccessKey", "Secret {space}/s3", frozenset({"BucketReady"}),
    ),
    SeededFault(
        "a Secret with a wrong value", secret("postgres", {"url": "nonsense"}),
        "SecretValueInvalid", "key url of Secret", "Secret {space}/postgres",
        frozenset({"DatabaseReady"}),
    ),
    SeededFault(
        "a wrong access key", failing("store", outside_causes.STORE_LOGIN, where="s3:7070"),
        "AuthenticationFailed", "refuses the access key",
    ),
    SeededFault(
        "an unknown host of the object store",
        failing("store", outside_causes.STORE[ConnectionFailure.UNKNOWN_NAME],
                where="s3.example.com:443"),
        "NameNotFound", "s3.example.com:443",
    ),
    SeededFault(
        "an untrusted certificate of the object store",
        failing("store", outside_causes.STORE[ConnectionFailure.UNTRUSTED], where="s3:443"),
        "CertificateUntrusted", "certificate of s3:443 is not signed by a trusted",
    ),
    SeededFault(
        "an expired certificate of the broker",
        failing("broker", outside_causes.MANAGEMENT[ConnectionFailure.EXPIRED], where="mq:15671"),
        "CertificateExpired", "certificate of mq:15671", "", _TOPOLOGY,
    ),
    SeededFault(
        "a certificate of the database for another host",
        failing("database", outside_causes.DATABASE[ConnectionFailure.NAME_MISMATCH],
                where="db:5432"),
        "CertificateNameMismatch", "certificate of db:5432 is for another host name",
    ),
    SeededFault(
        "a bucket of another account",
        failing_from_the_start("store", outside_causes.BUCKET_TAKEN, where="s3:7070", bucket="b"),
        "BucketTaken", "belongs to another account", "", _WORKLOAD,
    ),
    SeededFault(
        "a store without encryption", _lacks_encryption, "CapabilityMissing", "lacks encryption",
        spec={"objectStore": {
            "bucket": "clinic-data", "endpoint": "http://s3:7070",
            "credentialsSecretRef": {"name": "s3"}, "encryption": {"policy": "Required"},
        }},
    ),
    SeededFault(
        "a bucket with objects of others",
        failing_from_the_start("store", identity_causes.BUCKET_FOREIGN, place="s3:7070/data"),
        "ResourceConflict", "has no tag of this HealthIngest",
    ),
    SeededFault(
        "a prepared virtual host without its queue", _prepared_without_queue,
        "TopologyIncomplete", "virtual host clinic lacks", "", _WORKLOAD,
        spec={"broker": {"userSecretRef": {"name": "relay"}, "virtualHost": "clinic"}},
    ),
    SeededFault(
        "a wrong login of the broker's administrator",
        failing("broker", outside_causes.MANAGEMENT_LOGIN, where="mq:15672", user="admin"),
        "AuthenticationFailed", "refuses user admin", "", _TOPOLOGY,
    ),
    SeededFault(
        "a broker whose Service has no endpoint",
        failing("broker", outside_causes.MANAGEMENT[ConnectionFailure.REFUSED],
                where=f"broker.{KEY.namespace}.svc:15672"),
        "ServiceWithoutEndpoints", "Service {space}/broker has no ready endpoint",
        "Service {space}/broker", _TOPOLOGY, cluster="empty Service broker",
    ),
    SeededFault(
        "an alarm of the broker",
        failing("broker", outside_causes.BROKER_ALARM, where="mq:15672", alarms="disk"),
        "BrokerBlocked", "has an alarm (disk)", "", _TOPOLOGY,
    ),
    SeededFault(
        "too many connections to the broker",
        failing("broker", outside_causes.CONNECTION_LIMIT, where="mq:5672", user="u", host="h",
                limit="5"),
        "LimitReached", "a connection limit is reached", "", _TOPOLOGY,
    ),
    SeededFault(
        "an exchange of another type", _topology_conflict, "TopologyConflict",
        "health_data_exchange",
    ),
    SeededFault(
        "a wrong login of the database",
        failing("database", outside_causes.DATABASE_LOGIN, where="db.example.com:5432", user="u"),
        "AuthenticationFailed", "refuses user u",
    ),
    SeededFault(
        "a database whose Service does not exist",
        failing("database", outside_causes.DATABASE[ConnectionFailure.UNKNOWN_NAME],
                where=f"postgres.{KEY.namespace}.svc:5432"),
        "ServiceMissing", "Service {space}/postgres does not exist", "Service {space}/postgres",
    ),
    SeededFault(
        "a read-only database",
        failing("database", outside_causes.DATABASE_READ_ONLY, where="db.example.com:5432",
                why="it is a standby"),
        "DatabaseReadOnly", "is read-only (it is a standby)",
    ),
    SeededFault(
        "a database that starts",
        failing("database", outside_causes.DATABASE_STARTING, where="db.example.com:5432"),
        "Unreachable", "is starting, stopping or recovering",
    ),
    SeededFault(
        "another database than before",
        failing("database", identity_causes.DATABASE_REPLACED, place="db:5432/x", found="empty"),
        "DatabaseReplaced", "is not the one that this HealthIngest has used",
    ),
    SeededFault(
        "a migration that fails", migration(crashed(1)), "MigrationFailed", "exit code 1",
        "Pod {space}/", _WORKLOAD,
    ),
    SeededFault(
        "a migration that runs", _migration_runs, "MigrationRunning", "migrates the database",
        "Job {space}/clinic-migrate-", _WORKLOAD,
    ),
    SeededFault(
        "a schema of a later version",
        migration(crashed(1, stop_line(StopCause.SCHEMA_UNKNOWN))), "SchemaUnknown",
        "does not know the schema's revision", "Pod {space}/", _WORKLOAD,
    ),
    SeededFault(
        "an image that does not exist",
        pods("api", container({"waiting": {"reason": "ErrImagePull", "message": "not found"}})),
        "ImagePullFailed", "no such image or tag", "Pod {space}/clinic-api-x",
    ),
    SeededFault(
        "a quota that is used up", _refused_pods, "QuotaExceeded", "ResourceQuota small",
        "Deployment {space}/clinic-api",
    ),
    SeededFault(
        "no room on any node",
        pods("api", {"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient memory.",
        }]}),
        "PodUnschedulable", "Insufficient memory", "Pod {space}/clinic-api-x",
    ),
    SeededFault(
        "a container that ends again and again", pods("api", crashed(3)), "CrashLooping",
        "exit code 3", "Pod {space}/clinic-api-x",
    ),
    SeededFault(
        "a container without memory", pods("api", crashed(137, reason="OOMKilled")),
        "CrashLooping", "killed at its memory limit", "Pod {space}/clinic-api-x",
    ),
    SeededFault(
        "a setting that the service refuses",
        pods("relay", crashed(78, stop_line(StopCause.SETTINGS_REFUSED))), "CrashLooping",
        "refuses its settings", "Pod {space}/clinic-relay-x",
    ),
    SeededFault(
        "pods that crash because the database is gone",
        pods("api", crashed(1), then=_database_goes(
            outside_causes.DATABASE[_SILENT], where="db.example.com:5432")),
        "Unreachable", "db.example.com:5432 does not answer in time", "", _WORKLOAD,
    ),
    SeededFault(
        "a relay that announces nothing because the broker is gone",
        pods("relay", _RUNNING_RELAY, then=_broker_and_relay),
        "Unreachable", "broker.example:5672 does not answer", "", _TOPOLOGY | _WORKLOAD,
    ),
    SeededFault(
        "a relay that announces nothing though the broker works", pods("relay", _RUNNING_RELAY),
        "AnnouncementsStalled", "has confirmed no message for a while",
        "Pod {space}/clinic-relay-x",
    ),
    SeededFault(
        "two faults at once",
        pods("api", container({"waiting": {"reason": "ErrImagePull", "message": "not found"}}),
             then=_store_and_image),
        "AuthenticationFailed", "refuses the access key", others=_WORKLOAD,
    ),
    SeededFault(
        "no replicas", _no_replicas, "ScaledToZero", "has 0 replicas",
        "Deployment {space}/clinic-api",
        spec={"replicas": 0},
    ),
    SeededFault(
        "a rollout without progress", _no_progress, "RolloutFailed", "do not become ready",
        "Deployment {space}/clinic-api",
    ),
    SeededFault(
        "a ConfigMap of schemas that does not exist", failing_from_the_start(
            "database", outside_causes.DATABASE_STARTING, where="db.example.com:5432"),
        "Unreachable", "is starting, stopping or recovering", others=_WORKLOAD,
        spec={"schemas": {"mode": "Allowed", "configMapRef": {"name": "schemas"}}},
    ),
    SeededFault(
        "an object of the same name", _foreign_service, "ResourceConflict",
        "was not created by this operator",
    ),
    SeededFault(
        "no host name resolves", _no_names, "NameResolutionFailed", "resolves no host name",
        "", frozenset({"BucketReady", "BrokerReady", "DatabaseReady", "TopologyReady"}),
    ),
    SeededFault("no operator", ready, "OperatorNotInstalled", "no operator", cluster="no operator"),
    SeededFault(
        "an operator without pods", ready, "OperatorScaledToZero", "0 replicas",
        "Deployment {space}-operator/operator", cluster="scaled to zero",
    ),
    SeededFault(
        "an operator whose image does not exist", ready, "OperatorNotRunning", "ImagePullFailed",
        "Pod {space}-operator/operator-1", cluster="broken image",
    ),
    SeededFault(
        "no leader", ready, "OperatorNotLeading", "was not renewed", "", cluster="old Lease",
    ),
    SeededFault(
        "a namespace that is not watched", ready, "NamespaceNotWatched",
        "no operator serves namespace {space}", "Deployment {space}-operator/operator",
        cluster="other namespaces",
    ),
    SeededFault(
        "an operator without its Role", ready, "OperatorLacksRights", "may not watch HealthIngests",
        "", cluster="no rights",
    ),
    SeededFault(
        "paused", ready, "PausedBySpec", "spec.paused is true", "HealthIngest", cluster="paused",
    ),
    SeededFault(
        "paused with a fault", failing("store", outside_causes.STORE_LOGIN, where="s3:7070"),
        "PausedBySpec", "spec.paused is true", others=frozenset({"BucketReady"}), cluster="paused",
    ),
    SeededFault(
        "a status of an earlier generation", ready, "StatusBehind", "the spec has generation 2",
        "HealthIngest", cluster="changed spec",
    ),
    SeededFault("a new HealthIngest", never, "StatusMissing", "has not reported", "HealthIngest"),
    SeededFault(
        "a deletion without an operator", ready, "DeletionWaits", "healthingest.dev/cleanup",
        "HealthIngest", cluster="deleted, no operator",
    ),
    SeededFault(
        "a deletion that another finalizer keeps", ready, "DeletionBlocked", "example.com/other",
        "HealthIngest", cluster="deleted, other finalizer",
    ),
)  # fmt: skip
"""All of them; the last ones lie outside of the status."""


async def status_of(seeded: SeededFault, space: str) -> dict[str, Any]:
    """Return the status that the operator writes, in namespace *space*."""
    fakes = OperatorFakes(**seeded.spec)
    await seeded.seed(fakes)
    status = fakes.cluster.get("HealthIngest", KEY.name).get("status") or {}
    text = re.sub(rf"\b{KEY.namespace}(?![\w-])", space, json.dumps(status))
    found: dict[str, Any] = json.loads(text)
    return found
