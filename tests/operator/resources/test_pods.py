"""Fields of the spec that reach the pods, the ServiceAccount and the Service."""

from typing import Any

import pytest

from healthingest_contract import environment as env
from healthingest_operator.api.healthingest import HealthIngest, parse
from healthingest_operator.resources.migration import migration_job
from support.operator_fakes import manifest
from support.rendered import BUILD, objects, settings


def owner(**spec: object) -> HealthIngest:
    """Return a HealthIngest with these fields."""
    return parse(manifest(**spec))


def templates(**spec: object) -> dict[str, dict[str, Any]]:
    """Return the pod templates by component."""
    found = [
        child["spec"]["template"]
        for child in objects(owner(**spec))
        if child["kind"] in {"Deployment", "Job"}
    ]
    return {pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod for pod in found}


def child(kind: str, **spec: object) -> list[dict[str, Any]]:
    """Return the children of a kind."""
    return [found for found in objects(owner(**spec)) if found["kind"] == kind]


def test_labels_and_annotations_reach_all_pods_and_the_job() -> None:
    """A label that keeps a sidecar away is needed in the Job, too; the selectors still match."""
    found = templates(
        podLabels={"sidecar.istio.io/inject": "false", "app.kubernetes.io/instance": "other"},
        podAnnotations={"linkerd.io/inject": "disabled"},
    )
    assert set(found) == {"api", "relay", "migrate"}
    for pod in found.values():
        assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
        assert pod["metadata"]["labels"]["app.kubernetes.io/instance"] == "clinic"
        assert pod["metadata"]["annotations"]["linkerd.io/inject"] == "disabled"


def test_a_changed_annotation_is_another_job() -> None:
    """The Job is immutable: one that a sidecar keeps running is replaced."""
    names = {
        migration_job(owner(podAnnotations=annotations), BUILD)["metadata"]["name"]
        for annotations in ({}, {"sidecar.istio.io/inject": "false"})
    }
    assert len(names) == 2


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"priorityClassName": "high"}, {"priorityClassName": "high"}),
        ({"runtimeClassName": "gvisor"}, {"runtimeClassName": "gvisor"}),
        (
            {"hostAliases": [{"ip": "::1", "hostnames": ["a"]}]},
            {"hostAliases": [{"ip": "::1", "hostnames": ["a"]}]},
        ),
        ({"serviceAccount": {"name": "other"}}, {"serviceAccountName": "other"}),
    ],
)
def test_a_field_of_pods_reaches_all_of_them(
    spec: dict[str, Any], expected: dict[str, Any]
) -> None:
    """API, relay and migration; without the field it is absent, or the operator's own."""
    for pod in templates(**spec).values():
        assert expected.items() <= pod["spec"].items()
    for pod in templates().values():
        assert not expected.items() <= pod["spec"].items()


def test_the_default_ids_are_fixed_and_secrets_are_read_by_group() -> None:
    """10001 for user, group and volumes."""
    for pod in templates().values():
        ids = {"runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001}
        assert ids.items() <= pod["spec"]["securityContext"].items()
        assert secret_modes(pod) == {0o440}


def test_an_empty_context_leaves_all_ids_to_the_platform() -> None:
    """`restricted` still holds, and secrets can be read by any user of their only container."""
    for pod in templates(podSecurityContext={}).values():
        assert pod["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert secret_modes(pod) == {0o444}


def test_ids_of_the_spec_are_used() -> None:
    """Those of containers take precedence in Kubernetes."""
    for pod in templates(
        podSecurityContext={"runAsUser": 7, "fsGroup": 8, "seLinuxOptions": {"level": "s0"}},
        securityContext={"runAsGroup": 9},
    ).values():
        context = pod["spec"]["securityContext"]
        assert {"runAsUser": 7, "fsGroup": 8, "seLinuxOptions": {"level": "s0"}}.items() <= (
            context.items()
        )
        assert "runAsGroup" not in context
        assert secret_modes(pod) == {0o440}
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["runAsGroup"] == 9
            assert container["securityContext"]["allowPrivilegeEscalation"] is False


def secret_modes(pod: dict[str, Any]) -> set[int]:
    """Return the modes of the pod's secret files."""
    return {
        volume["secret"]["defaultMode"] for volume in pod["spec"]["volumes"] if "secret" in volume
    }


def test_proxy_and_further_variables_reach_every_container() -> None:
    """Addresses in the cluster are reached without proxy unless the spec says otherwise."""
    for pod in templates(
        proxy={"httpsProxy": "http://proxy.example:3128"},
        extraEnv=[{"name": "TZ", "value": "UTC"}],
    ).values():
        for container in pod["spec"]["containers"]:
            values = {entry["name"]: entry.get("value") for entry in container["env"]}
            assert values["HTTPS_PROXY"] == "http://proxy.example:3128"
            assert ".svc" in str(values["NO_PROXY"]).split(",")
            assert "HTTP_PROXY" not in values
            assert values["TZ"] == "UTC"


def test_a_further_variable_replaces_one_of_the_same_name() -> None:
    """The last one counts; the server refuses to apply two variables of one name."""
    further = [
        {"name": "NO_PROXY", "value": "first"},
        {"name": "NO_PROXY", "value": "last"},
    ]
    proxy = {"httpsProxy": "http://proxy.example:3128"}
    for pod in templates(proxy=proxy, extraEnv=further).values():
        for container in pod["spec"]["containers"]:
            found = [entry for entry in container["env"] if entry["name"] == "NO_PROXY"]
            assert found == further[1:]


def test_network_policies_let_the_proxy_through() -> None:
    """For the processes that talk to the object store."""
    open_to = {
        policy["metadata"]["name"]: {
            port["port"]
            for rule in policy["spec"]["egress"]
            if any("ipBlock" in peer for peer in rule.get("to", ()))
            for port in rule["ports"]
        }
        for policy in child("NetworkPolicy", proxy={"httpsProxy": "http://proxy.example:3128"})
    }
    assert {name for name, ports in open_to.items() if 3128 in ports} == {
        "clinic-api",
        "clinic-relay",
    }


def test_a_named_service_account_is_not_created() -> None:
    """The other one bears the annotations of the spec, e.g. for workload identity."""
    assert child("ServiceAccount", serviceAccount={"name": "other"}) == []
    (found,) = child("ServiceAccount", serviceAccount={"annotations": {"a": "b"}})
    assert found["metadata"]["name"] == "clinic"
    assert found["metadata"]["annotations"]["a"] == "b"


def test_the_service_is_as_the_spec_wants_it() -> None:
    """Type, annotations, labels and IP families; the protocol of the port is known to meshes."""
    (found,) = child(
        "Service",
        service={
            "type": "NodePort",
            "annotations": {"a": "b"},
            "labels": {"c": "d", "app.kubernetes.io/name": "other"},
            "ipFamilyPolicy": "PreferDualStack",
        },
    )
    assert found["spec"]["type"] == "NodePort"
    assert found["spec"]["ipFamilyPolicy"] == "PreferDualStack"
    assert found["spec"]["ports"][0]["appProtocol"] == "http"
    assert found["metadata"]["annotations"]["a"] == "b"
    assert found["metadata"]["labels"]["c"] == "d"
    assert found["metadata"]["labels"]["app.kubernetes.io/name"] == "healthingest"
    (default,) = child("Service")
    assert default["spec"]["type"] == "ClusterIP"
    assert "ipFamilyPolicy" not in default["spec"]


@pytest.mark.parametrize("seconds", [30, 60, 3600])
def test_requests_in_progress_end_within_the_grace_period(seconds: int) -> None:
    """The wait before, the requests, and the closing of connections fit into it."""
    spec = {"terminationGracePeriodSeconds": seconds}
    pod = templates(**spec)["api"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == seconds
    waiting = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    graceful = int(settings(owner(**spec))[env.SERVER_GRACEFUL_SHUTDOWN_SECONDS])
    assert 10 <= graceful <= seconds - waiting - 10
