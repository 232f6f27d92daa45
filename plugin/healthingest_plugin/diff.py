"""
What the operator would change in the namespace, as a unified diff.

Each built object that differs is applied as a dry run, with the operator's own field manager, so
the API server itself says what would come of it (`docs/decisions/0051`).
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final, Protocol

import yaml

from healthingest_operator.resources.comparison import difference, has_same_desired_state
from healthingest_operator.resources.names import DESIRED_ANNOTATION
from healthingest_plugin.desired import Desired, Path, desired, live_objects
from healthingest_plugin.errors import ApiError
from healthingest_plugin.model import KubernetesObject, ObjectRef, Snapshot
from healthingest_plugin.operator_state import ref_of, serves

FIELD_MANAGER: Final = "healthingest-operator"
_KEPT_KINDS: Final = frozenset({"Job", "Pod"})
"""Kinds that the operator does not prune by name."""
_SERVER_FIELDS: Final = frozenset(
    {"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"}
)


class DryRun(Protocol):
    """Applies an object as a dry run."""

    def __call__(self, manifest: Mapping[str, Any], manager: str, /) -> dict[str, Any]:
        """Return the object as it would be; raises `ApiError`."""


@dataclass(frozen=True, slots=True)
class ObjectDiff:
    """The difference of one object as text; empty with notes alone."""

    ref: ObjectRef
    text: str
    notes: tuple[str, ...] = ()


def differences(snapshot: Snapshot, dry_run: DryRun) -> Iterator[ObjectDiff]:
    """
    Yield what the operator would change, object by object.

    Raises:
        PluginError: the spec is invalid, or the API server refused a dry run for want of a right.
    """
    wanted = desired(snapshot)
    live = live_objects(snapshot)
    for built in wanted.objects:
        key = (built["kind"], built["metadata"]["name"])
        found = _of_object(built, live.get(key), wanted, dry_run)
        if found is not None:
            yield found
    names = {(built["kind"], built["metadata"]["name"]) for built in wanted.objects}
    for key, child in live.items():
        if key not in names and key[0] not in _KEPT_KINDS and _is_owned(child, wanted):
            yield ObjectDiff(ref_of(child), _unified(child, None), ("it is no longer wanted",))


def general_notes(snapshot: Snapshot) -> Iterator[str]:
    """Yield what limits the comparison."""
    own = version("healthingest")
    for deployment in snapshot.operator.deployments or ():
        other = (deployment["metadata"].get("labels") or {}).get("app.kubernetes.io/version")
        if serves(deployment, snapshot.namespace) and other not in {None, own}:
            yield f"the operator has version {other}, this plugin {own}: the operator may differ"
    if (snapshot.body.get("spec") or {}).get("paused"):
        yield "it is paused: nothing is changed before it is resumed"
    yield from snapshot.gaps


def _of_object(
    built: KubernetesObject, live: KubernetesObject | None, wanted: Desired, dry_run: DryRun
) -> ObjectDiff | None:
    ref = ref_of(built)
    if live is None:
        return ObjectDiff(ref, _unified(None, built), ("it does not exist",))
    notes = [*_taken_by_others(live, wanted.taken.get((ref.kind, ref.name)))]
    if difference(built, live) is None:
        return ObjectDiff(ref, "", tuple(notes)) if notes else None
    try:
        after = dry_run(built, FIELD_MANAGER)
    except ApiError as error:
        if error.status not in {409, 422}:
            raise
        return ObjectDiff(ref, _unified(live, built), (*notes, str(error)))
    text = _unified(live, after)
    if not text and not notes:
        return None
    return ObjectDiff(ref, text, (*notes, *_reason(built, live, text)))


def _reason(built: KubernetesObject, live: KubernetesObject, text: str) -> Iterator[str]:
    """Yield why the object differs."""
    if has_same_desired_state(built, live):
        managers = ", ".join(_other_managers(live))
        yield f"drift: others{f' ({managers})' if managers else ''} have changed it"
    elif text:
        yield "the spec, the operator's version or a value from a Secret has changed"


def _unified(before: KubernetesObject | None, after: KubernetesObject | None) -> str:
    ref = ref_of(before or after or {})
    lines = difflib.unified_diff(
        _lines(before),
        _lines(after),
        f"live/{ref.kind}/{ref.name}" if before else "/dev/null",
        f"operator/{ref.kind}/{ref.name}" if after else "/dev/null",
        lineterm="",
    )
    return "\n".join(lines)


def _lines(found: KubernetesObject | None) -> list[str]:
    if found is None:
        return []
    shown = {name: value for name, value in found.items() if name != "status"}
    metadata = {
        name: value for name, value in found["metadata"].items() if name not in _SERVER_FIELDS
    }
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop(DESIRED_ANNOTATION, None)
    metadata.pop("annotations", None)
    shown["metadata"] = metadata | ({"annotations": annotations} if annotations else {})
    plain = json.loads(json.dumps(shown))  # YAML would write objects that occur twice as anchors
    return yaml.safe_dump(plain, sort_keys=True).splitlines()


def _is_owned(child: KubernetesObject, wanted: Desired) -> bool:
    owners = child["metadata"].get("ownerReferences") or ()
    return any(owner.get("uid") == wanted.owner.uid for owner in owners)


def _taken_by_others(live: KubernetesObject, path: Path | None) -> Iterator[str]:
    """Yield a note if somebody else has set a value that only a Secret can correct."""
    if path is None:
        return
    owners = [
        entry.get("manager", "")
        for entry in live["metadata"].get("managedFields") or ()
        if _has_field(entry.get("fieldsV1") or {}, path)
    ]
    if owners and FIELD_MANAGER not in owners:
        yield (
            f"{'.'.join(path)} was changed by {', '.join(owners)}: the operator restores it from a"
            " Secret, which this command does not read"
        )


def _has_field(fields: KubernetesObject, path: Path) -> bool:
    inner: Any = fields
    for name in path:
        inner = inner.get(f"f:{name}")
        if inner is None:
            return False
    return True


def _other_managers(live: KubernetesObject) -> list[str]:
    found = {
        str(entry.get("manager", ""))
        for entry in live["metadata"].get("managedFields") or ()
        if entry.get("subresource") != "status"
    }
    return sorted(
        name for name in found if not name.startswith((FIELD_MANAGER, "kube-controller-manager"))
    )
