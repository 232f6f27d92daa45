"""Does a live object have what is desired?"""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthingest_operator.resources.comparison import difference, same_wish, stamped
from healthingest_operator.resources.quantities import same_quantity

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
PLAIN = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@given(PLAIN)
def test_nothing_differs_from_itself(value: object) -> None:
    """Whatever it is made of."""
    assert difference(value, copy.deepcopy(value)) is None


@given(st.dictionaries(st.sampled_from("abc"), PLAIN), st.dictionaries(st.sampled_from("xyz"), PLAIN))
def test_additions_do_not_count(wanted: dict[str, Any], added: dict[str, Any]) -> None:
    """Defaults of the server and fields of others."""
    assert difference(wanted, wanted | added) is None


def test_a_sidecar_does_not_count_but_a_changed_container_does() -> None:
    """Lists of named things are compared by name, and the path says where."""
    wanted = {"containers": [{"name": "api", "image": "a"}]}
    assert difference(wanted, {"containers": [{"name": "proxy"}, {"name": "api", "image": "a"}]}) is None
    assert difference(wanted, {"containers": [{"name": "api", "image": "b"}]}) == "containers[api].image"
    assert difference(wanted, {"containers": []}) == "containers[api]"


@pytest.mark.parametrize(("left", "right"), [("0.5", "500m"), ("1Gi", "1073741824"), ("1e3", "1k"), ("2", 2)])
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
    assert not same_wish(after, before)
    assert same_wish(after, copy.deepcopy(after))
