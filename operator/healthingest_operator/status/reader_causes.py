"""Causes of keys for consumers that cannot read the bucket, or that can do more."""

from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.status.causes import Cause

_READER: Final = (ConditionType.READER_READY,)

READER_LOGIN: Final = Cause(
    "reader-login",
    _READER,
    Reason.AUTHENTICATION_FAILED,
    "a wrong access key in readerSecretRef",
    "the object store refuses the access key of spec.objectStore.readerSecretRef",
    "correct the keys accessKeyId and secretAccessKey",
)
READER_FORBIDDEN: Final = Cause(
    "reader-forbidden",
    _READER,
    Reason.PERMISSION_DENIED,
    "keys in readerSecretRef without the right to read objects",
    "the keys of spec.objectStore.readerSecretRef may not read objects of bucket {bucket}",
    "grant their user s3:GetObject on all objects of the bucket",
)
READER_MAY_WRITE: Final = Cause(
    "reader-may-write",
    _READER,
    Reason.READER_MAY_WRITE,
    "keys in readerSecretRef that can write",
    "the keys of spec.objectStore.readerSecretRef may write to bucket {bucket}, so consumers do not"
    " get them",
    "name keys of a user that has s3:GetObject and no right to write or delete",
)
READER_CAUSES: Final = (READER_LOGIN, READER_FORBIDDEN, READER_MAY_WRITE)
