"""Writes the status of a HealthIngest when it changed, and an event for each transition."""

from dataclasses import dataclass

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.api.healthingest import Key
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.reconcile.ports import Clock, Cluster
from healthingest_operator.status.conditions import (
    POLARITY,
    WARNINGS,
    ConditionUpdate,
    condition_false,
    condition_true,
    remembered,
    transitions,
)
from healthingest_operator.status.summary import Observation, StatusFields, status


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Writes status and events."""

    cluster: Cluster
    clock: Clock

    async def write(
        self, body: ManifestView, updates: list[ConditionUpdate], fields: StatusFields
    ) -> None:
        """Write the status if it changed, and an event for each transition."""
        metadata = body["metadata"]
        previous = body.get("status") or {}
        now = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        current = status(previous, updates, fields, Observation(metadata.get("generation", 0), now))
        if current == previous:
            return
        await self.cluster.write_status(Key(metadata["namespace"], metadata["name"]), current)
        for condition in transitions(previous.get("conditions") or [], current["conditions"]):
            kind = ConditionType(condition["type"])
            has_normal_status = (condition["status"] == "True") == POLARITY[kind].normal
            is_normal = has_normal_status and condition["reason"] not in WARNINGS
            text = f"{condition['type']} is {condition['status']}: {condition['message']}"
            await self.cluster.emit_event(
                body, "Normal" if is_normal else "Warning", condition["reason"], text
            )

    async def invalid(self, body: ManifestView, problems: str) -> None:
        """Report an invalid spec."""
        updates = [
            condition_false(ConditionType.READY, Reason.INVALID_SPEC, problems),
            condition_true(ConditionType.STALLED, problems, Reason.INVALID_SPEC),
        ]
        await self.write(body, updates, StatusFields())

    async def paused(self, body: ManifestView) -> None:
        """Report `Paused`; the other conditions stay as they are."""
        found = remembered((body.get("status") or {}).get("conditions") or [])
        if not any(update.type is ConditionType.READY for update in found):
            found.insert(
                0,
                condition_false(
                    ConditionType.READY, Reason.PAUSED_BY_SPEC, "paused before it was ready"
                ),
            )
        found.append(
            condition_true(
                ConditionType.PAUSED,
                "spec.paused is true: nothing is changed",
                Reason.PAUSED_BY_SPEC,
            )
        )
        await self.write(body, found, StatusFields())
