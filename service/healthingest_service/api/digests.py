"""
`Content-Digest` and `Repr-Digest` of a request (RFC 9530).

What arrived is what was sent, or it is refused.

Both cover the request's content as it comes, a form with all of its parts: no content coding and no
range is understood here that could tell the two apart. `sha-256` and `sha-512` are verified, other
algorithms ignored.
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
A member of a dictionary whose value is a byte sequence.

Parameters mean nothing (RFC 9651, section 4.2).
"""
_COMMA: Final = re.compile(r"[ \t]*,[ \t]*")


@dataclass(frozen=True, slots=True)
class Digest:
    """What the client says of its content. `algorithm` is `sha-256` or `sha-512`."""

    algorithm: str
    value: bytes


def digests_of(request: Request) -> tuple[Digest, ...]:
    """
    What the request says of its content, in so far as it can be verified here.

    Raises:
        RequestRefusedError: a field is not what RFC 9530 wants it to be.
    """
    return tuple(
        digest for name in FIELDS for digest in _parse(", ".join(request.headers.getlist(name)))
    )


async def verified(
    content: AsyncIterator[bytes], digests: Sequence[Digest]
) -> AsyncIterator[bytes]:
    """
    The same bytes; after the last one it is known whether they are the ones that were meant.

    Raises:
        RequestRefusedError: they are not. The reader has had them all, and must not have acted on
            them yet.
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
    Read what is left of a body that was refused: damage on the way is no fault of the file.

    Raises:
        RequestRefusedError: it was damaged, as `verified` finds.
    """
    left_bytes = max_bytes
    async for chunk in content:
        left_bytes -= len(chunk)
        if left_bytes < 0:
            return


def _parse(text: str) -> list[Digest]:
    """A dictionary of byte sequences; of a key that comes twice the last one counts."""
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
