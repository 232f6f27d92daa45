"""
Certificates of erasures: JSON Web Signatures (RFC 7515) with Ed25519 (RFC 8037).

A certificate names the erasure and counts; it names no person.
"""

import base64
from dataclasses import asdict
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from healthingest_contract.events import rfc3339
from healthingest_service.erasure.errors import InvalidCertificateError
from healthingest_service.erasure.keys import ErasureKeys
from healthingest_service.erasure.model import Erasure
from healthingest_service.identity.access_tokens import ALGORITHM, key_id

TYPE: Final = "healthingest-erasure+jwt"
MAX_CHARACTERS: Final = 8192
_STATEMENT: Final = (
    "Every version of every object, and every row, of the scope was removed and searched for."
    " `announced` uploads were told to consumers before; whether they were processed is not known."
)


def issue(erasure: Erasure, keys: ErasureKeys) -> str:
    """Return the certificate of a finished erasure."""
    if erasure.done_at is None:
        message = "the erasure is not done"
        raise ValueError(message)
    scope = erasure.scope
    claims = {
        "erasure_id": str(erasure.id),
        "kind": scope.kind.value,
        "study": scope.study,
        "requested_at": rfc3339(erasure.requested_at),
        "done_at": rfc3339(erasure.done_at),
        "iat": int(erasure.done_at.timestamp()),
        "counts": asdict(erasure.counts),
        "found_by_search": 0,
        "statement": _STATEMENT,
    }
    header = {"typ": TYPE, "kid": key_id(keys.certificates.public_key())}
    return jwt.encode(claims, keys.certificates, algorithm=ALGORITHM, headers=header)


def verify(certificate: str, key: Ed25519PublicKey) -> dict[str, Any]:
    """
    Return the claims of a certificate.

    Raises:
        InvalidCertificateError: it was not signed with *key*, or was changed.
    """
    if len(certificate) > MAX_CHARACTERS:
        raise InvalidCertificateError
    try:
        header = jwt.get_unverified_header(certificate)
        if header.get("typ") != TYPE:
            raise InvalidCertificateError
        options: Any = {"require": ["erasure_id", "done_at", "iat", "counts"], "verify_iat": False}
        return jwt.decode(certificate, key, algorithms=[ALGORITHM], options=options)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError):
        raise InvalidCertificateError from None


def public_key(keys: ErasureKeys) -> dict[str, str]:
    """Return the key that verifies certificates, as a JSON Web Key (RFC 7517)."""
    key = keys.certificates.public_key()
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    text = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "kid": key_id(key), "alg": ALGORITHM, "x": text}
