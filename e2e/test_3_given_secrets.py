"""
Secrets as other operators write them, and a virtual host that others have prepared.

The dependencies of the suite stand in for CloudNativePG and the RabbitMQ cluster operator. Services
without selectors give them the short names that such Secrets have.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import asyncpg
import httpx
import pytest
import yaml

import confidential
import install
import kubectl as k8s
import outside
from healthingest_contract.events import UploadStored
from stopwatch import Stopwatch

KIND: Final = "healthingest"
NAMESPACE: Final = "e2e-given"
EXAMPLE: Final = install.ROOT / "examples" / "given-secrets.yaml"
NAME: Final = "clinic-given"
PREPARED: Final = "clinic-prepared"
USER: Final = "e2e-prepared-relay"
READY_SECONDS: Final = 120.0
NOTICED_SECONDS: Final = 60.0
EXCHANGE: Final = "health_data_exchange"
APP: Final = "e2e_given_app"
SAMPLE: Final = (install.ROOT / "examples" / "samples" / "BloodGlucoseRecord.avro").read_bytes()
PASSWORDS: Final = tuple(
    confidential.keep("password of a prepared user", f"a@b:c/%#d?{secrets.token_hex(12)}")
    for _ in range(2)
)
"""They have every character that an address must encode."""
pytestmark = pytest.mark.story


def _external_service(name: str, target: str) -> dict[str, Any]:
    """Return a Service that is another name of a dependency."""
    host = f"{target}.{install.DEPENDENCIES}.svc.cluster.local"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": "ExternalName", "externalName": host},
    }


def _cloudnative_pg(password: str) -> dict[str, str]:
    """Return the Secret `<cluster>-app`; its `uri` has the short name, as of earlier versions."""
    return {
        "dbname": APP,
        "host": "clinic-db-rw",
        "password": password,
        "pgpass": f"clinic-db-rw:5432:{APP}:{APP}:{password}\n",
        "port": "5432",
        "uri": f"postgresql://{APP}:{quote(password, safe='')}@clinic-db-rw:5432/{APP}",
        "user": APP,
        "username": APP,
    }


def _cluster_operator() -> dict[str, str]:
    """Return the Secret `<cluster>-default-user`."""
    host = f"clinic-rabbit.{NAMESPACE}.svc"
    password = install.passwords()["rabbitmq"]
    return {
        "connection_string": f"amqp://admin:{password}@{host}:5672/",
        "default_user.conf": f"default_user = admin\ndefault_pass = {password}\n",
        "host": host,
        "password": password,
        "port": "5672",
        "provider": "rabbitmq",
        "type": "rabbitmq",
        "username": "admin",
    }


async def _sql(*statements: str) -> None:
    with k8s.port_forward("service/postgres", 5432, install.DEPENDENCIES) as port:
        words = install.passwords()["postgres"]
        connection = await asyncpg.connect(
            f"postgresql://admin:{words}@127.0.0.1:{port}/admin", timeout=20
        )
        try:
            for statement in statements:
                await connection.execute(statement, timeout=60)
        finally:
            await connection.close()


def _on_database(*statements: str) -> None:
    asyncio.run(_sql(*statements))


def _drop_database() -> None:
    _on_database(f"DROP DATABASE IF EXISTS {APP} WITH (FORCE)", f"DROP ROLE IF EXISTS {APP}")


@pytest.fixture(scope="module", autouse=True)
def _given() -> Iterator[None]:
    """Create what the other operators would: names, a database with its owner, and Secrets."""
    k8s.remove_namespace(NAMESPACE)
    _drop_database()
    # A deleted HealthIngest keeps its virtual host, with the messages of an earlier run.
    _remove_from_broker(f"/api/vhosts/{NAME}")
    k8s.namespace(NAMESPACE)
    for name, target in (("clinic-db-rw", "postgres"), ("clinic-rabbit", "rabbitmq")):
        k8s.apply(_external_service(name, target), namespace=NAMESPACE)
    _on_database(
        f"CREATE ROLE {APP} LOGIN NOCREATEROLE NOCREATEDB PASSWORD '{PASSWORDS[0]}'",
        f"CREATE DATABASE {APP} OWNER {APP}",
    )
    k8s.secret("clinic-db-app", NAMESPACE, _cloudnative_pg(PASSWORDS[0]))
    k8s.secret("clinic-rabbit-default-user", NAMESPACE, _cluster_operator())
    store = {"access-key": "admin", "secret-key": install.passwords()["s3"] + "\n"}
    k8s.secret("clinic-storage", NAMESPACE, store)
    yield
    k8s.remove_namespace(NAMESPACE)
    _drop_database()
    _remove_prepared()


def _live(name: str) -> dict[str, Any] | None:
    return k8s.get(KIND, name, NAMESPACE)


def _is_ready(name: str) -> None:
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live(name)), seconds=READY_SECONDS)


def _manifest(name: str) -> dict[str, Any]:
    """Return the example with another name, bucket, virtual host and host."""
    found: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    found["metadata"]["name"] = name
    spec = found["spec"]
    spec["replicas"] = 1
    spec["objectStore"]["bucket"] = f"{name}-health-data"
    spec["broker"]["virtualHost"] = name
    spec["ingress"]["host"] = f"{name}.example"
    return found


def test_1_secrets_of_other_operators_are_enough(stopwatch: Stopwatch) -> None:
    """The example becomes ready; the newline in a Secret is a warning that names its key."""
    began = time.monotonic()
    k8s.apply(_manifest(NAME), namespace=NAMESPACE)
    _is_ready(NAME)
    stopwatch.record(
        "Secrets of other operators: ready", time.monotonic() - began, bound_seconds=READY_SECONDS
    )
    found = k8s.condition(_live(NAME), "SecretsReady")
    assert (found["status"], found["reason"]) == ("True", "SecretValueTrimmed")
    assert f"key secret-key of Secret {NAMESPACE}/clinic-storage" in found["message"]
    host = f"clinic-db-rw.{NAMESPACE}.svc:5432"
    assert host in k8s.condition(_live(NAME), "DatabaseReady")["message"]


def test_2_an_upload_is_announced() -> None:
    """A consumer with the credentials of the consumer Secret gets the message."""
    answer = outside.Api(f"{NAME}.example").signed_in().upload(SAMPLE)
    assert answer.status_code == 201, answer.text
    (message,) = outside.consume(NAME, NAMESPACE, "processing", 1)
    assert UploadStored.from_bytes(message.body).idempotency_key == answer.json()["upload_id"]


def test_3_a_refreshed_secret_is_noticed_within_a_minute(stopwatch: Stopwatch) -> None:
    """The owner of the database changes the password, as External Secrets would pass it on."""
    old = outside.secret_values(f"{NAME}-service", NAMESPACE)["HEALTHINGEST_DATABASE__URL"]
    _on_database(f"ALTER ROLE {APP} PASSWORD '{PASSWORDS[1]}'")
    began = time.monotonic()
    k8s.secret("clinic-db-app", NAMESPACE, _cloudnative_pg(PASSWORDS[1]))

    def is_noticed() -> bool:
        values = outside.secret_values(f"{NAME}-service", NAMESPACE)
        return values["HEALTHINGEST_DATABASE__URL"] != old

    k8s.eventually("the new password", is_noticed, seconds=NOTICED_SECONDS)
    stopwatch.record(
        "a refreshed Secret: noticed", time.monotonic() - began, bound_seconds=NOTICED_SECONDS
    )
    _is_ready(NAME)
    answer = outside.Api(f"{NAME}.example").signed_in().upload(SAMPLE)
    assert answer.status_code == 201, answer.text


def _prepare(configure: str = "^$") -> None:
    """Create a virtual host and an ordinary user, as the broker's owner."""
    outside.broker(f"/api/vhosts/{PREPARED}", "PUT", {})
    user = {"password": PASSWORDS[0], "tags": ""}
    outside.broker(f"/api/users/{USER}", "PUT", user)
    rights = {"configure": configure, "write": f"^{EXCHANGE}$", "read": "^$"}
    outside.broker(f"/api/permissions/{PREPARED}/{USER}", "PUT", rights)


def _remove_prepared() -> None:
    _remove_from_broker(f"/api/users/{USER}")
    _remove_from_broker(f"/api/vhosts/{PREPARED}")


def _remove_from_broker(path: str) -> None:
    with contextlib.suppress(httpx.HTTPStatusError):  # it does not exist
        outside.broker(path, "DELETE")


def test_4_a_prepared_virtual_host_says_what_is_missing() -> None:
    """With an ordinary user TopologyReady names exchange and queue, which the user may not make."""
    _remove_prepared()
    _prepare()
    k8s.secret(
        "prepared-relay",
        NAMESPACE,
        {
            "amqpUrl": f"amqp://rabbitmq.{install.DEPENDENCIES}.svc:5672",
            "username": USER,
            "password": PASSWORDS[0],
        },
    )
    manifest = _manifest(PREPARED)
    manifest["spec"]["broker"] = {
        "userSecretRef": {"name": "prepared-relay"},
        "virtualHost": PREPARED,
    }
    manifest["spec"]["database"] = {"secretRef": {"name": "postgres"}}
    password = install.passwords()["postgres"]
    admin = f"postgresql://admin:{password}@postgres.{install.DEPENDENCIES}.svc:5432/admin"
    k8s.secret("postgres", NAMESPACE, {"adminUrl": admin})
    k8s.apply(manifest, namespace=NAMESPACE)

    def is_incomplete() -> str | None:
        found = k8s.condition(_live(PREPARED), "TopologyReady")
        return found["message"] if found.get("reason") == "TopologyIncomplete" else None

    message = k8s.eventually("TopologyIncomplete", is_incomplete, seconds=READY_SECONDS)
    for missing in (f"exchange {EXCHANGE}", "queue processing", "queue erasures"):
        assert missing in message
    assert k8s.condition(_live(PREPARED), "BrokerReady")["status"] == "True"


def test_5_it_becomes_ready_when_the_owner_has_prepared_it(stopwatch: Stopwatch) -> None:
    """The owner creates exchange, queues and bindings; the upload reaches the queue."""
    began = time.monotonic()
    exchange = {"type": "topic", "durable": True}
    outside.broker(f"/api/exchanges/{PREPARED}/{EXCHANGE}", "PUT", exchange)
    queue = {"durable": True, "arguments": {"x-queue-type": "quorum"}}
    for name, pattern in (("processing", "health.processing.#"), ("erasures", "health.erased.#")):
        outside.broker(f"/api/queues/{PREPARED}/{name}", "PUT", queue)
        binding = {"routing_key": pattern, "arguments": {}}
        outside.broker(f"/api/bindings/{PREPARED}/e/{EXCHANGE}/q/{name}", "POST", binding)
    _is_ready(PREPARED)
    stopwatch.record(
        "prepared virtual host: mended to ready",
        time.monotonic() - began,
        bound_seconds=READY_SECONDS,
    )
    assert k8s.get("secret", f"{PREPARED}-consumer", NAMESPACE) is None
    answer = outside.Api(f"{PREPARED}.example").signed_in().upload(SAMPLE)
    assert answer.status_code == 201, answer.text
    get = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
    path = f"/api/queues/{PREPARED}/processing/get"
    (message,) = k8s.eventually(
        "the message", lambda: outside.broker(path, "POST", get), seconds=30
    )
    assert answer.json()["upload_id"] in message["payload"]


def test_6_a_deletion_leaves_what_others_own() -> None:
    """Virtual host, user, permissions and queue are as before."""
    before = _prepared_state()
    k8s.kubectl("delete", KIND, PREPARED, "--namespace", NAMESPACE, "--timeout=60s", seconds=70)
    assert _prepared_state() == before


def _prepared_state() -> dict[str, Any]:
    """Return what the broker's owner sees, without counts."""
    host = outside.broker(f"/api/vhosts/{PREPARED}")
    queues = outside.broker(f"/api/queues/{PREPARED}")
    return {
        "tags": host.get("tags"),
        "user": outside.broker(f"/api/users/{USER}"),
        "permissions": outside.broker(f"/api/permissions/{PREPARED}/{USER}"),
        "queues": sorted((queue["name"], str(queue["arguments"])) for queue in queues),
    }
