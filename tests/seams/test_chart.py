"""
The chart, rendered by Helm.

Its CRD is the generated one, and its role allows exactly what the operator needs.
"""

import copy
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from healthingest_operator.resources.children import KINDS, OPTIONAL_KINDS
from healthingest_operator.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "healthingest-operator"
CRD_KIND = "CustomResourceDefinition"
PLURALS = {
    "ConfigMap": "configmaps",
    "ServiceAccount": "serviceaccounts",
    "Service": "services",
    "NetworkPolicy": "networkpolicies",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Job": "jobs",
    "Deployment": "deployments",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "Ingress": "ingresses",
    "HTTPRoute": "httproutes",
}


def _template(*words: str) -> "subprocess.CompletedProcess[str]":
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("no `helm` on PATH")
    command = [helm, "template", "release", str(CHART), "--namespace", "system", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def _rendered(*words: str) -> list[dict[str, Any]]:
    done = _template(*words)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def _of(kind: str, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] == kind]


def _grants(role: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return each (group, resource, verb) of a role."""
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_charts_crd_is_ours_and_kept() -> None:
    """The chart adds only metadata, and the CRD is kept when the release is uninstalled."""
    (crd,) = _of("CustomResourceDefinition", _rendered())
    source = yaml.safe_load((ROOT / "crds" / "healthingests.healthingest.dev.yaml").read_text())
    assert crd["spec"] == source["spec"]
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert _of("CustomResourceDefinition", _rendered("--set", "crds.enabled=false")) == []


def test_the_role_allows_every_kind_that_is_made() -> None:
    """Each kind of `resources/` can be listed, watched, applied and deleted."""
    role = next(r for r in _of("ClusterRole", _rendered()) if "edit" not in r["metadata"]["name"])
    grants = _grants(role)
    for version, kind in (*KINDS, *OPTIONAL_KINDS):
        group = version.rpartition("/")[0]
        for verb in ("list", "watch", "create", "patch", "delete"):
            assert (group, PLURALS[kind], verb) in grants, (kind, verb)


def test_no_role_is_wide() -> None:
    """There is no wildcard, no list or watch of Secrets, no right on roles, no `exec`."""
    for role in _of("ClusterRole", _rendered()) + _of(
        "Role", _rendered("--set", "watchNamespaces={one}")
    ):
        for group, resource, verb in _grants(role):
            assert "*" not in {group, resource, verb}
            assert group != "rbac.authorization.k8s.io"
            assert resource not in {"pods/exec", "nodes", "namespaces"}
            assert (resource, verb) not in {("secrets", "list"), ("secrets", "watch")}


def test_with_namespaces_hardly_anything_is_granted_cluster_wide() -> None:
    """
    There is a Role in each namespace.

    Cluster-wide is only the right to release HealthIngests.
    """
    documents = _rendered("--set", "watchNamespaces={one,two}")
    bound = {binding["roleRef"]["name"] for binding in _of("ClusterRoleBinding", documents)}
    (role,) = [role for role in _of("ClusterRole", documents) if role["metadata"]["name"] in bound]
    assert _grants(role) == {
        ("healthingest.dev", "healthingests", verb) for verb in ("list", "watch", "patch")
    }


def test_without_cluster_roles_there_are_roles_only() -> None:
    """Only a Role and its binding in each watched namespace are outside that of the release."""
    only = ("--set", "clusterRoles=false", "--set", "crds.enabled=false")
    documents = _rendered("--set", "watchNamespaces={one,two}", *only)
    outside = {
        (document["kind"], document["metadata"]["namespace"])
        for document in documents
        if document["metadata"]["namespace"] != "system"
    }
    kinds = ("Role", "RoleBinding")
    assert outside == {(kind, namespace) for kind in kinds for namespace in ("one", "two")}
    refused = _template(*only)
    assert "clusterRoles: false needs watchNamespaces" in refused.stderr


def test_objects_of_the_cluster_are_named_by_namespace_and_release() -> None:
    """So two releases collide in no name, even with the same name in two namespaces."""
    documents = _rendered("--set", "namespaceAdminsMayInstall=true")
    names = [
        document["metadata"]["name"]
        for document in documents
        if "namespace" not in document["metadata"] and document["kind"] != CRD_KIND
    ]
    assert len(names) == 5
    assert {name.partition(":")[0] for name in names} == {"system"}


def test_admins_of_a_namespace_get_the_rights_of_the_operator() -> None:
    """With `namespaceAdminsMayInstall`, because nobody can grant rights that he does not have."""
    roles = {
        role["metadata"]["name"]: role
        for role in _of("ClusterRole", _rendered("--set", "namespaceAdminsMayInstall=true"))
    }
    role = roles["system:release-healthingest-operator-install"]
    assert role["rules"] == roles["system:release-healthingest-operator"]["rules"]
    assert role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"] == "true"
    assert "system:release-healthingest-operator-install" not in str(_rendered())


def test_several_operators_share_one_lease() -> None:
    """The role allows this Lease only, the pods know its name, and an upgrade leaves no gap."""
    documents = _rendered()
    (deployment,) = _of("Deployment", documents)
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told = {entry["name"]: entry for entry in container["env"]}
    name = told["HEALTHINGEST_OPERATOR_LEASE_NAME"]["value"]
    assert (
        told["HEALTHINGEST_OPERATOR_LEASE_NAMESPACE"]["valueFrom"]["fieldRef"]["fieldPath"]
        == "metadata.namespace"
    )
    (role,) = [
        role for role in _of("Role", documents) if role["metadata"]["name"].endswith("-lease")
    ]
    granted = {verb: rule.get("resourceNames") for rule in role["rules"] for verb in rule["verbs"]}
    assert granted == {"create": None, "get": [name], "update": [name]}
    assert role["metadata"]["namespace"] == "system"
    assert _of("PodDisruptionBudget", documents)
    assert not _of("PodDisruptionBudget", _rendered("--set", "replicas=1"))


def test_the_operators_variables_are_its_settings() -> None:
    """The operator knows each variable; numbers have the operator's defaults and can be changed."""

    def told(*words: str) -> dict[str, str]:
        (deployment,) = _of("Deployment", _rendered(*words))
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        return {entry["name"]: entry.get("value", "") for entry in container["env"]}

    known = {
        f"HEALTHINGEST_OPERATOR_{name.upper()}": field
        for name, field in Settings.model_fields.items()
    }
    assert set(told()) - set(known) == set()
    after = "HEALTHINGEST_OPERATOR_ROTATE_AFTER_DAYS"
    grace = "HEALTHINGEST_OPERATOR_CONSUMER_GRACE_SECONDS"
    assert {name: float(told()[name]) for name in (after, grace)} == {
        name: known[name].default for name in (after, grace)
    }
    times = {name for name in known if re.search("_LEASE_.*_SECONDS", name)}
    assert len(times) == 3
    assert {name: float(told()[name]) for name in times} == {
        name: known[name].default for name in times
    }
    longer = told(
        *(
            f"--set=leaderElection.{name}"
            for name in ("leaseDurationSeconds=60", "renewDeadlineSeconds=40")
        )
    )
    assert sorted(float(longer[name]) for name in times) == [2, 40, 60]
    changed = told(
        "--set", "rotation.afterDays=90", "--set", "rotation.consumerGraceSeconds=5000000"
    )
    assert (float(changed[after]), float(changed[grace])) == (90, 5000000)


def test_each_setting_of_the_operator_is_reached_by_its_chart_value() -> None:
    """A value of `operator` changes the variable of the setting with that name, and no other."""

    def told(*words: str) -> dict[str, str]:
        (deployment,) = _of("Deployment", _rendered(*words))
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        names = [entry["name"] for entry in container["env"]]
        assert len(names) == len(set(names))
        return {entry["name"]: entry.get("value", "") for entry in container["env"]}

    before = told()
    assert {f"HEALTHINGEST_OPERATOR_{name.upper()}" for name in Settings.model_fields} - {
        *before
    } == {f"HEALTHINGEST_OPERATOR_{name}" for name in ("HEALTH_PORT", "METRICS_PORT")}
    values = yaml.safe_load((CHART / "values.yaml").read_text())["operator"]
    assert len(values) >= 7
    for value in values:
        changed = told("--set", f"operator.{value}=1234")
        variable = "HEALTHINGEST_OPERATOR_" + re.sub("([A-Z])", r"_\1", value).upper()
        assert {name for name in before if before[name] != changed[name]} == {variable}
        assert changed[variable] == "1234"


def test_further_variables_reach_the_operator() -> None:
    """
    For example a proxy.

    A setting of the operator is refused there, because it has its own value.
    """
    words = ("--set", "extraEnv[0].name=HTTPS_PROXY", "--set", "extraEnv[0].value=http://proxy")
    (deployment,) = _of("Deployment", _rendered(*words))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {"name": "HTTPS_PROXY", "value": "http://proxy"} in container["env"]
    refused = _template("--set", "extraEnv[0].name=HEALTHINGEST_OPERATOR_WORKERS")
    assert refused.returncode != 0
    assert "extraEnv" in refused.stderr


def test_the_operators_bundle_is_mounted_where_its_libraries_look() -> None:
    """OpenSSL and botocore have a variable each; without a bundle there is neither."""
    (deployment,) = _of("Deployment", _rendered("--set", "caBundle.configMap=private-ca"))
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    values = {entry["name"]: entry.get("value") for entry in container["env"]}
    folders = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    source = {"name": "private-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    assert volumes["ca"]["configMap"] == source
    assert values["SSL_CERT_FILE"] == values["AWS_CA_BUNDLE"] == f"{folders['ca']}/ca.crt"
    (plain,) = _of("Deployment", _rendered())
    assert "SSL_CERT_FILE" not in str(plain)


def test_lease_times_out_of_order_are_refused() -> None:
    """The chart refuses them before an operator is installed that would refuse them."""
    done = _template("--set", "leaderElection.renewDeadlineSeconds=15")
    assert done.returncode != 0
    assert "leaseDurationSeconds must be greater than renewDeadlineSeconds" in done.stderr


def test_the_notes_say_what_hangs_without_an_operator(tmp_path: Path) -> None:
    """Notes and documentation have the same command to release a HealthIngest by hand."""
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("no `helm` on PATH")
    command = [helm, "install", "release", str(CHART), "--namespace", "system", "--dry-run=client"]
    alone = {**os.environ, "KUBECONFIG": str(tmp_path / "none")}
    text = subprocess.run(
        command, capture_output=True, text=True, timeout=30, check=True, env=alone
    ).stdout
    patch = """--type=merge --patch '{"metadata":{"finalizers":null}}'"""
    release = f"kubectl patch healthingest NAME --namespace NAMESPACE {patch}"
    assert "Before `helm uninstall`" in text
    assert release in text
    assert release in (ROOT / "docs" / "how-to" / "uninstall.md").read_text()


def test_a_slow_start_is_waited_for() -> None:
    """
    The startup probe waits five minutes.

    Python starts slowly on a node without free processor time.
    """
    (deployment,) = _of("Deployment", _rendered())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    probe = container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 300
    assert probe["timeoutSeconds"] >= 5


@pytest.mark.parametrize("kind", ["Deployment", "Pod"])
def test_every_pod_is_restricted(kind: str) -> None:
    """
    PodSecurity `restricted`, read-only root, limits.

    Kubernetes documentation, "Pod Security Standards".
    """
    found = _of(kind, _rendered())
    assert found
    for document in found:
        pod = document["spec"]["template"]["spec"] if kind == "Deployment" else document["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("version", ["1.31", "1.32", "1.33", "1.34", "1.35", "1.36"])
def test_every_kubernetes_knows_the_chart(version: str) -> None:
    """
    For all built-in kinds, with every value turned on.

    Kinds of other operators have their own schemas.
    """
    parts = ("serviceMonitor", "podMonitor", "alerts", "dashboard")
    for document in _rendered(
        *(word for part in parts for word in ("--set", f"monitoring.{part}.enabled=true"))
    ):
        if "monitoring.coreos.com" not in document["apiVersion"]:
            kubernetes_validate.validate(document, version, strict=True)


# ANN401: a YAML value
def _typos(schema: dict[str, Any], values: Any, path: tuple[str, ...] = ()) -> list[dict[str, Any]]:  # noqa: ANN401
    """Yield the default values with one misspelt name, at each depth that the schema closes."""
    found = []
    if schema.get("additionalProperties") is not False:
        return []
    for name in schema["properties"]:
        if name == "global":
            continue
        wrong = copy.deepcopy(values) if isinstance(values, dict) else {}
        wrong[f"{name}x"] = wrong.pop(name, None)
        for outer in reversed(path):
            wrong = {outer: wrong}
        found.append(wrong)
        inner = values.get(name, {}) if isinstance(values, dict) else {}
        found += _typos(schema["properties"][name], inner, (*path, name))
    return found


def test_a_misspelt_value_is_refused(tmp_path: Path) -> None:
    """A letter is added to each name of values.yaml, at every depth."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    typos = _typos(schema, values)
    assert len(typos) > 20
    for number, wrong in enumerate(typos):
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(wrong))
        done = _template("--values", str(path))
        assert done.returncode != 0, wrong
        assert "additional properties" in done.stderr
