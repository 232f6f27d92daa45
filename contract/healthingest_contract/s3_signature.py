"""
Signatures of requests to S3: AWS Signature Version 4, in the header `Authorization`.

Source: Amazon S3 API reference, "Signature Calculations for the Authorization Header: Transferring
Payload in a Single Chunk (AWS Signature Version 4)". The functions are pure.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, quote

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SERVICE: Final = "s3"
_END: Final = "aws4_request"
NO_PAYLOAD: Final = hashlib.sha256(b"").hexdigest()
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
"""The hash of a body that the signature does not cover."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_CACHED_KEYS: Final = 8
"""Signing keys that are kept: those of this day and of the renewals of temporary keys."""


@dataclass(frozen=True, slots=True)
class AccessKeys:
    """The keys that sign; temporary ones have a session token."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class UnsignedRequest:
    """
    A request without its signature.

    `host` is the value of the header, see `host_header`, `path` is percent-encoded, see
    `encoded_key`. All `headers` are signed; their names are in lower case, their values printable
    ASCII. `payload_sha256` is the hexadecimal SHA-256 of the body, which the server verifies, or
    `UNSIGNED_PAYLOAD`.
    `subresource` is a query that is a name only, such as `versioning`.
    """

    method: str
    host: str
    path: str
    headers: Mapping[str, str]
    payload_sha256: str
    subresource: str = ""


def host_header(url: SplitResult) -> str:
    """Return the header `Host`: an IPv6 address has brackets, the default port is left out."""
    name = url.hostname or ""
    bracketed = f"[{name}]" if ":" in name else name
    is_default = url.port in {None, _DEFAULT_PORTS.get(url.scheme)}
    return bracketed if is_default else f"{bracketed}:{url.port}"


def encoded_key(key: str) -> str:
    """Return an object key as a path: encoded once, each slash stays."""
    return quote(key)


def signed_headers(
    request: UnsignedRequest, keys: AccessKeys, *, region: str, now: datetime
) -> dict[str, str]:
    """Return all headers to send: those of *request*, and those of its signature at *now* (UTC)."""
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    day = stamp[:8]
    headers = {
        **request.headers,
        "host": request.host,
        "x-amz-content-sha256": request.payload_sha256,
        "x-amz-date": stamp,
    }
    if keys.session_token:
        headers["x-amz-security-token"] = keys.session_token
    scope = f"{day}/{region}/{_SERVICE}/{_END}"
    names = sorted(headers)
    signed = ";".join(names)
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
    query = f"{request.subresource}=" if request.subresource else ""
    target = f"{request.method}\n{request.path}\n{query}\n"
    canonical = f"{target}{lines}\n{signed}\n{request.payload_sha256}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}"
    key = _signing_key(keys.secret_access_key, day, region)
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"{_ALGORITHM} Credential={keys.access_key_id}/{scope}, "
        f"SignedHeaders={signed}, Signature={signature}"
    )
    return headers


@lru_cache(maxsize=_CACHED_KEYS)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    """Return the key for a day, a region and S3, which is derived from the secret access key."""
    key = f"AWS4{secret}".encode()
    for word in (day, region, _SERVICE, _END):
        key = hmac.digest(key, word.encode(), "sha256")
    return key
