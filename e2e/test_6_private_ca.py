"""
TLS with a private certificate authority to all four dependencies.

The authority is replaced during uploads, and no request fails. A wrong one is named.
"""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

import install
import kubectl as k8s
import outside
from healthingest_contract.events import UploadStored
from steady import NO_LIMITS, SteadyUploads
from stopwatch import NOTES
from support.servers.tls import Authority, Issued

KIND, NAMESPACE, NAME = "healthingest", "e2e-private-ca", "trusting"
FRONT = f"tls-front.{NAMESPACE}.svc"
READY_SECONDS = 120.0
ROLLED_SECONDS = 180.0
STORE, MANAGEMENT, AMQP, POSTGRES, REDIS = 7443, 15671, 5671, 5432, 6380
DEPENDENCY_HOST = f"{install.DEPENDENCIES}.svc"
RULES: dict[int, dict[str, Any]] = {
    STORE: {"host": f"s3.{DEPENDENCY_HOST}", "port": 7070},
    MANAGEMENT: {"host": f"rabbitmq.{DEPENDENCY_HOST}", "port": 15672},
    AMQP: {"host": f"rabbitmq.{DEPENDENCY_HOST}", "port": 5672, "asks_client": True},
    POSTGRES: {
        "host": f"postgres.{DEPENDENCY_HOST}",
        "port": 5432,
        "asks_client": True,
        "postgres": True,
    },
    REDIS: {"host": f"redis.{DEPENDENCY_HOST}", "port": 6379},
}
pytestmark = pytest.mark.story


@pytest.fixture(scope="module", name="first")
def _first() -> Authority:
    return Authority()


@pytest.fixture(scope="module", name="second")
def _second() -> Authority:
    return Authority()


@pytest.fixture(scope="module", name="user")
def _user(first: Authority) -> Iterator[outside.Api]:
    """A client of a HealthIngest whose dependencies all have certificates of *first*."""
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    clients = Authority()
    _front(first.issue(FRONT), clients)
    client = clients.issue("healthingest")
    k8s.secret(
        "client",
        NAMESPACE,
        {"tls.crt": client.certificate.decode(), "tls.key": client.key.decode()},
    )
    _secrets_with_tls()
    _bundle(first)
    k8s.apply(_manifest(), namespace=NAMESPACE)
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=READY_SECONDS)
    yield outside.Api(f"{NAME}.example").signed_in()
    k8s.remove_namespace(NAMESPACE, wait=False)


def test_1_all_connections_are_trusted_by_the_bundle(user: outside.Api) -> None:
    """Uploads are stored and announced through TLS alone, and the cache is used."""
    assert k8s.condition(_live(), "CacheReady").get("status") == "True"
    with SteadyUploads(user) as uploads:
        uploads.some_more()
    assert uploads.failures == [], "\n".join(uploads.failures)
    _every_message_came(uploads)


def test_2_the_authority_is_replaced_during_uploads(
    user: outside.Api, first: Authority, second: Authority
) -> None:
    """Both are trusted in between; no upload fails, and the operator is not restarted."""
    operator = _pods(install.OPERATOR, "")
    with SteadyUploads(user) as uploads:
        uploads.some_more()
        _roll_with(first, second)
        _certificate(second.issue(FRONT))
        k8s.eventually("the new certificate is served", lambda: _serves(second), seconds=180.0)
        uploads.some_more()
        _roll_with(second)
        uploads.some_more()
    assert uploads.failures == [], "\n".join(uploads.failures)
    _every_message_came(uploads)
    assert operator
    assert _pods(install.OPERATOR, "") == operator


def test_3_an_unknown_authority_is_named_and_stops_no_upload(
    user: outside.Api, second: Authority
) -> None:
    """The conditions name host and remedy; the pods keep what they have."""
    before = _own_pods()
    _bundle(Authority())

    def named() -> bool:
        found = k8s.condition(_live(), "BucketReady")
        return found.get("reason") == "CertificateUntrusted"

    k8s.eventually("CertificateUntrusted", named, seconds=ROLLED_SECONDS)
    for kind in ("BucketReady", "BrokerReady", "DatabaseReady"):
        found = k8s.condition(_live(), kind)
        assert found["reason"] == "CertificateUntrusted"
        assert FRONT in found["message"]
        assert "tls.caBundle" in found["message"]
    with SteadyUploads(user) as uploads:
        uploads.some_more()
    assert uploads.failures == [], "\n".join(uploads.failures)
    assert _own_pods() == before
    _bundle(second)
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=ROLLED_SECONDS)


def _manifest() -> dict[str, Any]:
    manifest = install.minimal(NAME)
    spec = manifest["spec"]
    spec["replicas"] = 2
    spec["limits"] = dict(NO_LIMITS)
    spec["objectStore"]["endpoint"] = f"https://{FRONT}:{STORE}"
    spec["tls"] = {"caBundle": {"configMapKeyRef": {"name": "private-ca"}}}
    spec["cache"] = {"secretRef": {"name": "redis"}}
    client = {"clientCertificateSecretRef": {"name": "client"}}
    spec["broker"]["tls"] = client
    spec["database"]["tls"] = client
    return manifest


def _secrets_with_tls() -> None:
    words = install.passwords()
    broker = {
        "managementUrl": f"https://{FRONT}:{MANAGEMENT}",
        "amqpUrl": f"amqps://{FRONT}:{AMQP}",
    }
    k8s.secret("rabbitmq", NAMESPACE, broker | {"username": "admin", "password": words["rabbitmq"]})
    database = f"postgresql://admin:{words['postgres']}@{FRONT}:{POSTGRES}/admin"
    k8s.secret("postgres", NAMESPACE, {"adminUrl": database})
    k8s.secret("redis", NAMESPACE, {"url": f"rediss://:{words['redis']}@{FRONT}:{REDIS}/0"})


def _bundle(*authorities: Authority) -> None:
    text = b"".join(authority.bundle for authority in authorities).decode()
    metadata = {"name": "private-ca", "namespace": NAMESPACE}
    k8s.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": text}}
    )


def _roll_with(*authorities: Authority) -> None:
    """Change the bundle, and wait until only new pods exist."""
    before = _own_pods()
    _bundle(*authorities)
    k8s.eventually("new pods alone", lambda: not before & _own_pods(), seconds=ROLLED_SECONDS)
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=ROLLED_SECONDS)


def _certificate(issued: Issued, more: dict[str, str] | None = None) -> None:
    values = {"tls.crt": issued.certificate.decode(), "tls.key": issued.key.decode()}
    k8s.secret("tls-front", NAMESPACE, values | (more or {}))


def _serves(authority: Authority) -> bool:
    """Whether the front has a certificate of *authority*."""
    with k8s.port_forward("service/tls-front", STORE, NAMESPACE) as port:
        served = ssl.get_server_certificate(("127.0.0.1", port))
    issuer = x509.load_pem_x509_certificate(served.encode()).issuer
    return issuer == x509.load_pem_x509_certificate(authority.bundle).subject


def _front(issued: Issued, clients: Authority) -> None:
    """Run the front with the image of the service, which has Python."""
    _certificate(issued, {"clients.crt": clients.bundle.decode()})
    program = (Path(__file__).parent / "tls_front.py").read_text(encoding="utf-8")
    metadata = {"name": "tls-front", "namespace": NAMESPACE}
    k8s.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"tls_front.py": program},
        }
    )
    ports = [{"name": f"p{port}", "port": port} for port in RULES]
    labels = {"app": "tls-front"}
    service = {"selector": labels, "ports": ports}
    k8s.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
    container = {
        "name": "front",
        "image": install.images()["service"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "/front/tls_front.py", "/certificates", json.dumps(RULES)],
        "ports": [{"containerPort": port} for port in RULES],
        "readinessProbe": {"tcpSocket": {"port": STORE}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "front", "mountPath": "/front"},
            {"name": "certificates", "mountPath": "/certificates"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
        ],
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [
            {"name": "front", "configMap": {"name": "tls-front"}},
            {"name": "certificates", "secret": {"secretName": "tls-front"}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    k8s.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    words = ["rollout", "status", "deployment/tls-front", "--namespace", NAMESPACE]
    k8s.kubectl(*words, "--timeout=120s", seconds=130)


def _live() -> dict[str, Any] | None:
    return k8s.get(KIND, NAME, NAMESPACE)


def _own_pods() -> set[str]:
    return _pods(NAMESPACE, "app.kubernetes.io/component in (api,relay)")


def _pods(namespace: str, selector: str) -> set[str]:
    """Return the ids of pods, including terminating ones."""
    return {pod["metadata"]["uid"] for pod in k8s.items("pods", namespace, selector)}


def _every_message_came(uploads: SteadyUploads) -> None:
    """Each acknowledged upload was announced, possibly twice."""
    heard: set[str] = set()
    while uploads.acknowledged - heard:
        messages = outside.consume(NAME, NAMESPACE, "processing", len(uploads.acknowledged - heard))
        heard |= {UploadStored.from_bytes(message.body).idempotency_key for message in messages}
    assert uploads.acknowledged <= heard
    NOTES.append(f"private CA: {len(uploads.acknowledged)} uploads, all announced")
