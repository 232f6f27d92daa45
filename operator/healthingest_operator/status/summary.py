"""The whole `status` of a HealthIngest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from healthingest_operator.status.conditions import Finding, conditions, summary


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside conditions; None leaves the field as it was."""

    selector: str | None = None
    secrets: Mapping[str, str] | None = None
    url: str | None = None
    replicas: int | None = None
    workload: str | None = None
    probed: str | None = None
    missing_capabilities: Sequence[str] | None = None
    store: Mapping[str, str | None] | None = None
    """Where the bucket is, and the installation that it belongs to."""
    database: str | None = None
    """The installation that the database belongs to."""
    left_behind: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Observation:
    """For which generation something was found, when (RFC 3339)."""

    generation: int
    now: str


def status(previous: Mapping[str, Any], findings: Sequence[Finding], facts: Facts, seen: Observation) -> dict[str, Any]:
    """The status to write; equal to *previous* when nothing changed."""
    store = dict(previous.get("objectStore") or {})
    if facts.missing_capabilities is not None:
        store["missingCapabilities"] = sorted(facts.missing_capabilities)
    if facts.probed is not None:
        store["probed"] = facts.probed
    store.update({name: value for name, value in (facts.store or {}).items() if value is not None})
    database = {"installation": facts.database} if facts.database is not None else previous.get("database")
    written: dict[str, Any] = {
        "observedGeneration": seen.generation,
        "conditions": conditions(summary(findings), previous.get("conditions") or [], seen.generation, seen.now),
        "selector": facts.selector if facts.selector is not None else previous.get("selector"),
        "secrets": dict(facts.secrets) if facts.secrets is not None else previous.get("secrets"),
        "replicas": facts.replicas if facts.replicas is not None else previous.get("replicas", 0),
        "url": facts.url if facts.url is not None else previous.get("url"),
        "workload": facts.workload if facts.workload is not None else previous.get("workload"),
        "objectStore": store or None,
        "database": database,
        "leftBehind": list(facts.left_behind) or None,
    }
    return {name: value for name, value in written.items() if value is not None}
