"""The bucket of the object store, and HEAD requests for its objects."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from healthingest_service.adapters.s3.client import call_idempotent, status_of
from healthingest_service.uploads.errors import StoreRefusedError
from healthingest_service.uploads.model import NewObject, Sha256, StoredObject

Encryption = Literal["None", "SSE-S3", "SSE-KMS"]

ATTEMPTS: Final = 3
PAUSE_SECONDS: Final = 0.2
"""Pause before the second attempt; it doubles before each further one."""
CONTENT_TYPE: Final = "application/avro"
_HASH_ENTRY: Final = "sha256"  # sent as x-amz-meta-sha256
_NOT_FOUND: Final = 404


def metadata_of(new: NewObject) -> dict[str, str]:
    """Return the metadata to send: the SHA-256, too, for servers without a checksum of objects."""
    return {**new.metadata, _HASH_ENTRY: new.sha256}


@dataclass(frozen=True, slots=True)
class Bucket:
    """
    A bucket and its client.

    `creating` has the encryption arguments of every call that creates an object.
    """

    client: Any
    name: str
    creating: Mapping[str, str]
    timeout_seconds: float

    async def head(self, key: str) -> dict[str, Any] | None:
        """
        Return the response of a HEAD request with the checksum; None if the object does not exist.

        Raises:
            StoreUnavailableError, StoreRefusedError: the store gave no answer, or refused.
        """
        try:
            answer: dict[str, Any] = await call_idempotent(
                self.timeout_seconds,
                lambda: self.client.head_object(Bucket=self.name, Key=key, ChecksumMode="ENABLED"),
            )
        except StoreRefusedError as error:
            if status_of(error.__cause__) == _NOT_FOUND:
                return None
            raise
        return answer


def stored_object(answer: Mapping[str, Any]) -> StoredObject:
    """
    Return size, hash and metadata from the response of a HEAD request.

    The hash is the server's checksum of the whole object if it has one, else the metadata, which
    was sent with verified bytes.
    """
    metadata = dict(answer.get("Metadata", {}))
    sha256 = metadata.pop(_HASH_ENTRY, None)
    checksum = answer.get("ChecksumSHA256")
    if checksum and "-" not in checksum:  # a dash marks the composite checksum of multipart uploads
        sha256 = base64.b64decode(checksum).hex()
    known = None if sha256 is None else Sha256(sha256)
    return StoredObject(answer["ContentLength"], known, metadata)


def encryption_arguments(encryption: Encryption, kms_key_id: str | None) -> dict[str, str]:
    """Return the encryption arguments of calls that create an object."""
    match encryption:
        case "None":
            return {}
        case "SSE-S3":
            return {"ServerSideEncryption": "AES256"}
        case "SSE-KMS":
            key = {} if kms_key_id is None else {"SSEKMSKeyId": kms_key_id}
            return {"ServerSideEncryption": "aws:kms", **key}
