"""Manifest to values: the same defaults and rules as the CustomResourceDefinition."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from healthingest_operator.api.healthingest import InvalidSpecError, parse
from support.api_cases import spec_schema, with_field
from support.operator_fakes import KEY, manifest

ROOT = Path(__file__).parents[3]


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
    completed["spec"] = with_defaults(completed["spec"], spec_schema())
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
        ("database", {}, "spec.database.secretRef: is required"),
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
        (
            "broker",
            {"adminSecretRef": {"name": "r"}, "queues": 5},
            "spec.broker.queues: must be a list",
        ),
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
    assert (found.serves_openapi, found.page) == served


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("broker.queues[].deliveryLimit", 0, "[0].deliveryLimit: must be between 1 and 1000000"),
        (
            "broker.queues[].deliveryLimit",
            "hush",
            "[0].deliveryLimit: must be an integer between 1 and 1000000",
        ),
        (
            "limits.uploads",
            "hush",
            "spec.limits.uploads: must be a number per second, minute, hour or day, such as",
        ),
        (
            "objectStore.versioning",
            "hush",
            "spec.objectStore.versioning: must be one of Required, IfSupported, Disabled",
        ),
        (
            "objectStore.bucket",
            "a..b",
            "spec.objectStore.bucket: a bucket name must not have two adjacent dots",
        ),
        ("database.secretRef", {}, "spec.database.secretRef.name: is required: Name of the Secret"),
        ("paused", "hush", "spec.paused: must be true or false"),
        (
            "podAnnotations",
            {"hush": 1},
            "spec.podAnnotations: must be a map of at most 64 entries, each a text of at most",
        ),
        ("trustedProxies", ["hush"], "spec.trustedProxies[0]: must be a network such as"),
        ("broker.queues[].bindings", ["a", "a"], "bindings: must not have two equal entries"),
        ("broker.queues[].bindings", [], "bindings: must be a list of between 1 and 32 entries"),
    ],
)
def test_a_problem_says_what_is_permitted(path: str, value: object, sentence: str) -> None:
    """Path, range or form; never the value, nor a key of a map, for it may be a secret."""
    body = manifest()
    with_field(body["spec"], path, value)
    with pytest.raises(InvalidSpecError) as refused:
        parse(body)
    (problem,) = refused.value.problems
    assert sentence in problem
    assert problem.startswith("spec.")
    assert "hush" not in problem


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "HEALTHINGEST_DATABASE__URL",
            "HEALTHINGEST_DATABASE__URL is a secret and stays in a Secret (spec.database.secret",
        ),
        (
            "HEALTHINGEST_LIMITS__UPLOADS",
            "HEALTHINGEST_LIMITS__UPLOADS is written by the operator (spec.limits.uploads)",
        ),
        ("HEALTHINGEST_SPOOL__FILES", "HEALTHINGEST_SPOOL__FILES cannot be set on a cluster"),
        ("hush", "has a name that is not a setting of the service; docs/reference/settings.md"),
    ],
)
def test_a_setting_that_is_not_for_the_resource_is_refused(name: str, sentence: str) -> None:
    """By its name and with the remedy; a text that is not a setting's name is not repeated."""
    with pytest.raises(InvalidSpecError) as refused:
        parse(manifest(settings={name: "hush", "HEALTHINGEST_GATE__WORKERS": "2"}))
    (problem,) = refused.value.problems
    assert problem.startswith(f"spec.settings: {sentence}")
    assert "hush" not in problem
    assert "WORKERS" not in problem


def test_a_virtual_host_is_named_after_its_resource() -> None:
    """The one default that is not in the schema."""
    body = manifest(broker={"adminSecretRef": {"name": "r"}})
    assert parse(body).spec.broker.virtual_host == f"{KEY.namespace}.{KEY.name}"


def test_null_is_absent() -> None:
    """As the API server reads it."""
    body = manifest(replicas=None, limits={"uploads": None}, autoscaling=None)
    assert parse(body) == parse(manifest())


def test_a_name_that_is_too_long_is_refused() -> None:
    """Names of children contain it; the spec's problems are told with it."""
    body = manifest(paused="x")
    body["metadata"]["name"] = "a" * 41
    with pytest.raises(InvalidSpecError) as refused:
        parse(body)
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "metadata.name",
        "spec.paused",
    ]


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
    "path", sorted((ROOT / "examples").glob("0[1-9]-*.yaml")), ids=lambda path: path.stem
)
def test_examples_are_valid(path: Path) -> None:
    """Every manifest in `examples/` can be read."""
    found = next(
        entry for entry in yaml.safe_load_all(path.read_text()) if entry["kind"] == "HealthIngest"
    )
    found["metadata"] |= {"namespace": "a", "uid": "1"}
    assert parse(found).spec.object_store.bucket
