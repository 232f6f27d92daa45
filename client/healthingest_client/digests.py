"""SHA-256 of files."""

import base64
import hashlib
from pathlib import Path
from typing import Final

_CHUNK_BYTES: Final = 1 << 20


class FileDigest:
    """The SHA-256 of bytes that come in chunks."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        """Add the next bytes."""
        self._digest.update(chunk)

    def add_file(self, path: Path) -> int:
        """Add the bytes of a file; returns their number."""
        size_bytes = 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                self._digest.update(chunk)
                size_bytes += len(chunk)
        return size_bytes

    @property
    def hexadecimal(self) -> str:
        """The digest as in a receipt."""
        return self._digest.hexdigest()

    @property
    def field(self) -> str:
        """The digest as the value of `Content-Digest` or `Repr-Digest` (RFC 9530)."""
        return f"sha-256=:{base64.b64encode(self._digest.digest()).decode()}:"


def digest_of(path: Path) -> FileDigest:
    """Return the digest of a file."""
    digest = FileDigest()
    digest.add_file(path)
    return digest
