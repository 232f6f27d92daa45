"""A bucket as the store's modules share it, and what a HEAD of an object in it tells."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from healthingest_service.adapters.s3.client import call_idempotent, status_of
from healthingest_service.uploads.errors import StoreRefusedError
from healthingest_service.uploads.model import Sha256, StoredObject

Encryption = Literal["None", "SSE-S3", "SSE-KMS"]

ATTEMPTS: Final = 3
PAUSE_SECONDS: Final = 0.2
"""Before the second attempt; twice as long before each further one."""
CONTENT_TYPE: Final = "application/avro"
_HASH_ENTRY: Final = "sha256"  # sent as x-amz-meta-sha256
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object that is to be stored: the file at `path`."""

    key: str
    path: Path
    size_bytes: int
    sha256: str

    @property
    def metadata(self) -> dict[str, str]:
        """What the object shall say about itself where the server has no checksum of all of it."""
        return {_HASH_ENTRY: self.sha256}


@dataclass(frozen=True, slots=True)
class Bucket:
    """
    Where objects go.

    `creating` has the arguments of every call that makes one: how it is encrypted.
    """

    client: Any
    name: str
    creating: Mapping[str, str]
    timeout_seconds: float

    async def head(self, key: str) -> dict[str, Any] | None:
        """
        The server's answer about an object, its checksum included; None: there is none.

        Raises:
            StoreUnavailableError, StoreRefusedError: it cannot be told.
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
    What a HEAD says.

    The hash is the server's own checksum where it has one of the whole object, else the metadata
    that came with bytes that were verified.
    """
    checksum = answer.get("ChecksumSHA256")
    if (
        checksum and "-" not in checksum
    ):  # with a dash it is a checksum of checksums, of a multipart upload
        return StoredObject(answer["ContentLength"], Sha256(base64.b64decode(checksum).hex()))
    noted = answer.get("Metadata", {}).get(_HASH_ENTRY)
    return StoredObject(answer["ContentLength"], None if noted is None else Sha256(noted))


def encryption_arguments(encryption: Encryption, kms_key_id: str | None) -> dict[str, str]:
    """The arguments of every call that makes an object."""
    match encryption:
        case "None":
            return {}
        case "SSE-S3":
            return {"ServerSideEncryption": "AES256"}
        case "SSE-KMS":
            key = {} if kms_key_id is None else {"SSEKMSKeyId": kms_key_id}
            return {"ServerSideEncryption": "aws:kms", **key}
