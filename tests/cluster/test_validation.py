"""The schema and its rules on a real apiserver, and the same verdict from Python."""

import copy
import os
import random
from typing import Any
from uuid import uuid4

import pytest

from healthingest_operator.adapters.kubernetes import KubernetesCluster
from healthingest_operator.model.bounds import BOUNDS
from healthingest_operator.model.parse import InvalidSpecError, parse
from healthingest_operator.reconcile.errors import ClusterError
from support.operator_world import manifest

RANDOM_SPECS = int(os.environ.get("HEALTHINGEST_RANDOM_SPECS", "500"))

NAME = (["a", "a" * 253], ["", "a" * 254, 1])
WISH = (["Required", "IfSupported", "Disabled"], ["required", "", True])
POLICY = (["Retain", "Delete"], ["Keep", ""])
RATE = (
    ["1/second", "999999999/day", "10/minute", "5/hour"],
    ["0/hour", "1/week", "1 /hour", "1000000000/day", "10", 10],
)
BROKER_NAME = (["a", "A.b_c-9"], ["", ".a", "a b", "ä", "a/b", 1])

# What each field takes and what it does not.
CASES: dict[str, tuple[list[Any], list[Any]]] = {
    "image": (["a", "registry.example:5000/a@sha256:0"], ["", "a" * 513, 1]),
    "imagePullPolicy": (["Always", "IfNotPresent", "Never"], ["Sometimes", ""]),
    "imagePullSecrets": ([[], [{"name": "a"}]], ["a", [{"name": f"a{n}"} for n in range(17)]]),
    "imagePullSecrets[].name": NAME,
    "replicas": ([0, 1, 1000], [-1, 1001, "2", 1.5, True]),
    "autoscaling.minReplicas": ([1, 2, 3], [0, -1, 1001, "1"]),
    "autoscaling.maxReplicas": ([2, 1000], [0, 1, 1001, "3"]),
    "autoscaling.targetCPUUtilizationPercentage": ([1, 1000], [0, 1001, "70"]),
    "objectStore.endpoint": (
        ["http://a", "https://a.example:9000/", "http://[::1]:1"],
        ["", "a", "ftp://a", "http://u:p@a", "http://a/b", "http://a?b", "http://a b", "HTTP://a"],
    ),
    "objectStore.region": (["a", "eu-central-1"], ["", "EU", "a_b", "a" * 65]),
    "objectStore.bucket": (
        ["abc", "a.b-c", "1.2.3", "a" * 63],
        ["ab", "a" * 64, "Abc", "-abc", "abc-", "a..b", "10.0.0.1", "a_b", ".abc", 123],
    ),
    "objectStore.credentialsSecretRef.name": NAME,
    "objectStore.adminSecretRef.name": NAME,
    "objectStore.versioning": WISH,
    "objectStore.publicAccessBlock": WISH,
    "objectStore.encryption.mode": (["None", "SSE-S3"], ["SSE-KMS", "AES", ""]),
    "objectStore.encryption.keyId": ([], ["k", ""]),
    "objectStore.encryption.policy": (["Required", "IfSupported"], ["Disabled", ""]),
    "objectStore.encryption": (
        [{"mode": "SSE-KMS", "keyId": "k"}, {}],
        [{"mode": "None", "keyId": "k"}, "SSE-S3"],
    ),
    "objectStore.abortIncompleteUploadsAfterDays": ([0, 1, 365], [-1, 366, "1"]),
    "objectStore.deletionPolicy": POLICY,
    "broker.adminSecretRef.name": NAME,
    "broker.virtualHost": ([*BROKER_NAME[0], "a" * 110], [*BROKER_NAME[1], "a" * 111]),
    "broker.exchange": ([*BROKER_NAME[0], "a" * 120], [*BROKER_NAME[1], "a" * 121]),
    "broker.queues": (
        [[], [{"name": "a"}, {"name": "b"}], [{"name": "a.dead"}]],
        [[{}], [{"name": "a"}, {"name": "a"}], [{"name": "a"}, {"name": "a.dead"}], "a"],
    ),
    "broker.queues[].name": ([*BROKER_NAME[0], "a" * 120], [*BROKER_NAME[1], "a" * 121]),
    "broker.queues[].bindings": (
        [["a.#"], ["a", "b"]],
        [[], ["a", "a"], "a", [f"a{n}" for n in range(33)]],
    ),
    "broker.queues[].bindings[]": (["#", "a" * 255], ["", "a" * 256, 1]),
    "broker.queues[].deliveryLimit": ([1, 1_000_000], [0, 1_000_001, "1"]),
    "broker.queues[].maxLengthBytes": ([2**20, 2**40], [2**20 - 1, 2**40 + 1, "1Mi"]),
    "broker.deletionPolicy": POLICY,
    "database.secretRef.name": NAME,
    "cache.secretRef.name": NAME,
    "accounts.registration": (["Closed", "Open", "VerifiedOnly"], ["closed", ""]),
    "limits.maxFileSize": (
        ["1", "50Mi", "5Gi", "5G", "5368709120"],
        ["0", "05", "1.5Gi", "5368709121", "6Gi", "1Ti", "-1", "", "9" * 17, 50],
    ),
    "limits.uploads": RATE,
    "limits.requests": RATE,
    "schemas.mode": (["Any"], ["Allowed", "None", ""]),
    "schemas": (
        [{"mode": "Allowed", "configMapRef": {"name": "a"}}, {}],
        [{"mode": "Allowed"}, {"configMapRef": {}}],
    ),
    "schemas.configMapRef.name": NAME,
    "ingress.className": NAME,
    "ingress.host": (
        ["a", "a.example", "*.a.example", "1.example"],
        ["", "A", "a..b", "-a", "a-", "*", "a.*", "a_b", "a" * 254],
    ),
    "ingress.tlsSecretName": NAME,
    "ingress.annotations": (
        [{}, {"a": "b"}],
        [{"a": 1}, {"a": "b" * 4097}, {f"a{n}": "b" for n in range(65)}],
    ),
    "trustedProxies": ([[], ["10.0.0.0/8"]], ["10.0.0.0/8", ["::/0"] * 65]),
    "trustedProxies[]": (
        ["10.0.0.0/8", "::/0", "fd00::/8"],
        ["10.0.0.0", "a.example/8", "1/", "", 1],
    ),
    "nodeSelector": ([{}, {"a": "b"}], [{"a": True}, "a"]),
    "podAnnotations": ([{}, {"a": "b"}], [{"a": 1}, {f"a{n}": "b" for n in range(65)}]),
    "paused": ([True, False], ["true", 1]),
    "documentation.openapi": ([True, False], ["true", 1]),
    "documentation.page": ([True, False], ["true", 1]),
}
# Without these a part that is named alone would be incomplete.
COMPLETE: dict[str, dict[str, Any]] = {
    "autoscaling": {"maxReplicas": 5},
    "ingress": {"host": "a.example"},
    "queues": {"name": "processing"},
}


def with_field(spec: dict[str, Any], path: str, value: object) -> None:
    """Set a field; the parts around it are made as they must be."""
    value = copy.deepcopy(value)
    *parents, last = path.replace("[]", ".[]").split(".")
    place: Any = spec
    for number, name in enumerate(parents):
        following = [*parents, last][number + 1]
        if name == "[]":
            place = place[0]
        elif following == "[]":
            if not isinstance(place.get(name), list) or not place[name]:
                place[name] = [copy.deepcopy(COMPLETE.get(name, {}))]
            place = place[name]
        else:
            if not isinstance(place.get(name), dict):
                place[name] = copy.deepcopy(COMPLETE.get(name, {}))
            place = place[name]
    if last == "[]":
        place[0] = value
    else:
        place[last] = value


async def stored(cluster: KubernetesCluster, body: dict[str, Any]) -> dict[str, Any] | None:
    """What the server would store; None: it refuses. Nothing is kept."""
    sent = {**body, "metadata": {"name": "clinic", "namespace": "default"}}
    path = "/apis/healthingest.dev/v1alpha1/namespaces/default/healthingests"
    try:
        return await cluster.call(
            "POST", path, query=[("dryRun", "All"), ("fieldValidation", "Strict")], body=sent
        )
    except ClusterError as error:
        if error.status not in {400, 422}:
            raise
        return None


def accepted(body: dict[str, Any]) -> bool:
    """What Python says."""
    try:
        parse(body)
    except InvalidSpecError:
        return False
    return True


def test_every_bound_has_its_cases() -> None:
    """No field is forgotten here, and there are enough of them."""
    assert set(BOUNDS) <= set(CASES)
    assert sum(len(good) + len(bad) for good, bad in CASES.values()) >= 250


@pytest.mark.parametrize("path", sorted(CASES))
async def test_each_field_takes_what_it_should(cluster: KubernetesCluster, path: str) -> None:
    """The server and Python both accept the first list and both refuse the second."""
    wrong = []
    for expected, values in zip((True, False), CASES[path], strict=True):
        for value in values:
            body = manifest()
            with_field(body["spec"], path, value)
            verdicts = (await stored(cluster, body) is not None, accepted(body))
            if verdicts != (expected, expected):
                wrong.append((value, expected, verdicts))
    assert wrong == [], "(value, expected, (server, Python))"


async def test_python_agrees_on_random_specs(cluster: KubernetesCluster) -> None:
    """
    Several fields at once, good and bad.

    The same verdict, and what the server completes reads the same.
    """
    seed = int(os.environ.get("HEALTHINGEST_RANDOM_SEED", uuid4().int % 10**6))
    chance = random.Random(seed)  # noqa: S311 - one seed, one list of specs
    verdicts = set()
    for number in range(RANDOM_SPECS):
        body = manifest()
        for path in sorted(chance.sample(sorted(CASES), chance.randint(1, 6))):
            good, bad = CASES[path]
            with_field(
                body["spec"],
                path,
                chance.choice(bad if chance.random() < 0.15 or not good else good),
            )
        found = await stored(cluster, copy.deepcopy(body))
        assert accepted(body) == (found is not None), (
            f"HEALTHINGEST_RANDOM_SEED={seed}, number {number}: {body['spec']}"
        )
        verdicts.add(found is not None)
        if found is not None:
            assert parse({**found, "spec": body["spec"]}) == parse(found)
    assert verdicts == {True, False}
