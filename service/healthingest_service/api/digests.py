"""
Verification of `Content-Digest` and `Repr-Digest` of a request (RFC 9530).

Both cover the request's content, for a form with all of its parts: without content coding and
ranges, the two mean the same. `sha-256` and `sha-512` are verified, other algorithms ignored.
"""

import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from healthingest_service.api.problems import RequestRefusedError

FIELDS: Final = ("Content-Digest", "Repr-Digest")
_ALGORITHMS: Final = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_BARE: Final = (
    r'(?::[A-Za-z0-9+/=]*:|"(?:[ !#-\[\]-~]|\\["\\])*"|\?[01]|-?[0-9.]+'
    r"|[A-Za-z*][!#$%&'*+.^_`|~:/0-9A-Za-z-]*)"
)
_MEMBER: Final = re.compile(
    r"(?P<key>[a-z*][a-z0-9_.*-]*)=:(?P<value>[A-Za-z0-9+/=]*):"
    rf"(?:;[ ]*[a-z*][a-z0-9_.*-]*(?:={_BARE})?)*"
)
"""
A member of a structured-field dictionary whose value is a byte sequence.

Its parameters are ignored (RFC 9651, section 4.2).
"""
_COMMA: Final = re.compile(r"[ \t]*,[ \t]*")


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest that the client declared. `algorithm` is `sha-256` or `sha-512`."""

    algorithm: str
    value: bytes


def digests_of(request: Request, *, fields: Sequence[str] = FIELDS) -> tuple[Digest, ...]:
    """
    Return the digests that the client declared with a supported algorithm.

    Raises:
        RequestRefusedError: a digest field is malformed (RFC 9530).
    """
    return tuple(
        digest for name in fields for digest in _parse(", ".join(request.headers.getlist(name)))
    )


async def verified(
    content: AsyncIterator[bytes], digests: Sequence[Digest]
) -> AsyncIterator[bytes]:
    """
    Yield *content* unchanged, and verify its digests after the last byte.

    Raises:
        RequestRefusedError: a digest does not match. All bytes have been yielded by then, so the
            caller must not act on them before the end.
    """
    running = [(digest.value, _ALGORITHMS[digest.algorithm]()) for digest in digests]
    async for chunk in content:
        for _, digest in running:
            digest.update(chunk)
        yield chunk
    if any(digest.digest() != value for value, digest in running):
        code = "digest-mismatch"
        raise RequestRefusedError(code)


async def read_on(content: AsyncIterator[bytes], *, max_bytes: int) -> None:
    """
    Read the rest of a body whose file was refused, up to *max_bytes*.

    If the bytes were damaged in transit, the response must be `digest-mismatch`, not a refusal of
    the file.

    Raises:
        RequestRefusedError: a digest does not match, as in `verified`.
    """
    left_bytes = max_bytes
    async for chunk in content:
        left_bytes -= len(chunk)
        if left_bytes < 0:
            return


def _parse(text: str) -> list[Digest]:
    """Parse a dictionary of byte sequences; the last of several equal keys wins."""
    found = {}
    at = 0
    text = text.strip(" \t,")
    while at < len(text):
        member = _MEMBER.match(text, at)
        end = None if member is None else _COMMA.match(text, member.end())
        if member is None or (end is None and member.end() < len(text)):
            raise _malformed()
        found[member["key"]] = member["value"]
        at = len(text) if end is None else end.end()
    return [Digest(key, _bytes(key, value)) for key, value in found.items() if key in _ALGORITHMS]


def _bytes(algorithm: str, text: str) -> bytes:
    try:
        value = binascii.a2b_base64(
            text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), strict_mode=True
        )
    except binascii.Error:
        raise _malformed() from None
    if len(value) != _ALGORITHMS[algorithm]().digest_size:
        raise _malformed()
    return value


def _malformed() -> RequestRefusedError:
    return RequestRefusedError("invalid-digest")
