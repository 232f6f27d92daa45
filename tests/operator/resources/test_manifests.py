"""Everything that is put into the cluster, held against the rules of the field."""

from dataclasses import replace
from typing import Any

import pytest

from healthingest_contract import environment as env
from healthingest_contract.service_settings import WRITTEN_BY_OPERATOR
from healthingest_operator.api.healthingest import HealthIngest, parse
from healthingest_operator.resources.children import KINDS, workload
from healthingest_operator.resources.comparison import difference
from healthingest_operator.resources.configuration import SECRETS_FOLDER
from healthingest_operator.resources.migration import migration_job
from healthingest_operator.resources.names import database
from healthingest_operator.resources.network_policy import endpoint_of
from healthingest_operator.resources.secrets import (
    MAIL_LOGIN,
    has_client_secrets,
    has_mail_login,
)
from support.operator_fakes import manifest
from support.rendered import BUILD, OWNERS, objects, settings

ALLOWED_VOLUMES = {
    "configMap",
    "downwardAPI",
    "emptyDir",
    "projected",
    "secret",
    "csi",
    "persistentVolumeClaim",
    "ephemeral",
}


@pytest.fixture(params=OWNERS, name="owner")
def _owner(request: pytest.FixtureRequest) -> HealthIngest:
    return OWNERS[request.param]


def pods(owner: HealthIngest) -> list[dict[str, Any]]:
    """All pod templates."""
    return [
        found["spec"]["template"]
        for found in objects(owner)
        if found["kind"] in {"Deployment", "Job"}
    ]


def test_pods_are_restricted(owner: HealthIngest) -> None:
    """PodSecurity `restricted`, check by check, and a read-only root beyond it."""
    for pod in (template["spec"] for template in pods(owner)):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"].get("runAsUser", 10000) >= 10000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert all(set(volume) - {"name"} <= ALLOWED_VOLUMES for volume in pod["volumes"])
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["readOnlyRootFilesystem"] is True
            assert not any("hostPort" in port for port in container.get("ports", ()))


def test_pods_have_no_token_and_bounded_room(owner: HealthIngest) -> None:
    """No ServiceAccount token, no service links, every emptyDir with a limit."""
    for pod in (template["spec"] for template in pods(owner)):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert all(
            volume["emptyDir"].get("sizeLimit") for volume in pod["volumes"] if "emptyDir" in volume
        )


def test_every_container_has_requests_and_limits_and_each_server_has_probes() -> None:
    """CPU and memory are requested and limited, so that a quota on any of them lets pods start."""
    for pod in pods(OWNERS["smallest"]):
        for container in pod["spec"]["containers"]:
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            if container["name"] != "migrate":
                assert {"startupProbe", "livenessProbe"} <= set(container)


def test_a_slow_start_is_waited_for(owner: HealthIngest) -> None:
    """
    Five minutes.

    A node without a free processor needs more than one to start the interpreter.
    """
    probes = [
        container["startupProbe"]
        for pod in pods(owner)
        for container in pod["spec"]["containers"]
        if "startupProbe" in container
    ]
    assert probes
    assert all(probe["periodSeconds"] * probe["failureThreshold"] >= 300 for probe in probes)


def test_a_container_mounts_only_its_own_secrets(owner: HealthIngest) -> None:
    """Each process reads its own files and no others; none is in its environment."""
    expected = {
        "api": env.API_SECRETS,
        "relay": env.RELAY_SECRETS,
        "janitor": env.JANITOR_SECRETS,
        "migrate": env.MIGRATE_SECRETS,
    }
    for pod in (template["spec"] for template in pods(owner)):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in pod["containers"]:
            mounts = [
                mount for mount in container["volumeMounts"] if mount["mountPath"] == SECRETS_FOLDER
            ]
            assert len(mounts) == 1
            files = {item["path"] for item in volumes[mounts[0]["name"]]["secret"]["items"]}
            absent = set() if owner.spec.cache else {env.CACHE_URL}
            if not has_mail_login(owner.spec):
                absent |= {*MAIL_LOGIN}
            if not has_client_secrets(owner.spec):
                absent |= {env.OIDC_CLIENT_SECRETS}
            assert files == expected[container["name"]] - absent
            assert not {entry["name"] for entry in container["env"]} & env.SECRET_NAMES


def test_the_config_map_has_every_setting_and_no_secret(owner: HealthIngest) -> None:
    """Exactly the names of the contract."""
    assert set(settings(owner)) - set(owner.spec.settings) == set(WRITTEN_BY_OPERATOR)


def test_the_janitor_and_the_relay_listen_apart() -> None:
    """Two processes of one pod share its ports."""
    relay = next(
        template
        for template in pods(OWNERS["smallest"])
        if len(template["spec"]["containers"]) == 2
    )
    ports = [container["ports"][0]["containerPort"] for container in relay["spec"]["containers"]]
    told = [container["env"][0] for container in relay["spec"]["containers"]]
    assert ports == [9000, 9001]
    assert told == [{"name": env.SERVER_METRICS_PORT, "value": str(port)} for port in ports]


def test_a_rollout_takes_no_pod_early() -> None:
    """
    Never fewer than wanted.

    A pod that goes is given time to finish and to be forgotten by proxies.
    """
    for found in objects(OWNERS["smallest"]):
        if found["kind"] == "Deployment":
            assert found["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    api = next(
        found
        for found in workload(OWNERS["smallest"], BUILD)
        if found["metadata"]["name"] == "clinic-api"
    )
    pod = api["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 60
    assert pod["containers"][0]["lifecycle"]["preStop"] == {"sleep": {"seconds": 10}}
    assert pod["readinessGates"] == [{"conditionType": "healthingest.dev/dependencies-ready"}]


def test_the_autoscaler_has_the_replicas() -> None:
    """With autoscaling the number is not written, without it it is."""
    written = {
        name: next(
            found for found in workload(owner, BUILD) if found["metadata"]["name"] == "clinic-api"
        )["spec"]
        for name, owner in OWNERS.items()
    }
    assert written["smallest"]["replicas"] == 2
    assert "replicas" not in written["everything"]


def test_children_are_owned_found_and_listed(owner: HealthIngest) -> None:
    """Each has the owner reference and the labels for listing, and is of a listed kind."""
    for found in objects(owner):
        assert found["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
        assert (
            found["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "healthingest-operator"
        )
        assert (found["apiVersion"], found["kind"]) in KINDS


def test_equal_specs_give_equal_objects(owner: HealthIngest) -> None:
    """What is deterministic differs from nothing."""
    for first, second in zip(objects(owner), objects(owner), strict=True):
        assert first == second
        assert difference(first, second) is None


def test_a_migration_is_run_once_per_version() -> None:
    """Another image or database is another Job; replicas are none of its business."""
    owner = OWNERS["smallest"]
    more = replace(owner, spec=owner.spec.model_copy(update={"replicas": 7}))
    names = [
        migration_job(which, build)["metadata"]["name"]
        for which, build in (
            (owner, BUILD),
            (more, BUILD),
            (owner, replace(BUILD, image="service:2")),
        )
    ]
    assert names[0] == names[1] != names[2]
    assert len(names[0]) <= 63


def test_each_component_has_a_network_policy(owner: HealthIngest) -> None:
    """Both directions are denied but for what is named; the metadata service is not reachable."""
    policies = [found for found in objects(owner) if found["kind"] == "NetworkPolicy"]
    components = {
        policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for policy in policies
    }
    assert components == {
        template["metadata"]["labels"]["app.kubernetes.io/component"] for template in pods(owner)
    }
    for policy in policies:
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        blocks = [
            peer["ipBlock"]
            for rule in policy["spec"]["egress"]
            for peer in rule.get("to", ())
            if "ipBlock" in peer
        ]
        assert all(block["except"] for block in blocks)


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("amqp://u:p@broker/host", "broker:5672"),
        ("amqps://broker:1", "broker:1"),
        ("amqps://[::1]", "[::1]:5671"),
        (None, ""),
    ],
)
def test_an_endpoint_is_host_and_port(address: str | None, endpoint: str) -> None:
    """Without login, path and scheme: everybody may read it."""
    assert endpoint_of(address) == endpoint


def test_database_names_fit_and_differ() -> None:
    """PostgreSQL cuts identifiers at 63 bytes, silently."""
    owner = OWNERS["smallest"]
    keys = [
        replace(owner.key, namespace=space * 30, name=name * 20)
        for space in "ab"
        for name in ("c-", "c.")
    ]
    assert len({database(key) for key in keys}) == 4
    assert all(len(database(key)) <= 63 for key in keys)


@pytest.mark.parametrize("replicas", [1, 2, 5])
def test_a_node_drains_with_any_number_of_replicas(replicas: int) -> None:
    """One pod may be unavailable, so an eviction is allowed even if there is one pod only."""
    (budget,) = [
        found
        for found in objects(parse(manifest(replicas=replicas)))
        if found["kind"] == "PodDisruptionBudget"
    ]
    assert budget["spec"]["maxUnavailable"] == 1
    assert "minAvailable" not in budget["spec"]
