"""
The erasure key, with which the service hashes erased files to recognise them later.

It is created once and never rotated, because with another key no erased file would be recognised.
Its Secret has no owner reference: like the data, it is kept when the HealthIngest is deleted.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Final

from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest, ManifestView
from healthingest_operator.resources.names import (
    INSTANCE_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    erasure_key_secret,
)
from healthingest_operator.resources.secrets import secret_object

ENTRY: Final = "erasure-key"
"""Entry of the Secret."""
_BYTES: Final = 32
_CONTEXT: Final = b"healthingest erasure key "


class KeyProblem(Enum):
    """Why no key may be used."""

    MISSING = auto()
    CHANGED = auto()


def is_erasure_key(text: str | None) -> bool:
    """Whether *text* is 32 bytes in URL-safe Base64, with or without padding."""
    try:
        return text is not None and len(_bytes_of(text)) == _BYTES
    except (binascii.Error, ValueError):
        return False


def fingerprint_of(key: str) -> str:
    """
    Return 128 bits of a hash of the key.

    They do not reveal the key, which is random, so they may be in a status and in a bucket's tag.
    """
    return hashlib.sha256(_CONTEXT + _bytes_of(key)).hexdigest()[:32]


def chosen_key(
    kept: Iterable[str | None], known: str | None, confirmed: str, make: Callable[[], str]
) -> str | KeyProblem:
    """
    Return the key to use, or the reason for which there is none.

    *kept* are the values of the Secrets, *known* is the fingerprint of the key that the data needs
    (None: it needs none yet), and *confirmed* is the fingerprint that may be replaced.
    """
    usable = [key for key in kept if key is not None and is_erasure_key(key)]
    for key in usable:
        if fingerprint_of(key) == known:
            return key
    if known is not None and known != confirmed:
        return KeyProblem.CHANGED if usable else KeyProblem.MISSING
    return usable[0] if usable else make()


def erasure_key_object(owner: HealthIngest, key: str) -> Manifest:
    """Return the Secret with *key*, which the deletion of the HealthIngest does not remove."""
    described = secret_object(owner, erasure_key_secret(owner.key), {ENTRY: key})
    del described["metadata"]["ownerReferences"]
    return described


def may_hold_key(secret: ManifestView, owner: HealthIngest, key: str | None) -> bool:
    """Whether a Secret of this name is the operator's, or has a key that a person restored."""
    labels = secret["metadata"].get("labels") or {}
    is_own = labels.get(MANAGED_BY_LABEL) == MANAGED_BY
    return (is_own and labels.get(INSTANCE_LABEL) == owner.key.name) or is_erasure_key(key)


def _bytes_of(text: str) -> bytes:
    bare = text.rstrip("=")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
