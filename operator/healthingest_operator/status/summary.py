"""The complete `status` of a HealthIngest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from healthingest_operator.api.manifest import Manifest, ManifestView
from healthingest_operator.status.conditions import ConditionUpdate, conditions, summary


@dataclass(frozen=True, slots=True)
class StatusFields:
    """Fields of the status beside the conditions; None leaves a field as it was."""

    selector: str | None = None
    secrets: Mapping[str, str] | None = None
    url: str | None = None
    replicas: int | None = None
    workload: str | None = None
    probed: str | None = None
    missing_capabilities: Sequence[str] | None = None
    store: Mapping[str, str | None] | None = None
    """Place of the bucket, and the installation that it belongs to."""
    database: str | None = None
    """The installation that the database belongs to."""
    erasure_key: str | None = None
    """Fingerprint of the erasure key."""
    reader_checked: str | None = None
    """Fingerprint of the consumers' keys that were checked."""
    left_behind: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Observation:
    """The observed generation, and the time (RFC 3339)."""

    generation: int
    now: str


def status(
    previous: ManifestView,
    updates: Sequence[ConditionUpdate],
    fields: StatusFields,
    seen: Observation,
) -> Manifest:
    """Return the status to write; it equals *previous* when nothing changed."""
    reported: Manifest = {
        "selector": fields.selector,
        "secrets": None if fields.secrets is None else dict(fields.secrets),
        "replicas": fields.replicas,
        "url": fields.url,
        "workload": fields.workload,
        "erasureKeyFingerprint": fields.erasure_key,
        "database": None if fields.database is None else {"installation": fields.database},
    }
    written: Manifest = {
        "replicas": 0,
        **_without_none({name: previous.get(name) for name in reported}),
        **_without_none(reported),
        "observedGeneration": seen.generation,
        "conditions": conditions(
            summary(updates), previous.get("conditions") or [], seen.generation, seen.now
        ),
        "objectStore": _store(previous, fields) or None,
        "leftBehind": list(fields.left_behind) or None,
    }
    return _without_none(written)


def _store(previous: ManifestView, fields: StatusFields) -> Manifest:
    """Return `objectStore`: the new values, and the previous ones of fields that are None."""
    capabilities = fields.missing_capabilities
    reported = {
        "missingCapabilities": None if capabilities is None else sorted(capabilities),
        "probed": fields.probed,
        "readerChecked": fields.reader_checked,
        **(fields.store or {}),
    }
    return {**(previous.get("objectStore") or {}), **_without_none(reported)}


def _without_none(values: ManifestView) -> Manifest:
    return {name: value for name, value in values.items() if value is not None}
