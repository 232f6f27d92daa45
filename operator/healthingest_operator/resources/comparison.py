"""
Comparison of a live object with the desired one; fields that others added are ignored.

The server adds defaults and normalises quantities, so the objects are never equal. They match if
the live object has every desired field with its value.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final

from healthingest_operator.api.manifest import Manifest, ManifestView
from healthingest_operator.resources.names import DESIRED_ANNOTATION
from healthingest_operator.resources.quantities import same_quantity

_LIST_KEYS: Final = ("name", "uid", "containerPort", "topologyKey", "key")
"""
Keys of list elements, as in the Kubernetes API's list maps.

Elements without a key are compared by position, and their list is atomic: an added element is
drift. For example, an added rule of a NetworkPolicy would admit unwanted clients.
"""
_NUMBERS: Final = ("containerPort", "port")


def fingerprint(value: object) -> str:
    """Return a short digest of a JSON value; equal values give equal digests."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()[:16]


def stamped(desired: ManifestView) -> Manifest:
    """Return *desired* with its own fingerprint in an annotation."""
    metadata = dict(desired["metadata"])
    metadata["annotations"] = {
        **metadata.get("annotations", {}),
        DESIRED_ANNOTATION: fingerprint(desired),
    }
    return {**desired, "metadata": metadata}


def has_same_desired_state(desired: ManifestView, live: ManifestView) -> bool:
    """Whether *live* was last applied with the same desired state; a difference is then drift."""
    wished = desired["metadata"].get("annotations", {}).get(DESIRED_ANNOTATION)
    return bool(wished == live["metadata"].get("annotations", {}).get(DESIRED_ANNOTATION))


def difference(desired: object, live: object, path: str = "") -> str | None:
    """
    Return the path of the first desired field that is missing or different in *live*.

    None: all of them match.
    """
    if isinstance(desired, Mapping):
        return _in_mapping(desired, live, path)
    if isinstance(desired, list):
        return _in_list(desired, live, path)
    if desired == live or (isinstance(desired, (str, int)) and same_quantity(desired, live)):
        return None
    return path


def _in_mapping(desired: ManifestView, live: object, path: str) -> str | None:
    if not isinstance(live, Mapping):
        return None if not desired and live is None else path
    for name, value in desired.items():
        found = difference(value, live.get(name), f"{path}.{name}" if path else name)
        if found:
            return found
    return None


def _in_list(desired: Sequence[object], live: object, path: str) -> str | None:
    if not isinstance(live, list):
        return None if not desired and live is None else path
    for position, value in enumerate(desired):
        label, counterpart = _counterpart(value, position, live)
        found = difference(value, counterpart, f"{path}[{label}]")
        if found:
            return found
    if _is_atomic(desired) and len(live) > len(desired):
        return f"{path}[{len(desired)}]"
    return None


def _counterpart(value: object, position: int, live: Sequence[object]) -> tuple[object, object]:
    """Return the key or position of a desired element, and the live element that has it."""
    field = _key_field(value)
    if field is None or not isinstance(value, Mapping):
        return position, live[position] if position < len(live) else None
    with_same_key = _with(field, value[field], live)
    if len(with_same_key) > 1:
        # The key is not unique in every list, e.g. of an HTTPRoute's references to a Gateway.
        equal = (element for element in with_same_key if difference(value, element) is None)
        return value[field], next(equal, with_same_key[0])
    return value[field], with_same_key[0] if with_same_key else None


def _with(field: str, key: object, elements: Sequence[object]) -> list[ManifestView]:
    """Return the elements whose *field* is *key*."""
    return [one for one in elements if isinstance(one, Mapping) and one.get(field) == key]


def _key_field(value: object) -> str | None:
    """Return the field by which an element is found in a list; None: it has no such field."""
    if not isinstance(value, Mapping):
        return None
    return next((name for name in _LIST_KEYS if name in value), None)


def _is_atomic(desired: Sequence[object]) -> bool:
    """Whether no element has a key; an empty list permits elements of others."""
    return bool(desired) and not any(_key_field(value) for value in desired)


def rekeyed(desired: object, live: object, path: str = "") -> list[tuple[str, object]]:
    """
    Return the ports that have the same name but another number, as (JSON pointer, wanted number).

    The number is the port's key in its list. An apply would therefore add a second port of the same
    name, which the server refuses.
    """
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        return [
            change
            for name, value in desired.items()
            for change in rekeyed(value, live.get(name), f"{path}/{name}")
        ]
    if isinstance(desired, list) and isinstance(live, list):
        return _rekeyed_in_list(desired, live, path)
    return []


def _rekeyed_in_list(
    desired: Sequence[object], live: Sequence[object], path: str
) -> list[tuple[str, object]]:
    return [
        change
        for value in desired
        for position, element in enumerate(live)
        if isinstance(value, Mapping) and isinstance(element, Mapping)
        if "name" in value and element.get("name") == value["name"]
        if _is_unique(value["name"], live)
        for change in _rekeyed_element(value, element, f"{path}/{position}")
    ]


def _is_unique(name: object, elements: Sequence[object]) -> bool:
    """Whether at most one element has *name*; otherwise the name is no key of the list."""
    return len(_with("name", name, elements)) <= 1


def _rekeyed_element(
    desired: ManifestView, live: ManifestView, path: str
) -> list[tuple[str, object]]:
    """Return the changed port numbers of an element; if there are none, those of parts of it."""
    changed = [key for key in _NUMBERS if key in desired and desired[key] != live.get(key)]
    return [(f"{path}/{key}", desired[key]) for key in changed] or rekeyed(desired, live, path)
