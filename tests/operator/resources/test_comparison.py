"""Does a live object have what is desired?"""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthingest_operator.resources.comparison import (
    difference,
    has_same_desired_state,
    rekeyed,
    stamped,
)
from healthingest_operator.resources.quantities import same_quantity

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
PLAIN = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
)


@given(PLAIN)
def test_nothing_differs_from_itself(value: object) -> None:
    """Whatever it is made of."""
    assert difference(value, copy.deepcopy(value)) is None


@given(
    st.dictionaries(st.sampled_from("abc"), PLAIN), st.dictionaries(st.sampled_from("xyz"), PLAIN)
)
def test_additions_do_not_count(wanted: dict[str, Any], added: dict[str, Any]) -> None:
    """Defaults of the server and fields of others."""
    assert difference(wanted, wanted | added) is None


def test_a_sidecar_does_not_count_but_a_changed_container_does() -> None:
    """Lists of named things are compared by name, and the path says where."""
    wanted = {"containers": [{"name": "api", "image": "a"}]}
    assert (
        difference(wanted, {"containers": [{"name": "proxy"}, {"name": "api", "image": "a"}]})
        is None
    )
    assert (
        difference(wanted, {"containers": [{"name": "api", "image": "b"}]})
        == "containers[api].image"
    )
    assert difference(wanted, {"containers": []}) == "containers[api]"


def test_elements_of_many_kinds_are_compared() -> None:
    """Nothing that the API has; no reason to fail."""
    wanted = [{"name": "api"}]
    assert difference(wanted, ["text", None, {"name": "api"}]) is None
    assert difference(wanted, ["text"]) == "[api]"


def test_one_more_element_of_an_atomic_list_counts() -> None:
    """Such a list has one owner: a further rule of a NetworkPolicy lets in whom nobody wanted."""
    wanted = {"ingress": [{"ports": [{"port": 8000}]}], "args": ["api"]}
    assert (
        difference(wanted, {"ingress": [{"ports": [{"port": 8000}]}, {}], "args": ["api"]})
        == "ingress[1]"
    )
    assert difference(wanted, {**wanted, "args": ["api", "--other"]}) == "args[1]"
    spread = [{"topologyKey": "zone", "maxSkew": 1}]
    assert difference({"spread": spread}, {"spread": [*spread, {"topologyKey": "host"}]}) is None


def test_elements_with_the_same_key_are_compared_with_their_equals() -> None:
    """An HTTPRoute may name two listeners of a Gateway, and a pod tolerate two effects."""
    wanted: dict[str, list[dict[str, object]]] = {
        "parentRefs": [
            {"name": "public", "sectionName": "http", "port": 80},
            {"name": "public", "sectionName": "https", "port": 443},
        ],
        "tolerations": [
            {"key": "spot", "effect": "NoSchedule"},
            {"key": "spot", "effect": "NoExecute"},
        ],
    }
    live = copy.deepcopy(wanted)
    assert difference(wanted, live) is None
    assert rekeyed(wanted, live) == []
    live["parentRefs"].pop()
    assert difference(wanted, live) == "parentRefs[public].sectionName"


def test_a_port_of_the_same_name_under_another_number_is_found() -> None:
    """
    Its pointer and the wanted number.

    Ports of others are left alone, and so are fields that are no key.
    """
    wanted = {
        "containers": [
            {"name": "api", "ports": [{"name": "http", "containerPort": 8000}], "image": "a"}
        ]
    }
    other = {
        "containers": [
            {"name": "proxy"},
            {"name": "api", "ports": [{"name": "http", "containerPort": 1}]},
        ]
    }
    assert rekeyed(wanted, other, "/spec") == [("/spec/containers/1/ports/0/containerPort", 8000)]
    assert rekeyed(wanted, wanted) == rekeyed(wanted, None) == []


@pytest.mark.parametrize(
    ("left", "right"), [("0.5", "500m"), ("1Gi", "1073741824"), ("1e3", "1k"), ("2", 2)]
)
def test_quantities_have_many_faces(left: str, right: object) -> None:
    """The server writes them its own way."""
    assert same_quantity(left, right)
    assert difference({"cpu": left}, {"cpu": right}) is None


@pytest.mark.parametrize(("left", "right"), [("1", "2"), ("1Gi", "1G"), ("a", "a1"), ("", "0")])
def test_what_differs_is_found(left: str, right: str) -> None:
    """Also where it looks alike."""
    assert difference({"a": left}, {"a": right}) == "a"


def test_a_field_that_is_no_longer_wanted_shows() -> None:
    """The fingerprint of the whole wish differs, although every remaining field is there."""
    before = stamped({"metadata": {"name": "a"}, "data": {"x": "1", "y": "2"}})
    after = stamped({"metadata": {"name": "a"}, "data": {"x": "1"}})
    assert difference(after, before) is not None
    assert not has_same_desired_state(after, before)
    assert has_same_desired_state(after, copy.deepcopy(after))
