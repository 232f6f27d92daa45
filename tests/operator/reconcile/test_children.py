"""Children that somebody has changed."""

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
