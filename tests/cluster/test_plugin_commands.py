"""The commands of the kubectl plugin, and the errors that it reports, on a real API server."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from healthingest_contract.conditions import ROTATE_ANNOTATION
from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster
from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.reconcile import reconcile
from healthingest_plugin.main import main
from support.deadlines import HANG_SECONDS
from support.faulty_cluster import FaultyCluster
from support.operator_fakes import KEY, USER_SECRETS, OperatorFakes
from support.seeded_faults import FAULTS, SeededFault, ready
from support.servers.apiserver import ApiServer

pytestmark = pytest.mark.usefixtures("plugin_path")
HEALTHY = SeededFault("nothing", ready, "", "")
CRASHED = next(seeded for seeded in FAULTS if seeded.name.startswith("pods that crash"))


async def create(cluster: KubernetesCluster, seeded: SeededFault = HEALTHY) -> FaultyCluster:
    """Create a HealthIngest."""
    made = FaultyCluster(cluster)
    await made.create(seeded)
    return made


async def run(*words: str) -> int:
    """Run the plugin, and return its exit code."""
    return await asyncio.to_thread(main, words)


async def with_operator(cluster: KubernetesCluster, made: FaultyCluster, *words: str) -> int:
    """Run the plugin while an operator reconciles, with fakes as dependencies."""
    fakes = OperatorFakes()
    for name, values in USER_SECRETS.items():
        secret = {"metadata": {"name": name}, "stringData": values}
        await made.post(f"/api/v1/namespaces/{made.space}/secrets", secret)
    ports = replace(fakes.ports, cluster=cluster)
    running = asyncio.create_task(run(*words))
    async with asyncio.timeout(HANG_SECONDS):
        while not running.done():
            await reconcile(ports, Key(made.space, KEY.name))
            await asyncio.wait({running}, timeout=0.1)
    return await running


def find(node: dict[str, Any], title: str) -> dict[str, Any]:
    """Return the node of a tree with this title."""
    if node["title"] == title:
        return node
    for child in node["children"]:
        found = find(child, title)
        if found:
            return found
    return {}


async def test_status_shows_what_depends_on_what(
    cluster: KubernetesCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Conditions with their Secrets and objects below them; exit code 0 for Ready."""
    made = await create(cluster)
    labels = {
        "app.kubernetes.io/managed-by": "healthingest-operator",
        "app.kubernetes.io/instance": KEY.name,
    }
    spec = {"ports": [{"port": 80}]}
    services = f"/api/v1/namespaces/{made.space}/services"
    await made.post(services, {"metadata": {"name": "clinic", "labels": labels}, "spec": spec})
    assert await run(*made.words("status", "--output", "json")) == 0
    root = json.loads(capsys.readouterr().out)
    assert root["state"] == "Ready (Available)"
    assert find(root, "Operator")["state"] == "works"
    assert find(find(root, "BrokerReady"), "TopologyReady")["state"].startswith("True")
    assert find(find(root, "DatabaseReady"), "Secret postgres")["state"] == "named by the spec"
    service = find(find(root, "WorkloadAvailable"), "Service clinic")
    assert service["state"] == "present"
    assert service["ageSeconds"] >= 0
    assert await run(*made.words("status")) == 0
    text = capsys.readouterr().out
    assert "├─ BrokerReady: True, Provisioned" in text
    assert "│  └─ TopologyReady" in text


async def test_status_of_a_fault_exits_with_1(
    cluster: KubernetesCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tree has the message of each condition that fails."""
    made = await create(cluster, CRASHED)
    assert await run(*made.words("status")) == 1
    assert "does not answer in time" in capsys.readouterr().out
    assert await run("status", "--namespace", made.space) == 1
    assert "not Ready (CrashLooping)" in capsys.readouterr().out


async def test_status_without_a_name_lists_all(
    cluster: KubernetesCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the namespace, or of all namespaces."""
    made = await create(cluster)
    assert await run("status", "--namespace", made.space) == 0
    assert f"{made.space}  clinic" in capsys.readouterr().out
    await run("status", "--all-namespaces", "--output", "json")
    assert json.loads(capsys.readouterr().out)[f"{made.space}/clinic"] is True
    assert await run("status", "--namespace", made.operator_space) == 0
    assert "no HealthIngest in" in capsys.readouterr().out


async def test_explain_calls_the_crash_a_consequence(
    cluster: KubernetesCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """`Ready` names the crash, which needs a person; the text names the database first."""
    made = await create(cluster, CRASHED)
    assert await run(*made.words("explain")) == 1
    text = capsys.readouterr().out
    assert "Cause: DatabaseReady, Unreachable" in text
    consequences = text.partition("Only consequences:")[2]
    assert "WorkloadAvailable, CrashLooping" in consequences


async def test_explain_finds_nothing_wrong(
    cluster: KubernetesCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0."""
    made = await create(cluster)
    assert await run(*made.words("explain")) == 0
    assert "Nothing is wrong" in capsys.readouterr().out


async def test_pause_and_resume_wait_for_the_operator(
    cluster: KubernetesCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """The condition `Paused` comes; without pods, Ready does not, and the wait ends."""
    made = await create(cluster)
    assert await with_operator(cluster, made, *made.words("pause", "--wait")) == 0
    text = capsys.readouterr().out
    assert "is paused" in text
    assert "Done: condition Paused is True." in text
    assert await run(*made.words("pause")) == 0
    assert "is paused already" in capsys.readouterr().out
    words = made.words("resume", "--wait", "--timeout", "1s")
    assert await run(*words) == 2
    shown = capsys.readouterr()
    assert "is resumed" in shown.out
    assert "not within 1 s: it is Ready; see why: kubectl healthingest explain" in shown.err
    body = await cluster.health_ingest(Key(made.space, KEY.name))
    assert body is not None
    assert body["spec"]["paused"] is False


async def test_a_pause_without_an_operator_is_not_reported_as_done(
    cluster: KubernetesCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """The spec is changed, and the wait ends at its deadline."""
    made = await create(cluster)
    assert await run(*made.words("pause", "--wait", "--timeout", "1s")) == 2
    shown = capsys.readouterr()
    assert "is paused" in shown.out
    assert "Done" not in shown.out
    assert "not within 1 s: condition Paused is True" in shown.err


async def test_rotate_requests_a_rotation(
    cluster: KubernetesCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the annotation; the text says what happens next, also where it has to wait."""
    made = await create(cluster)
    assert await run(*made.words("rotate")) == 0
    assert "is requested" in capsys.readouterr().out
    body = await cluster.health_ingest(Key(made.space, KEY.name))
    assert body is not None
    assert body["metadata"]["annotations"][ROTATE_ANNOTATION]
    await made.patch(made.path, {"spec": {"paused": True}})
    assert await run(*made.words("rotate")) == 0
    assert "the rotation starts after kubectl healthingest resume" in capsys.readouterr().out


async def test_a_second_rotation_cannot_be_waited_for(
    cluster: KubernetesCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its progress is not distinguishable from that of the first one."""
    made = await create(cluster)
    body = await cluster.health_ingest(Key(made.space, KEY.name))
    assert body is not None
    for entry in body["status"]["conditions"]:
        if entry["type"] == "SecretsReady":
            entry["reason"] = "CredentialsRotating"
    await made.patch(f"{made.path}/status", {"status": body["status"]})
    assert await run(*made.words("rotate", "--wait")) == 2
    assert "a rotation is in progress" in capsys.readouterr().err
    assert await run(*made.words("rotate")) == 0
    assert "It starts after the rotation that is in progress" in capsys.readouterr().out


async def test_near_names_are_suggested(
    cluster: KubernetesCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that does not exist."""
    made = await create(cluster)
    assert await run("explain", "clinik", "--namespace", made.space) == 2
    assert "did you mean clinic?" in capsys.readouterr().err
    assert await run("explain", "clinic", "--namespace", made.operator_space) == 2
    assert "the namespace has none" in capsys.readouterr().err


async def test_a_missing_right_is_named(
    cluster: KubernetesCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of HealthIngests it is an error, of the operator a note."""
    made = await create(cluster)
    words = made.words("explain", "--as", "system:serviceaccount:default:nobody")
    assert await run(*words) == 2
    error = capsys.readouterr().err
    assert "cannot get resource" in error
    assert "ask an administrator for this right" in error
    rules = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{made.space}"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    rule = {"apiGroups": ["healthingest.dev"], "resources": ["*"], "verbs": ["get"]}
    await made.post(f"{rules}/roles", {"metadata": {"name": "reader"}, "rules": [rule]})
    subject = {"kind": "User", "name": "reader", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": "reader"}, "roleRef": role, "subjects": [subject]}
    await made.post(f"{rules}/rolebindings", binding)
    assert await run(*made.words("explain", "--as", "reader")) == 0
    text = capsys.readouterr().out
    assert "you may not read its Deployment" in text
    assert "you may not read Pods" in text


async def test_a_cluster_without_the_definition_is_recognised(
    with_crd: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The path of an address is used, and below this one the server has no kinds."""
    config = yaml.safe_load(with_crd.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] += "/apis/apps"
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    assert await run("status", "--kubeconfig", str(path)) == 2
    assert "has no kind HealthIngest" in capsys.readouterr().err


async def test_a_kubeconfig_that_does_not_exist_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the way to name another one."""
    missing = tmp_path / "none"
    assert await run("status", "--kubeconfig", str(missing)) == 2
    error = capsys.readouterr().err
    assert str(missing) in error
    assert "--kubeconfig" in error


async def test_an_unknown_context_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """As kubectl says it."""
    assert await run("status", "--context", "elsewhere") == 2
    assert "elsewhere" in capsys.readouterr().err


async def test_a_server_that_does_not_listen_is_named(
    apiserver: ApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The proxy of kubectl starts, and answers in its place."""
    config = yaml.safe_load(apiserver.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    assert await run("status", "--kubeconfig", str(path)) == 2
    assert "cannot be reached" in capsys.readouterr().err


async def test_a_missing_kubectl_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plugin reaches the cluster through it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await run("status") == 2
    assert "kubectl is not on PATH" in capsys.readouterr().err


async def test_the_namespace_of_the_context_is_the_default(
    cluster: KubernetesCluster,
    apiserver: ApiServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As for kubectl itself; kubectl finds the program by its name."""
    made = await create(cluster)
    config = yaml.safe_load(apiserver.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = made.space
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    assert await run("status", "--kubeconfig", str(path)) == 0
    assert made.space in capsys.readouterr().out


def test_kubectl_finds_the_plugin(apiserver: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kubectl healthingest` runs the console script."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    command = [apiserver.kubectl, "healthingest", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=HANG_SECONDS)
    assert "explain" in done.stdout
