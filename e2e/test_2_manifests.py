"""The API server refuses a wrong manifest with a message that names the field."""

import copy
from typing import Any

import pytest
import yaml

import install
import kubectl as k8s

NAMESPACE = "e2e-manifests"
MINIMAL = yaml.safe_load(install.MINIMAL.read_text())

CASES: dict[str, tuple[dict[str, Any], str]] = {
    "a bucket name with capitals": (
        {"objectStore": {"bucket": "Clinic_Data"}},
        "spec.objectStore.bucket",
    ),
    "a minimum over the maximum": (
        {"autoscaling": {"minReplicas": 5, "maxReplicas": 2}},
        "minReplicas must not exceed maxReplicas",
    ),
    "an unknown field": ({"objectStore": {"buckett": "x"}}, "spec.objectStore.buckett"),
    "a rate without a unit": ({"limits": {"uploads": "10"}}, "spec.limits.uploads"),
    "no broker": ({"broker": None}, "spec.broker"),
}


@pytest.fixture(scope="module", autouse=True)
def _namespace() -> None:
    k8s.namespace(NAMESPACE)


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_manifest_is_refused(case: str) -> None:
    """The answer names the field or the rule."""
    changes, expected = CASES[case]
    manifest = copy.deepcopy(MINIMAL)
    for group, fields in changes.items():
        if fields is None:
            del manifest["spec"][group]
        else:
            manifest["spec"].setdefault(group, {}).update(fields)
    with pytest.raises(k8s.CommandError) as refused:
        k8s.apply(manifest, namespace=NAMESPACE)
    assert expected in refused.value.text
    assert k8s.items("healthingests", NAMESPACE) == []
