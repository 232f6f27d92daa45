"""The removal of the object of an upload that must not succeed."""

from functools import partial

from healthingest_service.studies.errors import SubjectErasedError
from healthingest_service.uploads.errors import UploadErasedError
from healthingest_service.uploads.model import Upload
from healthingest_service.uploads.ports import ObjectStore, Removal


def removal(store: ObjectStore, upload: Upload, reason: Exception) -> Removal:
    """
    Return the removal: of all versions if *reason* is an erasure, else of the current one.

    An earlier version may belong to an upload that was acknowledged.
    """
    key = upload.receipt.object_key
    if isinstance(reason, SubjectErasedError | UploadErasedError):
        return partial(_erase, store, key)
    return partial(store.remove, key)


async def _erase(store: ObjectStore, key: str) -> None:
    await store.erase(key)
