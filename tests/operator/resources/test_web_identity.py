"""Pods without static keys: variables, token, and the ports of token services."""

from typing import Any

import pytest

from healthingest_contract.pod_identity import TOKEN_SECONDS, WebIdentity, pod_identity
from healthingest_operator.api.healthingest import HealthIngest, parse
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.resources.children import foundations, workload
from healthingest_operator.resources.migration import migration_job
from support.operator_fakes import manifest
from support.rendered import BUILD, PORTS

ROLE = "arn:aws:iam::111122223333:role/clinic"
STORE = {"endpoint": "https://s3.example:9000", "bucket": "clinic-data", "region": "eu-central-1"}


def owner(**store: object) -> HealthIngest:
    """A HealthIngest without static keys, with these fields of its object store."""
    return parse(manifest(objectStore={**STORE, **store}))


def pods(one: HealthIngest) -> dict[str, ManifestView]:
    """The pod specs of API, relay and migration."""
    found = [item for item in workload(one, BUILD) if item["kind"] == "Deployment"]
    return {
        item["metadata"]["name"]: item["spec"]["template"]["spec"]
        for item in (*found, migration_job(one, BUILD))
    }


def containers(one: HealthIngest) -> dict[str, ManifestView]:
    """All containers by name."""
    return {part["name"]: part for pod in pods(one).values() for part in pod["containers"]}


def egress(one: HealthIngest, component: str) -> list[Any]:
    """The rules of a component's NetworkPolicy beside those for names and the cluster."""
    found: list[Any] = next(
        item["spec"]["egress"]
        for item in foundations(one, {}, PORTS)
        if item["kind"] == "NetworkPolicy" and item["metadata"]["name"] == f"clinic-{component}"
    )
    return found[2:]


def ports(rules: list[Any]) -> set[int]:
    """The ports of rules."""
    return {port["port"] for rule in rules for port in rule["ports"]}


def test_a_role_gives_containers_of_the_bucket_what_the_sdks_read() -> None:
    """API and janitor read the token from the file; relay and migration have no identity."""
    one = owner(webIdentity={"roleArn": ROLE, "audience": "minio"})
    for name, container in containers(one).items():
        environment = {entry["name"]: entry["value"] for entry in container["env"]}
        found = pod_identity(environment)
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        if name in {"api", "janitor"}:
            assert isinstance(found, WebIdentity)
            assert (found.role_arn, found.session_name) == (ROLE, "clinic")
            assert (found.endpoint, found.region) == (STORE["endpoint"], "eu-central-1")
            assert str(found.token_file.parent) in mounts
        else:
            assert found is None
            assert "/var/run/secrets/web-identity" not in mounts


def test_only_pods_of_the_bucket_get_the_projected_token() -> None:
    """With its audience; the token of the Kubernetes API is not mounted."""
    one = owner(webIdentity={"roleArn": ROLE, "audience": "minio"})
    for name, pod in pods(one).items():
        tokens = [
            source["serviceAccountToken"]
            for volume in pod["volumes"]
            for source in volume.get("projected", {}).get("sources", ())
        ]
        has_store = name in {"clinic-api", "clinic-relay"}
        wanted = {"audience": "minio", "expirationSeconds": TOKEN_SECONDS, "path": "token"}
        assert tokens == ([wanted] if has_store else [])
        assert pod["automountServiceAccountToken"] is False


def test_no_static_key_is_mounted() -> None:
    """With a role, and with an identity that an admission webhook sets."""
    for one in (owner(webIdentity={"roleArn": ROLE}), owner()):
        for pod in pods(one).values():
            keys = {
                item["key"]
                for volume in pod["volumes"]
                for item in volume.get("secret", {}).get("items", ())
            }
            assert not {key for key in keys if "ACCESS_KEY" in key}
            assert any("DATABASE" in key for key in keys)


@pytest.mark.parametrize(
    ("identity", "port"),
    [
        ({"roleArn": ROLE, "stsEndpoint": "http://sts.example:7480"}, 7480),
        ({"roleArn": ROLE}, 9000),
        ({"roleArn": ROLE, "stsEndpoint": "https://sts.example"}, 443),
    ],
)
def test_the_policy_lets_pods_reach_the_token_service(identity: dict[str, str], port: int) -> None:
    """By default it is the object store itself; the node's endpoint stays closed."""
    one = owner(webIdentity=identity)
    for component in ("api", "relay"):
        rules = egress(one, component)
        assert len(rules) == 1
        assert port in ports(rules)
    assert port not in ports(egress(one, "migrate"))


def test_without_a_role_both_kinds_of_admission_webhooks_work() -> None:
    """AWS STS, and the endpoint of EKS Pod Identity on the node, for pods of the bucket."""
    for component in ("api", "relay"):
        rules = egress(owner(endpoint="http://s3:7070"), component)
        assert 443 in ports(rules[:1])
        assert [block["ipBlock"]["cidr"] for block in rules[1]["to"]] == [
            "169.254.170.23/32",
            "fd00:ec2::23/128",
        ]
        assert ports(rules[1:]) == {80}
    assert len(egress(owner(), "migrate")) == 1


def test_changed_annotations_of_the_account_replace_the_pods_that_get_keys_by_them() -> None:
    """A webhook reads them when a pod is created; the migration needs no keys."""

    def templates(role: str, **store: object) -> list[str]:
        account = {"annotations": {"eks.amazonaws.com/role-arn": role}}
        one = parse(manifest(objectStore={**STORE, **store}, serviceAccount=account))
        items = [item for item in workload(one, BUILD) if item["kind"] == "Deployment"]
        found = [*items, migration_job(one, BUILD)]
        return [str(item["spec"]["template"]) for item in found]

    first = templates("a")
    second = templates("b")
    assert [one == other for one, other in zip(first, second, strict=True)] == [False, False, True]
    keys = {"credentialsSecretRef": {"name": "s3"}}
    assert templates("a", **keys) == templates("b", **keys)


def test_with_static_keys_nothing_is_opened() -> None:
    """The rules are those of the dependencies alone."""
    one = owner(credentialsSecretRef={"name": "s3"})
    assert all(len(egress(one, component)) == 1 for component in ("api", "relay", "migrate"))
    assert "443" not in str(egress(parse(manifest()), "migrate"))
    assert "AWS_" not in str(containers(one))
