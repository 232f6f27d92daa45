"""
The metadata of a stored object: all of its upload that the object key does not tell.

With it the rows of the database can be rebuilt from the bucket.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from healthingest_contract import object_keys
from healthingest_service.identity.model import AccountId
from healthingest_service.studies.model import DEFAULT_STUDY, Pseudonym, StudySlug
from healthingest_service.uploads.model import (
    Receipt,
    Sha256,
    StoredObject,
    Upload,
    UploadId,
    UploadState,
)

_UPLOAD_ID: Final = "upload-id"
_CORRELATION_ID: Final = "correlation-id"
_RECORD_COUNT: Final = "record-count"
_SCHEMA_NAME: Final = "schema-name"
_SCHEMA_FINGERPRINT: Final = "schema-fingerprint"
_RECEIVED_AT: Final = "received-at"
_ACCOUNT_ID: Final = "account-id"
_STUDY: Final = "study"
_SUBJECT: Final = "subject"


def object_metadata(upload: Upload) -> dict[str, str]:
    """Return the metadata of the object of *upload*."""
    of_subject = {} if upload.subject is None else _of_subject(upload, upload.subject)
    return of_subject | {
        _UPLOAD_ID: str(upload.id),
        _CORRELATION_ID: upload.receipt.correlation_id,
        _RECORD_COUNT: str(upload.receipt.record_count),
        _SCHEMA_NAME: upload.schema_name,
        _SCHEMA_FINGERPRINT: upload.schema_fingerprint,
        _RECEIVED_AT: upload.received_at.isoformat(),
    }


def _of_subject(upload: Upload, subject: Pseudonym) -> dict[str, str]:
    """Return the metadata that names account and subject: the key has the id of the subject."""
    return {_ACCOUNT_ID: str(upload.owner), _STUDY: upload.study, _SUBJECT: subject}


def upload_of(key: str, stored: StoredObject, *, stored_at: datetime) -> Upload:
    """
    Return the upload of the object *key*, in state `stored`.

    Raises:
        ValueError: *key* is not that of an upload, or the metadata is missing or contradicts it.
    """
    parts = object_keys.parse(key)
    found = stored.metadata
    subject = found.get(_SUBJECT)
    try:
        upload_id = UploadId(UUID(found[_UPLOAD_ID]))
        received_at = datetime.fromisoformat(found[_RECEIVED_AT])
        receipt = Receipt(
            upload_id=upload_id,
            object_key=key,
            correlation_id=found[_CORRELATION_ID],
            record_type=parts.record_type,
            record_count=int(found[_RECORD_COUNT]),
            file_size_bytes=stored.size_bytes,
            file_hash=Sha256(parts.sha256),
        )
        upload = Upload(
            id=upload_id,
            owner=AccountId(parts.user_id if subject is None else UUID(found[_ACCOUNT_ID])),
            state=UploadState.STORED,
            receipt=receipt,
            schema_name=found[_SCHEMA_NAME],
            schema_fingerprint=found[_SCHEMA_FINGERPRINT],
            received_at=received_at,
            stored_at=stored_at,
            study=DEFAULT_STUDY if subject is None else StudySlug(found[_STUDY]),
            subject=None if subject is None else Pseudonym(subject),
        )
    except KeyError as error:
        message = "the object lacks metadata of an upload"
        raise ValueError(message) from error
    if received_at.tzinfo is None or received_at.replace(microsecond=0) != parts.uploaded_at:
        message = "metadata and key have different times"
        raise ValueError(message)
    if stored.sha256 is not None and stored.sha256 != parts.sha256:
        message = "the object has other bytes than its key says"
        raise ValueError(message)
    return upload
