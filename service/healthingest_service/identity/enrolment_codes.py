"""
Enrolment codes: short texts that a device exchanges once for its token. Pure.

A code has 20 characters in four groups, and can be read aloud and typed: Crockford's base 32 has
no letters that look like digits. 18 characters are random (90 bits), two are a checksum.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NewType
from urllib.parse import urlencode
from uuid import UUID

from healthingest_service.identity.model import Binding, Scope

EnrolmentCodeId = NewType("EnrolmentCodeId", UUID)

MAX_CODES: Final = 10_000
"""Codes of a study that are neither redeemed nor expired."""
KEPT: Final = timedelta(days=1)
"""How long an ended code is kept, so that a repeated redemption gets its answer."""
QR_SCHEME: Final = "healthingest:enrol"
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_CHARACTERS: Final = 18
_CHECKSUM_CHARACTERS: Final = 2
_BASE: Final = 37
_MODULUS: Final = 1021
"""The largest prime that two characters can hold."""
_GROUP: Final = 5
_MISREAD: Final = str.maketrans("OIL", "011", "- ")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentCode:
    """
    An enrolment code without its text. Times are timezone-aware and in UTC.

    The token that it is exchanged for has `binding` and `scopes`, and is valid for
    `token_lifetime`, None for ever.
    """

    id: EnrolmentCodeId
    binding: Binding
    scopes: frozenset[Scope]
    token_lifetime: timedelta | None
    created_at: datetime
    expires_at: datetime


def new_code() -> str:
    """Return a new code, in groups; only its hash is stored."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    text = random + _checksum(random)
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))


def normal_code(text: str) -> str | None:
    """Return a typed code in its normal form, without groups; None: it is no code."""
    code = text.upper().translate(_MISREAD)
    random = code[:_RANDOM_CHARACTERS]
    if len(code) != _RANDOM_CHARACTERS + _CHECKSUM_CHARACTERS or not set(code) <= set(_ALPHABET):
        return None
    return code if code.endswith(_checksum(random)) else None


def code_hash(code: str) -> str:
    """Return the hash of a code in its normal form, SHA-256 in hex."""
    return hashlib.sha256(code.encode()).hexdigest()


def token_seed(code: str, repetition_key: str) -> bytes:
    """Return the seed of the token that a device gets for *code* and its own key."""
    return hmac.digest(code.encode(), repetition_key.encode(), "sha256")


def qr_payload(code: str, server: str | None) -> str:
    """Return the text of a QR code for a device: the code, and the address of the service."""
    fields = {"code": code} | ({} if server is None else {"server": server})
    return f"{QR_SCHEME}?{urlencode(fields)}"


def _checksum(random: str) -> str:
    """
    Return two characters with which any wrong character, and any two that changed places, shows.

    A prime modulus above 32 makes every such difference differ from zero.
    """
    rest = 0
    for character in random:
        rest = (rest * _BASE + _ALPHABET.index(character)) % _MODULUS
    high, low = divmod(rest, len(_ALPHABET))
    return _ALPHABET[high] + _ALPHABET[low]
