"""Manifest to values: the same defaults and rules as the CustomResourceDefinition."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from healthingest_operator.model.parse import InvalidSpecError, parse
from support.operator_world import manifest

ROOT = Path(__file__).parents[3]


def schema() -> dict[str, Any]:
    """The schema of `spec`."""
    crd = yaml.safe_load((ROOT / "crds" / "healthingests.healthingest.dev.yaml").read_text())
    found: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][
        "spec"
    ]
    return found


def with_defaults(value: Any, described: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """What an apiserver makes of *value*."""
    if isinstance(value, dict):
        for name, part in described.get("properties", {}).items():
            if name not in value and "default" in part:
                value[name] = copy.deepcopy(part["default"])
            if name in value:
                value[name] = with_defaults(value[name], part)
    if isinstance(value, list):
        return [with_defaults(element, described["items"]) for element in value]
    return value


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"autoscaling": {"maxReplicas": 4}},
        {"ingress": {"host": "a.example"}, "cache": {"secretRef": {"name": "redis"}}},
        {"schemas": {"mode": "Allowed", "configMapRef": {"name": "schemas"}}},
    ],
)
def test_defaults_are_those_of_the_schema(spec: dict[str, Any]) -> None:
    """An object that no apiserver has completed reads as one that it has."""
    bare = manifest(**spec)
    completed = manifest(**copy.deepcopy(spec))
    completed["spec"] = with_defaults(completed["spec"], schema())
    assert completed["spec"] != bare["spec"]
    assert parse(bare) == parse(completed)


@pytest.mark.parametrize(
    ("group", "value", "named"),
    [
        ("limits", {"uploads": "10/fortnight"}, "limits.uploads"),
        ("limits", {"requests": "0/hour"}, "limits.requests"),
        ("limits", {"maxFileSize": "6Gi"}, "limits.maxFileSize"),
        ("limits", {"maxFileSize": "many"}, "limits.maxFileSize"),
        ("autoscaling", {"minReplicas": 3, "maxReplicas": 2}, "autoscaling"),
        ("schemas", {"mode": "Allowed"}, "schemas"),
        ("database", {}, "database.secretRef.name"),
        (
            "objectStore",
            {"bucket": "UPPER", "credentialsSecretRef": {"name": "s3"}},
            "objectStore.bucket",
        ),
        (
            "objectStore",
            {"bucket": "10.0.0.1", "credentialsSecretRef": {"name": "s3"}},
            "objectStore.bucket",
        ),
        ("objectStore", {"bucket": "abc", "encryption": {"mode": "SSE-KMS"}}, "keyId"),
        (
            "objectStore",
            {"bucket": "abc", "endpoint": "https://user:word@host"},
            "objectStore.endpoint",
        ),
        ("objectStore", {"bucket": "abc", "versioning": "Perhaps"}, "objectStore.versioning"),
        ("broker", {"adminSecretRef": {"name": "r"}, "virtualHost": "a b"}, "broker.virtualHost"),
        (
            "broker",
            {"adminSecretRef": {"name": "r"}, "queues": [{"name": "a"}, {"name": "a.dead"}]},
            "dead-letter",
        ),
        ("broker", {"adminSecretRef": {"name": "r"}, "queues": 5}, "wrong type"),
    ],
)
def test_a_broken_rule_names_its_field(group: str, value: object, named: str) -> None:
    """Also what an older schema let pass; the values are not repeated."""
    with pytest.raises(InvalidSpecError) as refused:
        parse(manifest(**{group: value}))
    assert named in str(refused.value)
    assert "word" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "served"),
    [
        ({}, (False, False)),
        ({"openapi": True}, (True, False)),
        ({"page": True}, (True, True)),
        ({"page": True, "openapi": False}, (True, True)),
    ],
)
def test_the_page_brings_its_document(given: dict[str, bool], served: tuple[bool, bool]) -> None:
    """Both are off unless asked for; a page without its document would be empty."""
    found = parse(manifest(documentation=given)).spec.documentation
    assert (found.openapi, found.page) == served


def test_all_problems_are_told_at_once() -> None:
    """Nobody wants to mend a manifest one field at a time."""
    with pytest.raises(InvalidSpecError) as refused:
        parse(manifest(limits={"uploads": "x", "requests": "y"}))
    assert len(refused.value.problems) == 2


def test_the_smallest_example_is_small() -> None:
    """Short forms stay short."""
    text = (ROOT / "examples" / "01-minimal.yaml").read_text()
    assert len(text.splitlines()) < 25


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("[0-9]*.yaml")), ids=lambda path: path.stem
)
def test_examples_are_valid(path: Path) -> None:
    """Every manifest in `examples/` can be read."""
    found = next(
        entry for entry in yaml.safe_load_all(path.read_text()) if entry["kind"] == "HealthIngest"
    )
    found["metadata"] |= {"namespace": "a", "uid": "1"}
    assert parse(found).spec.object_store.bucket
