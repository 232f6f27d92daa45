"""`kubectl healthingest explain` names the cause of each seeded fault, on a real API server."""

import asyncio
import json
from typing import Any

import pytest

from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster
from healthingest_plugin.main import main
from support.faulty_cluster import FaultyCluster
from support.seeded_faults import FAULTS, SeededFault

pytestmark = pytest.mark.usefixtures("plugin_path")


@pytest.mark.parametrize("seeded", FAULTS, ids=lambda seeded: seeded.name.replace(" ", "-"))
async def test_the_cause_of_each_seeded_fault_is_named(
    cluster: KubernetesCluster, seeded: SeededFault, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reason, message, remedy, object and command are of the cause; the rest follows from it."""
    made = FaultyCluster(cluster)
    await made.create(seeded)
    code = await asyncio.to_thread(main, made.words("explain", "--output", "json"))
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    cause = found["cause"]
    assert cause["reason"] == seeded.reason, found
    assert seeded.text.format(space=made.space) in cause["message"], found
    assert cause["remedy"]
    assert cause["command"].startswith("kubectl ")
    assert seeded.where.format(space=made.space) in cause["where"], found
    assert {entry["condition"] for entry in found["consequences"]} >= seeded.consequences, found
    assert {entry["condition"] for entry in found["others"]} == seeded.others, found
    assert code == (0 if seeded.name == "paused" and found["isReady"] else 1)


def test_thirty_faults_are_seeded() -> None:
    """Each has a name of its own, and at least ten lie outside of the status."""
    assert len({seeded.name for seeded in FAULTS}) == len(FAULTS) >= 30
    assert len([seeded for seeded in FAULTS if seeded.cluster]) >= 10
