"""The whole `status` of a HealthIngest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from healthingest_operator.status.conditions import ConditionUpdate, conditions, summary


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


def status(
    previous: Mapping[str, Any], updates: Sequence[ConditionUpdate], facts: Facts, seen: Observation
) -> dict[str, Any]:
    """The status to write; equal to *previous* when nothing changed."""
    found: dict[str, Any] = {
        "selector": facts.selector,
        "secrets": None if facts.secrets is None else dict(facts.secrets),
        "replicas": facts.replicas,
        "url": facts.url,
        "workload": facts.workload,
        "database": None if facts.database is None else {"installation": facts.database},
    }
    written: dict[str, Any] = {
        "replicas": 0,
        **{name: previous[name] for name in found if previous.get(name) is not None},
        **{name: value for name, value in found.items() if value is not None},
        "observedGeneration": seen.generation,
        "conditions": conditions(
            summary(updates), previous.get("conditions") or [], seen.generation, seen.now
        ),
        "objectStore": _store(previous, facts) or None,
        "leftBehind": list(facts.left_behind) or None,
    }
    return {name: value for name, value in written.items() if value is not None}


def _store(previous: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """What is known of the bucket: a fact that was not looked for stays as it was."""
    capabilities = facts.missing_capabilities
    found = {
        "missingCapabilities": None if capabilities is None else sorted(capabilities),
        "probed": facts.probed,
        **(facts.store or {}),
    }
    return dict(previous.get("objectStore") or {}) | {
        k: value for k, value in found.items() if value is not None
    }
