"""
Tokens of OpenID Connect providers, verified with the provider's public keys. Pure.

The checks follow RFC 8725 (best practices for JSON Web Tokens), RFC 9068 (access tokens), and
OpenID Connect Core 1.0, 3.1.3.7 (ID tokens).
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid5

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from healthingest_service.identity.access_tokens import MAX_TOKEN_CHARACTERS
from healthingest_service.identity.errors import InvalidTokenError
from healthingest_service.identity.model import AccountId

VerificationKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

RSA_BITS: Final = 2048
"""Shorter keys are ignored (RFC 7518, 3.3)."""
MAX_KEYS: Final = 100
_MAX_ADDRESS_CHARACTERS: Final = 2048
MAX_GROUPS: Final = 1000
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_ID_TOKEN_TYPES: Final = frozenset({"", "jwt"})
_TYPES: Final = _ID_TOKEN_TYPES | {"at+jwt", "application/at+jwt"}
MAX_ID_TOKEN_CHARACTERS: Final = 64 * 1024
"""An ID token comes from the provider itself, and may list many groups."""
_REQUIRED: Final = ["iss", "aud", "exp", "iat", "sub"]
_ID_TOKEN_CLAIMS: Final = frozenset({"nonce", "at_hash", "c_hash"})
_MAX_SUBJECT_CHARACTERS: Final = 255
"""OpenID Connect Core 1.0, 2."""
_LEEWAY_SECONDS: Final = 10
_DECODE_ERRORS: Final = (
    jwt.PyJWTError,
    ValueError,
    TypeError,
    RecursionError,
    OverflowError,
)
_ACCOUNTS: Final = UUID("7d1c9c1e-3f5e-4b0e-9f55-0c2a6a1f8f64")
"""The namespace of the accounts of identity providers (RFC 9562, 5.5)."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """
    An identity provider whose access tokens are accepted.

    `url` equals the claim `iss`, `audience` is in `aud`. If `required_groups` is not empty, the
    claim `groups_claim` must have one of them; other callers are authenticated, and may do nothing.
    So are callers whose access token lacks one of `required_scopes`.
    """

    url: str
    audience: str
    groups_claim: str = "groups"
    required_groups: frozenset[str] = frozenset()
    required_scopes: frozenset[str] = frozenset()

    def admits(self, groups: frozenset[str]) -> bool:
        """Return whether a caller with *groups* may use the API."""
        return not self.required_groups or not self.required_groups.isdisjoint(groups)

    def accepts(self, caller: "ExternalCaller") -> bool:
        """Return whether the access token of *caller* may use the API."""
        return self.admits(caller.groups) and self.required_scopes <= caller.scopes


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """
    The addresses of a provider at which users sign in (OpenID Connect Discovery 1.0, 3).

    `basic_authentication`: the client secret goes into the header, else into the form.
    `sends_issuer`: redirects have the parameter `iss` (RFC 9207).
    """

    authorization: str
    token: str
    basic_authentication: bool = True
    sends_issuer: bool = False


@dataclass(frozen=True, slots=True)
class ProviderKeys:
    """
    The public keys of a provider, by key id, with the algorithms that each may verify.

    `endpoints` is None if nobody can sign in there with PKCE.
    """

    by_id: Mapping[str, tuple[VerificationKey, frozenset[str]]]
    endpoints: Endpoints | None = None

    def find(self, key_id: str | None) -> tuple[VerificationKey, frozenset[str]] | None:
        """Return the key; a token without a key id has that of a provider with one key."""
        if key_id is not None:
            return self.by_id.get(key_id)
        return next(iter(self.by_id.values())) if len(self.by_id) == 1 else None


@dataclass(frozen=True, slots=True)
class ExternalCaller:
    """
    The caller of a valid token.

    `token_id` is the claim `jti`, or a digest of the token. The provider's name of the caller is
    not kept: `account_id` is derived from it.
    """

    account_id: AccountId
    token_id: str
    groups: frozenset[str] = field(repr=False)
    issued_at: datetime
    expires_at: datetime
    scopes: frozenset[str] = frozenset()


def account_of(issuer: str, subject: str) -> AccountId:
    """Return the account id of a provider's user: always the same one."""
    return AccountId(uuid5(_ACCOUNTS, f"{issuer}\n{subject}"))


def issuer_in(token: str) -> str | None:
    """Return the issuer that a token claims, unverified; None if the text is not a token."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        return None
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None
    found = claims.get("iss")
    return found if isinstance(found, str) else None


def key_id_in(token: str, *, is_id_token: bool = False) -> str | None:
    """
    Return the key id in the header of a token, None if it has none.

    Raises:
        InvalidTokenError: the header is invalid, or that of another kind of token.
    """
    types = _ID_TOKEN_TYPES if is_id_token else _TYPES
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise InvalidTokenError from None
    kind = header.get("typ", "")
    key_id = header.get("kid")
    if "crit" in header or not isinstance(kind, str) or kind.lower() not in types:
        raise InvalidTokenError
    if key_id is not None and not isinstance(key_id, str):
        raise InvalidTokenError
    return key_id


def keys_in(document: object) -> ProviderKeys:
    """
    Return the keys of a JSON Web Key Set (RFC 7517).

    Symmetric keys, keys for encryption, short keys, and keys of an unknown kind are left out.
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    found: dict[str, tuple[VerificationKey, frozenset[str]]] = {}
    for entry in listed[:MAX_KEYS] if isinstance(listed, list) else ():
        usable = _usable(entry) if isinstance(entry, dict) else None
        if usable is not None:
            found[str(entry.get("kid", ""))] = usable
    return ProviderKeys(found)


def _usable(entry: dict[str, Any]) -> tuple[VerificationKey, frozenset[str]] | None:
    if entry.get("use", "sig") != "sig" or entry.get("kty") == "oct":
        return None
    try:
        key = jwt.PyJWK(entry).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    algorithms = _algorithms(key)
    named = entry.get("alg")
    if named is not None:
        algorithms &= {named}
    return (key, algorithms) if algorithms else None


def _algorithms(key: object) -> frozenset[str]:
    if isinstance(key, RSAPublicKey):
        return _RSA if key.key_size >= RSA_BITS else frozenset()
    if isinstance(key, EllipticCurvePublicKey):
        return frozenset({_CURVES[key.curve.name]} if key.curve.name in _CURVES else ())
    return frozenset({"EdDSA"} if isinstance(key, Ed25519PublicKey) else ())


def endpoints_in(document: Mapping[str, object], issuer: str) -> Endpoints | None:
    """
    Return the endpoints of a discovery document.

    None: there are none with the scheme of *issuer*, or the provider says that it has no PKCE with
    S256, which RFC 9700 (2.1.1) requires.
    """
    authorization = document.get("authorization_endpoint")
    token = document.get("token_endpoint")
    methods = document.get("code_challenge_methods_supported")
    if not (_is_address(authorization, issuer) and _is_address(token, issuer)):
        return None
    if isinstance(methods, list) and "S256" not in methods:
        return None
    named = document.get("token_endpoint_auth_methods_supported")
    return Endpoints(
        authorization=str(authorization),
        token=str(token),
        basic_authentication=not isinstance(named, list) or "client_secret_basic" in named,
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _is_address(found: object, issuer: str) -> bool:
    return (
        isinstance(found, str)
        and len(found) <= _MAX_ADDRESS_CHARACTERS
        and urlsplit(found).scheme == urlsplit(issuer).scheme
        and not urlsplit(found).fragment
    )


def verify(
    token: str, issuer: Issuer, key: VerificationKey, algorithms: frozenset[str]
) -> ExternalCaller:
    """
    Verify an access token of *issuer* and return its caller.

    Raises:
        InvalidTokenError: the signature or a claim is wrong, it expired, or it is an ID token.
    """
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=sorted(algorithms),
            audience=issuer.audience,
            issuer=issuer.url,
            leeway=_LEEWAY_SECONDS,
            options={"require": _REQUIRED},
        )
        if not _ID_TOKEN_CLAIMS.isdisjoint(claims):
            raise InvalidTokenError
        return _caller(token, claims, issuer)
    except _DECODE_ERRORS:
        raise InvalidTokenError from None


def verify_id_token(
    token: str,
    issuer: Issuer,
    key: tuple[VerificationKey, frozenset[str]],
    *,
    client_id: str,
    nonce: str,
) -> ExternalCaller:
    """
    Verify the ID token of a sign-in and return its user.

    *key* has its algorithms. *nonce* is that of the authorization request: it binds the token to
    the browser that began.

    Raises:
        InvalidTokenError: the signature or a claim is wrong, or it expired.
    """
    try:
        claims = jwt.decode(
            token,
            key[0],
            algorithms=sorted(key[1]),
            audience=client_id,
            issuer=issuer.url,
            leeway=_LEEWAY_SECONDS,
            options={"require": [*_REQUIRED, "nonce"]},
        )
        if not _is_for(claims, client_id, nonce):
            raise InvalidTokenError
        return _caller(token, claims, issuer)
    except _DECODE_ERRORS:
        raise InvalidTokenError from None


def _is_for(claims: dict[str, Any], client_id: str, nonce: str) -> bool:
    """Return whether the token is for this sign-in of this client, and for no other client."""
    audience = claims["aud"]
    is_shared = isinstance(audience, list) and len(audience) > 1
    return (
        type(claims["nonce"]) is str
        and hmac.compare_digest(claims["nonce"].encode(), nonce.encode())
        and claims.get("azp", None if is_shared else client_id) == client_id
    )


def _caller(token: str, claims: dict[str, Any], issuer: Issuer) -> ExternalCaller:
    subject = claims["sub"]
    expires = claims["exp"]
    issued = claims["iat"]
    if (
        type(subject) is not str
        or not 0 < len(subject) <= _MAX_SUBJECT_CHARACTERS
        or type(expires) not in {int, float}
        or type(issued) not in {int, float}
    ):
        raise InvalidTokenError
    named = claims.get("jti")
    digest = hashlib.sha256(token.encode()).hexdigest()[:32]
    return ExternalCaller(
        account_of(issuer.url, subject),
        named if isinstance(named, str) and len(named) <= _MAX_SUBJECT_CHARACTERS else digest,
        _groups(claims.get(issuer.groups_claim)),
        datetime.fromtimestamp(issued, UTC),
        datetime.fromtimestamp(expires, UTC),
        _scopes(claims),
    )


def _scopes(claims: Mapping[str, object]) -> frozenset[str]:
    """
    Return the scopes of a token: `scope` is one text with spaces (RFC 9068, 2.2.3).

    Some providers send `scp` instead, as a text or a list.
    """
    claim = claims.get("scope", claims.get("scp"))
    return frozenset(claim.split()) if isinstance(claim, str) else _groups(claim)


def _groups(claim: object) -> frozenset[str]:
    listed = [claim] if isinstance(claim, str) else claim
    if not isinstance(listed, list):
        return frozenset()
    return frozenset(name for name in listed[:MAX_GROUPS] if isinstance(name, str))
