"""Children that somebody has changed."""

import pytest

from support.operator_world import FakeWorld


async def test_a_child_without_an_owner_is_taken_back() -> None:
    """Without one nobody would ever remove it; a child of a deleted namesake is waited for."""
    world = FakeWorld()
    await world.until_ready()
    child = world.cluster.get("ConfigMap", "clinic-config")
    child["metadata"].pop("ownerReferences")
    await world.converge()
    assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == ["uid-1"]
    assert "ConfigMap clinic-config: metadata.ownerReferences" in world.conditions()["Drifted"][2]
    child["metadata"]["ownerReferences"][0]["uid"] = "uid-0"
    await world.converge()
    assert "deleted namesake" in world.conditions()["WorkloadAvailable"][2]
    assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == ["uid-0"]


@pytest.mark.parametrize("foreign", ["annotations", "labels"])
async def test_what_somebody_else_made_under_the_name_is_not_taken(foreign: str) -> None:
    """Without an owner, and without what the operator writes on all that it makes."""
    world = FakeWorld()
    await world.until_ready()
    child = world.cluster.get("ConfigMap", "clinic-config")
    child["metadata"].pop("ownerReferences")
    child["metadata"].pop(foreign)
    await world.converge()
    assert "ownerReferences" not in child["metadata"]


async def test_a_secret_without_an_owner_is_taken_back() -> None:
    """The operator's own ones, too: their values stay."""
    world = FakeWorld()
    await world.until_ready()
    secret = world.cluster.get("Secret", "clinic-service")
    values = dict(secret["data"])
    secret["metadata"].pop("ownerReferences")
    await world.until_ready()
    assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == ["uid-1"]
    assert secret["data"] == values
