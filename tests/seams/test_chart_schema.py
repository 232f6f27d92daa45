"""values.schema.json describes and bounds each value of the chart, and refuses every other."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "healthingest-operator"
AS_IN_A_POD = {
    "affinity",
    "extraEnv.[].valueFrom",
    "extraVolumes.[]",
    "extraVolumeMounts.[]",
    "global",
    "networkPolicy.metricsFrom.[]",
    "podSecurityContext.seLinuxOptions",
    "resources.claims.[]",
    "tolerations.[]",
}
"""Objects that the API server checks: the chart copies them into the pod or the policy."""


@pytest.fixture(scope="module", name="schema")
def _schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return found


def _places(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each value of a schema with its path, also those in lists."""
    inner = dict(schema.get("properties", {}))
    if "items" in schema:
        inner["[]"] = schema["items"]
    for name, place in inner.items():
        below = f"{path}.{name}" if path else name
        yield below, place
        yield from _places(place, below)


def _paths(values: object, path: str = "") -> Iterator[str]:
    if isinstance(values, dict):
        for name, value in values.items():
            below = f"{path}.{name}" if path else name
            yield below
            yield from _paths(value, below)


def _is_open(place: dict[str, Any]) -> bool:
    """Whether unknown members are accepted; a map of texts or quantities has typed members."""
    more = place.get("additionalProperties")
    return more is not False and not (isinstance(more, dict) and "type" in more)


def _types(place: dict[str, Any]) -> set[str]:
    found = place["type"]
    return set(found if isinstance(found, list) else [found])


def test_each_value_has_a_type_and_a_description(schema: dict[str, Any]) -> None:
    """Members of lists need only a type, because the list has the description."""
    places = dict(_places(schema))
    assert len(places) > 80
    assert [path for path, place in places.items() if "type" not in place] == []
    described = {path for path, place in places.items() if place.get("description")}
    assert {path for path in places if not path.endswith("[]")} - described == set()


def test_each_value_has_bounds(schema: dict[str, Any]) -> None:
    """A number has both ends, a text a pattern or a length, a list a number of members."""
    unbounded = []
    for path, place in _places(schema):
        types = _types(place)
        if types & {"integer", "number"} and "string" not in types:
            low = {"minimum", "exclusiveMinimum"} & place.keys()
            bounded = bool(low) and "maximum" in place
        elif "string" in types:
            bounded = bool({"pattern", "enum", "maxLength"} & place.keys())
        else:
            bounded = "array" not in types or "maxItems" in place
        unbounded += [] if bounded else [path]
    assert unbounded == []


def test_unknown_members_are_refused_everywhere(schema: dict[str, Any]) -> None:
    """Except in objects that Kubernetes checks."""
    objects = {path: place for path, place in _places(schema) if "object" in _types(place)}
    assert {path for path, place in objects.items() if _is_open(place)} == AS_IN_A_POD
    assert schema["additionalProperties"] is False


def test_the_schema_has_the_values_of_the_chart_and_no_other(schema: dict[str, Any]) -> None:
    """Values that have no default are listed here."""
    maps = ("resources.requests.", "resources.limits.", "monitoring.dashboard.labels.")
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    named = {path for path in _paths(values) if not path.startswith(maps)}
    known = {path for path, _ in _places(schema) if "[]" not in path}
    assert named - known == set()
    assert known - named == {
        "global",
        "resources.claims",
        "podSecurityContext.fsGroup",
        "podSecurityContext.seLinuxOptions",
    }


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("replicas=17", "/replicas"),
        ("operator.workers=0", "/operator/workers"),
        ("leaderElection.leaseDurationSeconds=3601", "/leaderElection/leaseDurationSeconds"),
        ("image.tag=a b", "/image/tag"),
        ("serviceAccount.name=Upper", "/serviceAccount/name"),
        ("resources.limits.memory=lots", "/resources/limits/memory"),
        ("logLevel=loud", "/logLevel"),
    ],
)
def test_helm_refuses_a_value_out_of_bounds(setting: str, place: str) -> None:
    """The message names the value."""
    done = _helm("template", "release", str(CHART), "--set", setting)
    assert done.returncode != 0
    assert f"'{place}'" in done.stderr


def test_helm_lint_finds_nothing() -> None:
    """Also with warnings as errors."""
    done = _helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout


def _helm(*words: str) -> "subprocess.CompletedProcess[str]":
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("no `helm` on PATH")
    return subprocess.run([helm, *words], capture_output=True, text=True, timeout=60, check=False)
