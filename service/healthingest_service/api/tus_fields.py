"""The fields of tus in a request: a checksum, and the client's metadata."""

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from fastapi import Request

from healthingest_service.api.problems import RequestRefusedError

ALGORITHMS: Final = ("sha1", "sha256", "sha512")
"""The protocol requires SHA-1; it protects against damage in transit, not against an attacker."""
_METADATA_BYTES: Final = 4096
_METADATA_KEY: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
_ABOUT: Final = ("study", "subject")


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum of a body. `algorithm` is one of `ALGORITHMS`."""

    algorithm: str
    value: bytes


def checksum_of(request: Request) -> Checksum | None:
    """
    Return what `Upload-Checksum` declares; None: the request has none.

    Raises:
        RequestRefusedError: the algorithm is unknown, or the value is no digest of it.
    """
    text = request.headers.get("upload-checksum")
    if text is None:
        return None
    name, _, value = text.partition(" ")
    digest = _decoded(value)
    if name not in ALGORITHMS or digest is None or len(digest) != hashlib.new(name).digest_size:
        code = "invalid-checksum"
        raise RequestRefusedError(code)
    return Checksum(name, digest)


async def verified(content: AsyncIterator[bytes], checksum: Checksum) -> AsyncIterator[bytes]:
    """
    Yield *content* unchanged, and verify its checksum after the last byte.

    Raises:
        RequestRefusedError: it does not match.
    """
    digest = hashlib.new(checksum.algorithm, usedforsecurity=False)
    async for chunk in content:
        digest.update(chunk)
        yield chunk
    if digest.digest() != checksum.value:
        code = "checksum-mismatch"
        raise RequestRefusedError(code)


def metadata_of(text: str) -> tuple[str, dict[str, str]]:
    """
    Return the client's metadata as it is, and what it says of study and subject.

    Raises:
        RequestRefusedError: it is too long, a key comes twice or is not valid, or the value of
            `study` or `subject` is no Base64 of UTF-8.
    """
    pairs = [pair.strip(" ").partition(" ") for pair in text.split(",")] if text.strip(" ") else []
    keys = [key for key, _, _ in pairs]
    are_valid = all(_METADATA_KEY.fullmatch(key) for key in keys) and len(set(keys)) == len(keys)
    if len(text) > _METADATA_BYTES or not are_valid:
        raise _bad_metadata()
    return text, {key: _text(value) for key, _, value in pairs if key in _ABOUT}


def _text(value: str) -> str:
    decoded = _decoded(value)
    try:
        if decoded is not None:
            return decoded.decode()
    except UnicodeDecodeError:
        pass
    raise _bad_metadata()


def _decoded(text: str) -> bytes | None:
    """Return the bytes of Base64 *text*; None: it is not Base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _bad_metadata() -> RequestRefusedError:
    return RequestRefusedError("invalid-upload-metadata")
