"""Values of the chart that fit the operator's pod to a platform, rendered by Helm."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from healthingest_contract.pod_identity import TOKEN_SECONDS, WebIdentity, pod_identity

CHART = Path(__file__).resolve().parents[2] / "charts" / "healthingest-operator"
DIGEST = "sha256:" + "0123456789abcdef" * 4


def template(tmp_path: Path, values: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    """Run `helm template` with these values."""
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("no `helm` on PATH")
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    command = [helm, "template", "release", str(CHART), "--namespace", "system", "-f", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def rendered(tmp_path: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of the chart."""
    done = template(tmp_path, values)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def pod(tmp_path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Return the pod template of the operator."""
    (deployment,) = [one for one in rendered(tmp_path, values) if one["kind"] == "Deployment"]
    found: dict[str, Any] = deployment["spec"]["template"]
    return found


def test_a_mirror_and_digests_name_both_images(tmp_path: Path) -> None:
    """The registry is in front of each repository, and a digest is in place of the tag."""
    values = {"imageRegistry": "mirror.example/health", "serviceImage": {"digest": DIGEST}}
    (container,) = pod(tmp_path, values)["spec"]["containers"]
    service = next(
        entry["value"] for entry in container["env"] if entry["name"].endswith("SERVICE_IMAGE")
    )
    assert container["image"].startswith("mirror.example/health/healthingest-operator:")
    assert service == f"mirror.example/health/healthingest-service@{DIGEST}"
    assert template(tmp_path, {"image": {"digest": "sha256:short"}}).returncode != 0


def test_every_image_comes_from_the_mirror(tmp_path: Path) -> None:
    """Of all pods of the chart, also that of `helm test`, and with the Secret of the registry."""
    values = {"imageRegistry": "mirror.example", "imagePullSecrets": [{"name": "registry"}]}
    pods = [
        one["spec"].get("template", one)["spec"]
        for one in rendered(tmp_path, values)
        if one["kind"] in {"Deployment", "Pod"}
    ]
    images = [container["image"] for pod in pods for container in pod["containers"]]
    assert len(images) == 2
    assert all(image.startswith("mirror.example/") for image in images)
    assert all(pod["imagePullSecrets"] == [{"name": "registry"}] for pod in pods)


def test_ids_are_left_to_the_platform_on_request(tmp_path: Path) -> None:
    """`restricted` holds with and without ids."""
    always = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    ids = {"runAsUser": 10001, "runAsGroup": 10001}
    assert pod(tmp_path, {})["spec"]["securityContext"] == always | ids
    assert pod(tmp_path, {"podSecurityContext": None})["spec"]["securityContext"] == always
    one = pod(tmp_path, {"podSecurityContext": {"runAsUser": None}})["spec"]["securityContext"]
    assert one == always | {"runAsGroup": 10001}
    assert template(tmp_path, {"podSecurityContext": {"runAsUser": 0}}).returncode != 0


def test_values_of_the_pod_reach_it(tmp_path: Path) -> None:
    """Labels, classes, hosts, volumes, grace period; labels that select the pod stay."""
    found = pod(
        tmp_path,
        {
            "podLabels": {"team": "a", "app.kubernetes.io/instance": "other"},
            "priorityClassName": "high",
            "runtimeClassName": "gvisor",
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["s3.example"]}],
            "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
            "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca"}],
            "terminationGracePeriodSeconds": 45,
        },
    )
    assert found["metadata"]["labels"]["team"] == "a"
    assert found["metadata"]["labels"]["app.kubernetes.io/instance"] == "release"
    spec = found["spec"]
    assert (spec["priorityClassName"], spec["runtimeClassName"]) == ("high", "gvisor")
    assert spec["hostAliases"][0]["ip"] == "10.0.0.1"
    assert spec["terminationGracePeriodSeconds"] == 45
    assert {volume["name"] for volume in spec["volumes"]} == {"tmp", "ca"}
    mounts = {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounts == {"/tmp", "/etc/ca"}  # noqa: S108 - in the pod


def test_every_container_of_the_chart_has_requests_and_limits(tmp_path: Path) -> None:
    """A ResourceQuota on CPU and memory lets the operator and `helm test` run."""
    containers = [
        container
        for one in rendered(tmp_path, {})
        if one["kind"] in {"Deployment", "Pod"}
        for container in one["spec"].get("template", one)["spec"]["containers"]
    ]
    assert len(containers) == 2
    for container in containers:
        for part in ("requests", "limits"):
            assert set(container["resources"][part]) == {"cpu", "memory"}


def test_an_existing_service_account_gets_the_rights(tmp_path: Path) -> None:
    """The bindings and the pod name it, and the chart creates none; without a name it refuses."""
    values = {"serviceAccount": {"create": False, "name": "own"}}
    found = rendered(tmp_path, values)
    assert not [one for one in found if one["kind"] == "ServiceAccount"]
    subjects = {
        subject["name"]
        for one in found
        if one["kind"].endswith("RoleBinding")
        for subject in one["subjects"]
    }
    assert subjects == {"own"}
    assert pod(tmp_path, values)["spec"]["serviceAccountName"] == "own"
    refused = template(tmp_path, {"serviceAccount": {"create": False}})
    assert "serviceAccount.name" in refused.stderr
    annotated = {"serviceAccount": {"annotations": {"a": "b"}}}
    (account,) = [one for one in rendered(tmp_path, annotated) if one["kind"] == "ServiceAccount"]
    assert account["metadata"]["annotations"] == {"a": "b"}


def test_every_pod_of_the_chart_has_a_policy_in_both_directions(tmp_path: Path) -> None:
    """In a namespace that denies by default, the operator works and `helm test` reaches it."""
    found = rendered(tmp_path, {})
    selectors = [
        one["spec"]["podSelector"]["matchLabels"].items()
        for one in found
        if one["kind"] == "NetworkPolicy"
        and one["spec"]["policyTypes"] == ["Ingress", "Egress"]
        and one["spec"]["egress"]
    ]
    pods = [
        one["spec"].get("template", one)["metadata"]["labels"].items()
        for one in found
        if one["kind"] in {"Deployment", "Pod"}
    ]
    assert len(pods) == 2
    assert all(any(selector <= labels for selector in selectors) for labels in pods)


def test_the_operator_assumes_a_role(tmp_path: Path) -> None:
    """The variables are those that it reads, and the token has the audience of the role."""
    role = {"roleArn": "arn:aws:iam::1:role/operator", "stsEndpoint": "https://sts.example:9000"}
    spec = pod(tmp_path, {"webIdentity": {**role, "audience": "minio", "region": "eu-west-1"}})[
        "spec"
    ]
    (container,) = spec["containers"]
    found = pod_identity({one["name"]: one.get("value", "") for one in container["env"]})
    assert isinstance(found, WebIdentity)
    assert (found.role_arn, found.endpoint, found.region) == (*role.values(), "eu-west-1")
    assert str(found.token_file.parent) in {one["mountPath"] for one in container["volumeMounts"]}
    (volume,) = [one for one in spec["volumes"] if one["name"] == "web-identity"]
    (source,) = volume["projected"]["sources"]
    token = {"audience": "minio", "expirationSeconds": TOKEN_SECONDS, "path": found.token_file.name}
    assert source == {"serviceAccountToken": token}
    assert template(tmp_path, {"webIdentity": {"stsEndpoint": "sts"}}).returncode != 0


def test_an_admission_webhook_can_set_the_operators_identity(tmp_path: Path) -> None:
    """The ServiceAccount has the annotations, and the chart sets no identity of its own."""
    annotations = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/operator"}
    values = {"serviceAccount": {"annotations": annotations}}
    (account,) = [one for one in rendered(tmp_path, values) if one["kind"] == "ServiceAccount"]
    assert account["metadata"]["annotations"] == annotations
    assert "AWS_" not in json.dumps(pod(tmp_path, values))
