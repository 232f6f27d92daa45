"""
Compare a live object with the desired one; fields that others added are ignored.

The server adds defaults and normalises quantities, so the objects are never equal. They match if
every desired field is present with its value.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from healthingest_operator.resources.names import DESIRED_ANNOTATION
from healthingest_operator.resources.quantities import same_quantity

_LIST_KEYS: Final = ("name", "uid", "containerPort", "topologyKey", "key")
"""
Keys of list elements, as in the Kubernetes API's list maps.

Without a key, elements are compared by position and the list is atomic: an added element is drift.
For example, an added rule of a NetworkPolicy would admit unwanted clients.
"""
_NUMBERS: Final = ("containerPort", "port")


def fingerprint(value: object) -> str:
    """A short digest of a plain value; equal values give equal digests."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()[:16]


def stamped(desired: Mapping[str, Any]) -> dict[str, Any]:
    """*desired* with its own fingerprint in an annotation."""
    metadata = dict(desired["metadata"])
    metadata["annotations"] = {
        **metadata.get("annotations", {}),
        DESIRED_ANNOTATION: fingerprint(desired),
    }
    return {**desired, "metadata": metadata}


def has_same_desired_state(desired: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """
    Whether *live* was last applied with the same desired state.

    Then a difference is drift.
    """
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


def _in_mapping(desired: Mapping[str, Any], live: object, path: str) -> str | None:
    if not isinstance(live, Mapping):
        return None if not desired and live is None else path
    for name, value in desired.items():
        found = difference(value, live.get(name), f"{path}.{name}" if path else name)
        if found:
            return found
    return None


def _in_list(desired: Sequence[Any], live: object, path: str) -> str | None:
    if not isinstance(live, list):
        return None if not desired and live is None else path
    for position, value in enumerate(desired):
        name = next(
            (name for name in _LIST_KEYS if isinstance(value, Mapping) and name in value), None
        )
        if name is None:
            other = live[position] if position < len(live) else None
        else:
            other = next(
                (one for one in live if isinstance(one, Mapping) and one.get(name) == value[name]),
                None,
            )
        found = difference(value, other, f"{path}[{value[name] if name else position}]")
        if found:
            return found
    return (
        None if len(live) <= len(desired) or not _is_atomic(desired) else f"{path}[{len(desired)}]"
    )


def _is_atomic(desired: Sequence[Any]) -> bool:
    """An empty list has no elements to compare, so it counts as equal."""
    return bool(desired) and not any(
        isinstance(value, Mapping) and set(_LIST_KEYS) & set(value) for value in desired
    )


def rekeyed(desired: object, live: object, path: str = "") -> list[tuple[str, object]]:
    """
    Elements of the same name under another key, as pairs of JSON pointer and wanted key.

    The key of a port is its number, so an apply would add a second one of the same name, which the
    server refuses.
    """
    found: list[tuple[str, object]] = []
    if isinstance(desired, Mapping) and isinstance(live, Mapping):
        for name, value in desired.items():
            found += rekeyed(value, live.get(name), f"{path}/{name}")
    elif isinstance(desired, list) and isinstance(live, list):
        for value in (value for value in desired if isinstance(value, Mapping) and "name" in value):
            for position, other in enumerate(live):
                if isinstance(other, Mapping) and other.get("name") == value["name"]:
                    here = f"{path}/{position}"
                    keys = [
                        key for key in _NUMBERS if key in value and value[key] != other.get(key)
                    ]
                    found += [(f"{here}/{key}", value[key]) for key in keys] or rekeyed(
                        value, other, here
                    )
    return found
