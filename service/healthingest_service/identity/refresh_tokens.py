"""
Refresh tokens: 256 random bits, stored as a hash, and exchanged once for the next token.

The next token (child) is derived from the used token (parent) and a random salt, which is stored
with the hash of the parent. So two concurrent exchanges get the same child. To derive the child, an
attacker would need both the database and the parent.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from typing import Final

SALT_BYTES: Final = 32
_TOKEN_BYTES: Final = 32
MAX_CHARACTERS: Final = 64
"""Tokens have 43 characters; longer texts are refused before hashing."""


def new_token() -> str:
    """Return a new random token."""
    return _text(secrets.token_bytes(_TOKEN_BYTES))


def new_salt() -> bytes:
    """Return a new random salt for `child_of`."""
    return secrets.token_bytes(SALT_BYTES)


def child_of(parent: str, salt: bytes) -> str:
    """Return the next token after *parent*; it depends only on *parent* and *salt*."""
    return _text(hmac.digest(parent.encode(), salt, "sha256"))


def token_hash(token: str) -> str:
    """Return the hash to store, in hex; SHA-256 suffices for 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def _text(token: bytes) -> str:
    return urlsafe_b64encode(token).rstrip(b"=").decode()
