"""`kubectl healthingest report` on a real API server, with secrets planted everywhere."""

import asyncio
import json
import ssl
import stat
import tarfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster
from healthingest_plugin.main import main
from support.faulty_cluster import FaultyCluster
from support.operator_fakes import KEY, USER_SECRETS
from support.seeded_faults import SeededFault, ready
from support.servers.loopback import tcp_server
from support.servers.tls import certificate

pytestmark = pytest.mark.usefixtures("plugin_path")
LABELS = {
    "app.kubernetes.io/managed-by": "healthingest-operator",
    "app.kubernetes.io/instance": KEY.name,
}
PLANTED = {
    "secret": "planted-in-a-secret",
    "own": "planted-in-own-secret",
    "pod-secret": "planted-in-a-secret-of-a-pod",
    "setting": "planted-in-a-setting",
    "annotation": "planted-in-an-annotation",
    "config": "planted-in-a-configmap",
    "variable": "planted-in-a-variable",
    "argument": "planted-in-an-argument",
    "stop": "planted-in-a-termination-message",
    "mail": "ada.planted@clinic.example",
    "log": "password=planted-in-a-log",
    "login": "amqp://relay:planted-in-an-address@mq:5672",
}
LOG = """\
{"event": "upload_stored", "uploader": "ada.planted@clinic.example"}
Traceback: planted-in-a-secret, planted-in-own-secret, planted-in-a-secret-of-a-pod
connect amqp://relay:planted-in-an-address@mq:5672 password=planted-in-a-log
planted-in-a-setting
the last line
"""


@pytest.fixture(name="kubelet")
async def _kubelet(cluster: KubernetesCluster, tmp_path: Path) -> AsyncIterator[str]:
    """A node whose kubelet has `LOG` for every container; returns its name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(LOG)}\r\nConnection: close\r\n\r\n"
        writer.write((head + LOG).encode())
        await writer.drain()
        writer.close()

    async with tcp_server(serve, context) as port:
        name = f"node-{port}"
        await cluster.call("POST", "/api/v1/nodes", body={"metadata": {"name": name}})
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        await cluster.call(
            "PATCH",
            f"/api/v1/nodes/{name}/status",
            body={"status": status},
            content="application/merge-patch+json",
        )
        yield name


async def planted(cluster: KubernetesCluster, node: str) -> FaultyCluster:
    """Create a HealthIngest with secrets in every place that a report reads."""
    made = FaultyCluster(cluster)
    spec = {"settings": {"HEALTHINGEST_LIMITS__LOGINS": PLANTED["setting"]}}
    await made.create(SeededFault("nothing", ready, "", "", spec={}))
    metadata = {
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": PLANTED["annotation"],
            "note": PLANTED["mail"],
        }
    }
    await made.patch(made.path, {"spec": spec, "metadata": metadata})
    core = f"/api/v1/namespaces/{made.space}"
    secrets = {name: dict(values) for name, values in USER_SECRETS.items()}
    secrets["s3"]["secretAccessKey"] = PLANTED["secret"]
    secrets |= {
        "clinic-service": {"x": PLANTED["own"]},
        "mounted": {"x": PLANTED["pod-secret"]},
    }
    for name, values in secrets.items():
        await made.post(f"{core}/secrets", {"metadata": {"name": name}, "stringData": values})
    named = {"name": "clinic-config", "labels": LABELS}
    await made.post(f"{core}/configmaps", {"metadata": named, "data": {"X": PLANTED["config"]}})
    container = {
        "name": "api",
        "image": "service:1",
        "args": ["api", f"--key={PLANTED['argument']}"],
        "env": [{"name": "X", "value": PLANTED["variable"]}],
    }
    pod = {
        "nodeName": node,
        "containers": [container],
        "volumes": [{"name": "m", "secret": {"secretName": "mounted"}}],
    }
    annotations = {"note": PLANTED["annotation"]}
    named = {"name": "clinic-api-x", "labels": LABELS, "annotations": annotations}
    await made.post(f"{core}/pods", {"metadata": named, "spec": pod})
    ended = {"exitCode": 1, "message": PLANTED["stop"], "reason": "Error"}
    status: Mapping[str, Any] = {
        "name": "api", "image": "service:1", "imageID": "", "ready": False, "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": ended},
    }  # fmt: skip
    await made.patch(
        f"{core}/pods/clinic-api-x/status", {"status": {"containerStatuses": [status]}}
    )
    about = {"kind": "Pod", "name": "clinic-api-x", "namespace": made.space}
    message = f"{PLANTED['login']} {PLANTED['mail']} {PLANTED['secret']}"
    event = {"metadata": {"generateName": "e."}, "involvedObject": about, "message": message}
    await made.post(f"{core}/events", event)
    return made


def read(path: Path) -> dict[str, str]:
    """Return the files of an archive."""
    found = {}
    with tarfile.open(path) as archive:
        for entry in archive.getmembers():
            content = archive.extractfile(entry)
            assert content is not None
            found[entry.name.removeprefix("healthingest-report/")] = content.read().decode()
    return found


async def test_no_planted_secret_is_in_the_bundle(
    cluster: KubernetesCluster, kubelet: str, tmp_path: Path
) -> None:
    """Yet the objects, logs, events and versions are there, with their names."""
    made = await planted(cluster, kubelet)
    path = tmp_path / "report.tar.gz"
    assert await asyncio.to_thread(main, made.words("report", "--output", str(path))) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    files = read(path)
    for name, text in files.items():
        assert "planted" not in text, name
        for values in USER_SECRETS.values():
            for key in ("secretAccessKey", "password", "adminUrl"):
                assert values.get(key, "not there") not in text, name
    assert {
        "README.txt",
        "versions.json",
        "explain.txt",
        "status.txt",
        "events.yaml",
        "objects/HealthIngest/clinic.yaml",
        "objects/ConfigMap/clinic-config.yaml",
        "objects/Pod/clinic-api-x.yaml",
        "operator/Deployment/operator.yaml",
        "logs/clinic-api-x/api.log",
        "logs/clinic-api-x/api-previous.log",
    } <= set(files)
    assert not [name for name in files if "Secret" in name]
    assert "the last line" in files["logs/clinic-api-x/api.log"]
    assert "upload_stored" in files["logs/clinic-api-x/api.log"]
    assert "mq:5672" in files["events.yaml"]
    versions = json.loads(files["versions.json"])
    assert versions["images"] == ["service:1"]
    assert versions["kubernetes"].startswith("v1.")


async def test_unreadable_parts_are_named(
    cluster: KubernetesCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Secrets that do not exist, the log of a node that is gone; the rest is written."""
    made = FaultyCluster(cluster)
    await made.create(SeededFault("nothing", ready, "", ""))
    pod = {"nodeName": "gone", "containers": [{"name": "api", "image": "service:1"}]}
    named = {"name": "clinic-api-x", "labels": LABELS}
    pods = f"/api/v1/namespaces/{made.space}/pods"
    await made.post(pods, {"metadata": named, "spec": pod})
    path = tmp_path / "report.tar.gz"
    assert await asyncio.to_thread(main, made.words("report", "--output", str(path))) == 0
    assert "Secret s3 could not be read (404)" in capsys.readouterr().out
    readme = read(path)["README.txt"]
    assert "Secret s3 could not be read (404)" in readme
    assert "log clinic-api-x/api.log could not be read" in readme


async def test_an_existing_file_is_not_overwritten(
    cluster: KubernetesCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor followed, if it is a link."""
    made = FaultyCluster(cluster)
    await made.create(SeededFault("nothing", ready, "", ""))
    path = tmp_path / "report.tar.gz"
    path.write_text("mine")
    assert await asyncio.to_thread(main, made.words("report", "--output", str(path))) == 2
    assert "exists: name another file" in capsys.readouterr().err
    assert path.read_text() == "mine"
