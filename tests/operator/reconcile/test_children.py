"""Children that somebody has changed."""

import pytest

from support.operator_fakes import OperatorFakes


async def test_a_child_without_an_owner_is_taken_back() -> None:
    """Without one nobody would ever remove it; a child of a deleted namesake is waited for."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    child = fakes.cluster.get("ConfigMap", "clinic-config")
    child["metadata"].pop("ownerReferences")
    await fakes.reconcile()
    assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == ["uid-1"]
    assert "ConfigMap clinic-config: metadata.ownerReferences" in fakes.conditions()["Drifted"][2]
    child["metadata"]["ownerReferences"][0]["uid"] = "uid-0"
    await fakes.reconcile()
    assert "deleted HealthIngest of this name" in fakes.conditions()["WorkloadAvailable"][2]
    assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == ["uid-0"]


@pytest.mark.parametrize("foreign", ["annotations", "labels"])
async def test_what_somebody_else_made_under_the_name_is_not_taken(foreign: str) -> None:
    """Without an owner, and without what the operator writes on all that it makes."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    child = fakes.cluster.get("ConfigMap", "clinic-config")
    child["metadata"].pop("ownerReferences")
    child["metadata"].pop(foreign)
    await fakes.reconcile()
    assert "ownerReferences" not in child["metadata"]


async def test_a_secret_without_an_owner_is_taken_back() -> None:
    """The operator's own ones, too: their values stay."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    secret = fakes.cluster.get("Secret", "clinic-service")
    values = dict(secret["data"])
    secret["metadata"].pop("ownerReferences")
    await fakes.until_ready()
    assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == ["uid-1"]
    assert secret["data"] == values
