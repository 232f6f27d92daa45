"""The schema and its rules on a real apiserver, and the same result from Python."""

import copy
import os
import random
from typing import Any
from uuid import uuid4

import pytest

from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster
from healthingest_operator.api.healthingest import InvalidSpecError, parse
from healthingest_operator.reconcile.errors import ClusterError
from support.api_cases import all_cases, with_field
from support.operator_fakes import manifest

RANDOM_SPECS = int(os.environ.get("HEALTHINGEST_RANDOM_SPECS", "500"))

CASES = all_cases()


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


@pytest.mark.parametrize("path", sorted(CASES))
async def test_each_field_takes_what_it_should(cluster: KubernetesCluster, path: str) -> None:
    """The server and Python both accept the first list and both refuse the second."""
    wrong = []
    for expected, values in zip((True, False), CASES[path], strict=True):
        for value in values:
            body = manifest()
            with_field(body["spec"], path, value)
            results = (await stored(cluster, body) is not None, accepted(body))
            if results != (expected, expected):
                wrong.append((value, expected, results))
    assert wrong == [], "(value, expected, (server, Python))"


async def test_python_agrees_on_random_specs(cluster: KubernetesCluster) -> None:
    """
    Several fields at once, good and bad.

    Server and Python accept the same ones, and defaults of the server are read the same.
    """
    seed = int(os.environ.get("HEALTHINGEST_RANDOM_SEED", uuid4().int % 10**6))
    chance = random.Random(seed)  # noqa: S311 - one seed, one list of specs
    results = set()
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
        results.add(found is not None)
        if found is not None:
            assert parse({**found, "spec": body["spec"]}) == parse(found)
    assert results == {True, False}
