"""Defaults of requests and limits, and the fields that replace them."""

import pytest

from healthingest_operator.api.healthingest import parse
from healthingest_operator.resources.container_resources import OF_API, container_resources
from support.operator_fakes import manifest
from support.rendered import objects

WANTED = {"requests": {"cpu": "7m", "memory": "70Mi"}, "limits": {"cpu": "70m", "memory": "77Mi"}}


def test_a_named_resource_has_no_default() -> None:
    """A default limit below the request would be invalid; CPU, which scaling needs, stays."""
    assert container_resources({"requests": {"memory": "2Gi"}}, OF_API) == {
        "requests": {"cpu": "100m", "memory": "2Gi"},
        "limits": {"cpu": "2"},
    }


@pytest.mark.parametrize(
    ("spec", "container"),
    [
        ({"resources": WANTED}, "api"),
        ({"relay": {"resources": WANTED}}, "relay"),
        ({"janitor": {"resources": WANTED}}, "janitor"),
        ({"migration": {"resources": WANTED}}, "migrate"),
    ],
)
def test_each_container_has_a_field(spec: dict[str, object], container: str) -> None:
    """The field sets the resources of its container, and of no other."""
    found = {
        part["name"]: part["resources"]
        for child in objects(parse(manifest(**spec)))
        if child["kind"] in {"Deployment", "Job"}
        for part in child["spec"]["template"]["spec"]["containers"]
    }
    assert [name for name, resources in found.items() if resources == WANTED] == [container]
