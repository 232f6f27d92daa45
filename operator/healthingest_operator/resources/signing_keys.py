"""
The signing keys of access tokens, as one PEM text: the first key signs, every key verifies.

A new key first verifies in all pods, and only then signs in any of them. The old key verifies until
the last token that it signed has expired.
"""

import re
from collections.abc import Callable
from typing import Final

_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN PRIVATE KEY-----\n[A-Za-z0-9+/=\n]+-----END PRIVATE KEY-----\n?"
)


def keys_of(text: str | None) -> list[str]:
    """Return the keys of a PEM text; an empty list if it contains anything else."""
    found: list[str] = _PRIVATE_KEY.findall(text or "")
    return found if "".join(found) == (text or "") else []


def with_second_key(text: str, make: Callable[[], str]) -> str:
    """Return *text* with a second key, which verifies and does not sign; at most two keys."""
    keys = keys_of(text)
    return text if len(keys) > 1 else _joined([*keys, make()])


def with_second_key_first(text: str) -> str:
    """Return *text* with its second key first, so that it signs."""
    first, *others = keys_of(text)
    return _joined([*others, first])


def with_first_key_only(text: str) -> str:
    """Return *text* without the keys that only verify."""
    return keys_of(text)[0]


def _joined(keys: list[str]) -> str:
    return "".join(key if key.endswith("\n") else f"{key}\n" for key in keys)
