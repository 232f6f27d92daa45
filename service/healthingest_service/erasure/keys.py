"""
The keys that follow from the one erasure key: of hashes, and of certificates.

The hashes recognise erased data when it comes again, and without the key they say nothing about
it.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from healthingest_contract import object_keys
from healthingest_service.erasure.errors import InvalidErasureKeyError
from healthingest_service.studies.model import ERASED_MARK, Pseudonym, StudySlug
from healthingest_service.uploads.model import Upload

KEY_BYTES: Final = 32
_HASHES: Final = b"healthingest erasure hashes v1"
_OBJECTS: Final = b"healthingest erasure objects v1"
_CERTIFICATES: Final = b"healthingest erasure certificates v1"
_SEPARATOR: Final = "\0"


def new_key_text() -> str:
    """Return a new erasure key: 32 random bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()


@dataclass(frozen=True, slots=True)
class ErasureKeys:
    """The keys of one installation. They are never rotated: hashes of erased data would be lost."""

    certificates: Ed25519PrivateKey = field(repr=False)
    _hashes: bytes = field(repr=False)
    _objects: bytes = field(repr=False)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """
        Read an erasure key, with or without the padding of base64.

        Raises:
            InvalidErasureKeyError: *text* is not 32 bytes in URL-safe base64.
        """
        try:
            key = base64.b64decode(text.rstrip("=") + "=", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            message = f"must be {KEY_BYTES} bytes in URL-safe base64"
            raise InvalidErasureKeyError(message)
        return cls(
            certificates=Ed25519PrivateKey.from_private_bytes(_derived(key, _CERTIFICATES)),
            _hashes=_derived(key, _HASHES),
            _objects=_derived(key, _OBJECTS),
        )

    def upload_hash(self, upload: Upload) -> bytes:
        """Return the hash of the subject's id (or the owner's), the study and the file's hash."""
        subject_id = object_keys.parse(upload.receipt.object_key).user_id
        return self._hash("upload", str(subject_id), upload.study, upload.receipt.file_hash)

    def key_hash(self, object_key: str) -> bytes:
        """Return the hash of an object key, by which a late object is recognised."""
        return self._hash("object", object_key)

    def hidden(self, study: StudySlug, pseudonym: Pseudonym) -> Pseudonym:
        """Return the text that replaces the pseudonym of an erased subject in the database."""
        digest = self._hash("subject", study, pseudonym)
        return Pseudonym(ERASED_MARK + base64.urlsafe_b64encode(digest).decode().rstrip("="))

    def mac(self, content: bytes) -> str:
        """Return the authentication code of an object that this service writes, in hex."""
        return hmac.digest(self._objects, content, "sha256").hex()

    def has_mac(self, content: bytes, mac: str) -> bool:
        """Return whether *mac* is the authentication code of *content*."""
        return hmac.compare_digest(self.mac(content).encode(), mac.encode())

    def _hash(self, *parts: str) -> bytes:
        return hmac.digest(self._hashes, _SEPARATOR.join(parts).encode(), hashlib.sha256)


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(key)
