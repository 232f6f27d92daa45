"""The model against the committed CustomResourceDefinition, without an API server."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from healthingest_operator.api.healthingest import InvalidSpecError, parse
from healthingest_operator.api.v1alpha1 import HealthIngestSpec, QueueSpec
from support.api_cases import COMPLETE, POD_FIELDS, all_cases, spec_schema, with_field
from support.operator_fakes import manifest

CASES = all_cases()


def defaults_in(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and default of each field that is no object."""
    for name, part in schema.get("properties", {}).items():
        if name in POD_FIELDS:
            continue
        if "default" in part and part["type"] != "object":
            yield f"{path}{name}", part["default"]
        yield from defaults_in(part, f"{path}{name}.")
        yield from defaults_in(part.get("items", {}), f"{path}{name}[].")


DEFAULTS = dict(defaults_in(spec_schema()))


def value_at(found: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    """Return the value at *path*; of a list, in its first entry."""
    for name in path.replace("[]", ".[]").split("."):
        found = found[0] if name == "[]" else found[name]
    return found


def read(body: dict[str, Any]) -> HealthIngestSpec:
    """Return the parsed spec."""
    return parse(body).spec


@pytest.mark.parametrize("path", sorted(DEFAULTS))
def test_each_default_is_that_of_the_schema(path: str) -> None:
    """A manifest that no API server has completed reads with the same values."""
    spec: dict[str, Any] = {
        "autoscaling": {"maxReplicas": 5},
        "proxy": {},
        "tracing": {"endpoint": "http://collector:4318"},
        "httpRoute": {"parentRefs": [{"name": "a"}]},
        "accounts": {"oidc": copy.deepcopy(COMPLETE["oidc"])},
    }
    body = manifest(**spec)
    parent = path.rpartition(".")[0]
    if path.startswith("accounts.mail."):
        with_field(body["spec"], "accounts.mail", COMPLETE["mail"])
    if ".signIn." in path:
        with_field(body["spec"], "accounts.oidc.issuers[].signIn", COMPLETE["signIn"])
    if parent.endswith(("KeyRef", "webIdentity")):
        with_field(body["spec"], parent, COMPLETE[parent.rpartition(".")[2]])
    if parent.endswith(".keys"):
        with_field(body["spec"], parent, {})
    found = read(body).model_dump(mode="json", by_alias=True, exclude_defaults=False)
    expected = DEFAULTS[path]
    actual = value_at(found, path)
    if path == "broker.queues":
        plain = QueueSpec(name="plain").model_dump(mode="json", by_alias=True)
        actual = [{k: v for k, v in queue.items() if v != plain[k]} for queue in actual]
    assert actual == expected
    assert type(actual) is type(expected)


@pytest.mark.parametrize("path", sorted(CASES))
def test_each_field_accepts_its_range_and_nothing_beyond(path: str) -> None:
    """Both ends of each range are accepted, one beyond is refused with the field's path."""
    good, bad = CASES[path]
    for value in good:
        body = manifest()
        with_field(body["spec"], path, value)
        parse(body)
    for value in bad:
        body = manifest()
        with_field(body["spec"], path, value)
        with pytest.raises(InvalidSpecError, match=r"^spec[.:]"):
            parse(body)


def test_every_field_has_cases() -> None:
    """Derived from the schema: nobody has to remember them."""
    assert len(CASES) >= 60
    assert sum(len(good) + len(bad) for good, bad in CASES.values()) >= 300
    assert [path for path, (good, bad) in CASES.items() if not bad] == []
