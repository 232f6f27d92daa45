"""How a HealthIngest is told of: its status, written when it changed, and events of transitions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.ports import Clock, Cluster
from healthingest_operator.status.conditions import Finding, bad, good, remembered, transitions
from healthingest_operator.status.summary import Facts, Observation, status


@dataclass(frozen=True, slots=True)
class Report:
    """Where it is told, and what time it is."""

    cluster: Cluster
    clock: Clock

    async def found(self, body: Mapping[str, Any], findings: list[Finding], facts: Facts) -> None:
        """Write the status when it changed, and tell transitions."""
        metadata, previous = body["metadata"], body.get("status") or {}
        now = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        current = status(previous, findings, facts, Observation(metadata.get("generation", 0), now))
        if current == previous:
            return
        await self.cluster.write_status(Key(metadata["namespace"], metadata["name"]), current)
        for condition in transitions(previous.get("conditions") or [], current["conditions"]):
            bad_news = (condition["status"] == "False") != (
                condition["type"] in {"Drifted", "Stalled", "Paused"}
            )
            text = f"{condition['type']} is {condition['status']}: {condition['message']}"
            await self.cluster.tell(
                body, "Warning" if bad_news else "Normal", condition["reason"], text
            )

    async def invalid(self, body: Mapping[str, Any], problems: str) -> None:
        """The spec is none that anything can be made of."""
        findings = [
            bad(ConditionType.READY, Reason.INVALID_SPEC, problems),
            good(ConditionType.STALLED, problems, Reason.INVALID_SPEC),
        ]
        await self.found(body, findings, Facts())

    async def paused(self, body: Mapping[str, Any]) -> None:
        """What was found before stays, and nothing is touched."""
        found = remembered((body.get("status") or {}).get("conditions") or [])
        if not any(finding.type is ConditionType.READY for finding in found):
            found.insert(
                0, bad(ConditionType.READY, Reason.PAUSED_BY_SPEC, "paused before it was ready")
            )
        found.append(
            good(
                ConditionType.PAUSED,
                "spec.paused is true: nothing is changed",
                Reason.PAUSED_BY_SPEC,
            )
        )
        await self.found(body, found, Facts())
