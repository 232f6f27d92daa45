"""
Access tokens: JSON Web Tokens (RFC 7519) signed with Ed25519 (RFC 8037), valid for minutes.

The checks beyond PyJWT's own follow RFC 8725 (best practices): one algorithm, a typed header, every
claim required.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self
from uuid import UUID, uuid4

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from healthingest_service.identity.errors import InvalidTokenError
from healthingest_service.identity.model import AccountId, Principal, Scope, SessionId

ALGORITHM: Final = "EdDSA"
HEADER_TYPE: Final = "at+jwt"
"""RFC 9068, "JWT Profile for OAuth 2.0 Access Tokens"."""
TOKEN_USE: Final = "access"  # noqa: S105 - a claim's value
MAX_TOKEN_CHARACTERS: Final = 4096
_LEEWAY_SECONDS: Final = 10
_REQUIRED: Final = ["iss", "aud", "exp", "iat", "jti", "sub", "sid", "token_use", "scope"]
_HEADER_MEMBERS: Final = frozenset({"alg", "typ", "kid"})
_PEM: Final = re.compile(r"-----BEGIN PRIVATE KEY-----.+?-----END PRIVATE KEY-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """
    Keys of access tokens: the first key signs, all keys verify.

    So a key can be rotated while tokens of the previous one stay valid.
    """

    signing: Ed25519PrivateKey = field(repr=False)
    signing_id: str
    verifying: dict[str, Ed25519PublicKey] = field(repr=False)

    @classmethod
    def from_pem(cls, text: str) -> Self:
        """
        Read one or more concatenated PKCS #8 PEM keys.

        Raises:
            ValueError: there is no key, or a key is not Ed25519; the message contains no key.
        """
        keys = [_private_key(block.encode()) for block in _PEM.findall(text)]
        if not keys:
            message = "no signing key in PEM (PKCS #8) found"
            raise ValueError(message)
        return cls(
            signing=keys[0],
            signing_id=key_id(keys[0].public_key()),
            verifying={key_id(key.public_key()): key.public_key() for key in keys},
        )


def _private_key(pem: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PrivateKey):
        return key
    message = "a signing key is not an Ed25519 private key in PEM (PKCS #8)"
    raise ValueError(message) from None


def new_key_pem() -> str:
    """Return a new private key in PEM, for `SigningKeys.from_pem`."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key_id(key: Ed25519PublicKey) -> str:
    """Return the id of a key: the first 128 bits of its SHA-256, in hex."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The content of a valid token. Its session may have been revoked; the caller checks that."""

    principal: Principal
    session_id: SessionId
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessTokens:
    """Issues and verifies access tokens."""

    keys: SigningKeys
    issuer: str
    audience: str
    lifetime: timedelta

    def issue(
        self, account: AccountId, session: SessionId, scopes: frozenset[Scope], *, at: datetime
    ) -> str:
        """Return a new token, valid from *at* for the lifetime."""
        claims: dict[str, object] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": str(account),
            "sid": str(session),
            "jti": str(uuid4()),
            "iat": int(at.timestamp()),
            "exp": int((at + self.lifetime).timestamp()),
            "token_use": TOKEN_USE,
            "scope": " ".join(sorted(scopes)),
        }
        header = {"typ": HEADER_TYPE, "kid": self.keys.signing_id}
        return jwt.encode(claims, self.keys.signing, algorithm=ALGORITHM, headers=header)

    def verify(self, token: str) -> VerifiedToken:
        """
        Verify a token and return its content.

        Raises:
            InvalidTokenError: it was not issued by this service, is no access token, or expired.
        """
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise InvalidTokenError
        try:
            claims = jwt.decode(
                token,
                self._key_for(jwt.get_unverified_header(token)),
                algorithms=[ALGORITHM],
                audience=self.audience,
                issuer=self.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": _REQUIRED, "strict_aud": True},
            )
            return _read(claims)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError):
            raise InvalidTokenError from None

    def _key_for(self, header: Mapping[str, object]) -> Ed25519PublicKey:
        kid = header.get("kid")
        known = self.keys.verifying.get(kid) if isinstance(kid, str) else None
        if (
            header.get("typ") != HEADER_TYPE
            or not _HEADER_MEMBERS.issuperset(header)
            or known is None
        ):
            raise InvalidTokenError
        return known


def _read(claims: dict[str, Any]) -> VerifiedToken:
    texts = (claims["sub"], claims["sid"], claims["jti"], claims["scope"])
    if (
        claims["token_use"] != TOKEN_USE
        or type(claims["exp"]) is not int
        or not all(type(x) is str for x in texts)
    ):
        raise InvalidTokenError
    scopes = frozenset(scope for scope in Scope if scope.value in claims["scope"].split())
    session = SessionId(UUID(claims["sid"]))
    principal = Principal(AccountId(UUID(claims["sub"])), scopes, claims["jti"], session)
    return VerifiedToken(principal, session, datetime.fromtimestamp(claims["exp"], UTC))
