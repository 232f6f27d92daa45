"""Our conditions mean to kstatus, and so to every tool that waits with it, what they mean to us."""

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.status.conditions import (
    REQUIRED_FOR_READY,
    ConditionUpdate,
    condition_false,
    condition_true,
    remembered,
)
from healthingest_operator.status.summary import Observation, StatusFields, status
from support.servers.go_programs import KSTATUS
from support.servers.process import ServerUnavailableError

HISTORIES = int(os.environ.get("HEALTHINGEST_KSTATUS_HISTORIES", "300"))
STEPS = 12


@pytest.fixture(name="kstatus")
def _kstatus() -> Path:
    """The program that prints the status which the library computes."""
    try:
        return Path(KSTATUS.find())
    except ServerUnavailableError as error:
        pytest.skip(str(error))


def found_now(chance: random.Random) -> list[ConditionUpdate]:
    """What a reconciliation may observe: every condition or some, mostly True."""
    parts = (
        REQUIRED_FOR_READY
        if chance.random() < 0.8
        else chance.sample(REQUIRED_FOR_READY, chance.randint(0, len(REQUIRED_FOR_READY)))
    )
    trouble = chance.choice([0.0, 0.0, 0.2, 0.9])
    return [
        condition_false(part, chance.choice(list(Reason)), "bad")
        if chance.random() < trouble
        else condition_true(part, "good")
        for part in parts
    ]


def step(chance: random.Random, before: dict[str, Any], generation: int) -> dict[str, Any]:
    """The next status: after a full reconciliation, while paused, or with an invalid spec."""
    match chance.choice(["pass", "pass", "pass", "pass", "paused", "invalid"]):
        case "paused":
            found = remembered(before.get("conditions") or [])
            if not any(update.type is ConditionType.READY for update in found):
                found.insert(
                    0, condition_false(ConditionType.READY, Reason.PAUSED_BY_SPEC, "paused")
                )
            found.append(condition_true(ConditionType.PAUSED, "paused", Reason.PAUSED_BY_SPEC))
        case "invalid":
            found = [
                condition_false(ConditionType.READY, Reason.INVALID_SPEC, "invalid"),
                condition_true(ConditionType.STALLED, "invalid", Reason.INVALID_SPEC),
            ]
        case _:
            found = found_now(chance)
    return status(
        before, found, StatusFields(url="http://a"), Observation(generation, "2026-01-01T00:00:00Z")
    )


def expected_status(body: dict[str, Any]) -> str:
    """The status that kstatus should compute."""
    if "deletionTimestamp" in body["metadata"]:
        return "Terminating"
    held = {entry["type"] for entry in body["status"]["conditions"] if entry["status"] == "True"}
    if body["status"]["observedGeneration"] != body["metadata"]["generation"]:
        return "InProgress"
    if ConditionType.STALLED in held:
        return "Failed"
    return "Current" if ConditionType.READY in held else "InProgress"


def history(seed: int) -> list[dict[str, Any]]:
    """One HealthIngest through its life, as the cluster shows it after each step."""
    chance = random.Random(seed)  # noqa: S311 - one seed, one history
    generation = 1
    current: dict[str, Any] = {}
    shown = []
    for _ in range(STEPS):
        current = step(chance, current, generation)
        if chance.random() < 0.2:
            generation += 1  # the spec was changed since
        metadata: dict[str, Any] = {
            "name": "clinic",
            "namespace": "clinic-a",
            "generation": generation,
        }
        if chance.random() < 0.05:
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        body = {"apiVersion": "healthingest.dev/v1alpha1", "kind": "HealthIngest"}
        shown.append({**body, "metadata": metadata, "status": current})
    return shown


def test_kstatus_says_what_we_mean(kstatus: Path) -> None:
    """On random histories, each status is the same, and every status occurs."""
    shown = [body for seed in range(HISTORIES) for body in history(seed)]
    lines = "".join(f"{json.dumps(body)}\n" for body in shown)
    done = subprocess.run(
        [str(kstatus)], input=lines, capture_output=True, text=True, timeout=300, check=True
    )
    said = done.stdout.splitlines()
    ours = [expected_status(body) for body in shown]
    assert set(ours) == {"Current", "Failed", "InProgress", "Terminating"}
    wrong = [
        (body, theirs)
        for body, mine, theirs in zip(shown, ours, said, strict=True)
        if mine != theirs
    ]
    assert wrong[:1] == []
