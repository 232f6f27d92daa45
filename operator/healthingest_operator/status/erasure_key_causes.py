"""Causes of an erasure key that is not the one that the data of a HealthIngest needs."""

from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.status.causes import Cause

_SECRETS: Final = (ConditionType.SECRETS_READY,)
_REMEDY: Final = (
    "write the exported key into entry erasure-key of Secret {secret}; without any copy of it,"
    " confirm a new key by annotation healthingest.dev/confirm-new-erasure-key={fingerprint}:"
    " a file that was erased before is then accepted when it is sent again"
)

ERASURE_KEY_MISSING: Final = Cause(
    "erasure-key-missing",
    _SECRETS,
    Reason.ERASURE_KEY_MISSING,
    "a lost erasure key",
    "Secret {secret} is missing or has no key, and the data was erased with the key of fingerprint"
    " {fingerprint}",
    _REMEDY,
)
ERASURE_KEY_CHANGED: Final = Cause(
    "erasure-key-changed",
    _SECRETS,
    Reason.ERASURE_KEY_CHANGED,
    "an erasure key that was changed",
    "Secret {secret} has another erasure key than the one of fingerprint {fingerprint}, with which"
    " the data was erased",
    _REMEDY,
)
ERASURE_KEY_CAUSES: Final = (ERASURE_KEY_MISSING, ERASURE_KEY_CHANGED)
