"""The commands of `healthingest-admin` for erasures."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Final
from uuid import UUID

from healthingest_contract.environment import IDENTITY_ERASURE_KEY
from healthingest_contract.events import rfc3339
from healthingest_service.adapters.database.erasures import DatabaseErasures
from healthingest_service.adapters.key_file import read_or_make
from healthingest_service.erasure import certificate
from healthingest_service.erasure.errors import ErasureNotFoundError
from healthingest_service.erasure.keys import ErasureKeys, new_key_text
from healthingest_service.erasure.model import Erasure, ErasureId
from healthingest_service.identity.model import AccountId
from healthingest_service.main.admin_database import open_admin_database
from healthingest_service.main.runtime import data_folder, erasure_keys, reveal, utc_now
from healthingest_service.settings import InvalidSettingsError, Settings
from healthingest_service.studies.model import Pseudonym, StudySlug
from healthingest_service.uploads.model import UploadId

MOST_LISTED: Final = 100
_MISSING: Final = f"missing: {IDENTITY_ERASURE_KEY}: run the command in a pod of the API"


async def erase_subject(settings: Settings, study: str, pseudonym: str) -> Mapping[str, object]:
    """
    Request the erasure of a subject, and return it.

    Raises:
        SubjectNotFoundError: the study has no such subject.
    """
    async with _erasures(settings) as erasures:
        return _view(
            await erasures.request_subject(StudySlug(study), Pseudonym(pseudonym), by=None),
            settings,
        )


async def erase_upload(settings: Settings, upload_id: UUID) -> Mapping[str, object]:
    """
    Request the erasure of an upload, and return it.

    Raises:
        UploadNotFoundError: there is no such upload.
    """
    async with _erasures(settings) as erasures:
        return _view(await erasures.request_upload(UploadId(upload_id), by=None), settings)


async def erase_account(settings: Settings, account_id: UUID) -> Mapping[str, object]:
    """Request the erasure of the uploads of an account in the study `default`, and return it."""
    async with _erasures(settings) as erasures:
        return _view(await erasures.request_account(AccountId(account_id), by=None), settings)


async def erase_study(settings: Settings, study: str) -> Mapping[str, object]:
    """
    Request the erasure of a study, and return it.

    Raises:
        StudyNotFoundError: there is no such study.
        DefaultStudyError: it is the study `default`.
    """
    async with _erasures(settings) as erasures:
        return _view(await erasures.request_study(StudySlug(study), by=None), settings)


async def show_erasure(settings: Settings, erasure_id: UUID) -> Mapping[str, object]:
    """
    Return an erasure.

    Raises:
        ErasureNotFoundError: there is no such erasure.
    """
    async with _erasures(settings) as erasures:
        found = await erasures.find(ErasureId(erasure_id))
    if found is None:
        raise ErasureNotFoundError
    return _view(found, settings)


async def list_open_erasures(settings: Settings) -> Mapping[str, object]:
    """Return the oldest erasures that are not done, at most `MOST_LISTED`."""
    async with _erasures(settings) as erasures:
        found = await erasures.oldest_open(limit=MOST_LISTED)
    return {"open": [_view(erasure, settings) for erasure in found]}


async def verify_certificate(settings: Settings, text: str) -> Mapping[str, object]:
    """
    Return what a certificate says.

    Raises:
        InvalidCertificateError: another installation issued it, or it was changed.
    """
    keys = _keys(settings)
    return certificate.verify(text.strip(), keys.certificates.public_key())


async def export_key(settings: Settings) -> Mapping[str, object]:
    """Return the erasure key, for a copy at a safe place, and the public key of certificates."""
    public = certificate.public_key(_keys(settings))
    text = reveal(settings.identity.erasure_key) or read_or_make(
        data_folder(settings) / "erasure-key", new_key_text
    )
    return {"erasure_key": text, "verification_key": public}


def _keys(settings: Settings) -> ErasureKeys:
    keys = erasure_keys(settings)
    if keys is None:
        raise InvalidSettingsError(_MISSING)
    return keys


def _view(erasure: Erasure, settings: Settings) -> Mapping[str, object]:
    def time(at: datetime | None) -> str | None:
        return None if at is None else rfc3339(at)

    return {
        "erasure_id": str(erasure.id),
        "kind": erasure.scope.kind.value,
        "study": erasure.scope.study,
        "state": erasure.state.value,
        "requested_at": time(erasure.requested_at),
        "starts_at": time(erasure.starts_at),
        "locked_until": time(erasure.locked_until(lock_days=settings.store.lock_days)),
        "blocked_until": time(erasure.blocked_until),
        "done_at": time(erasure.done_at),
        "counts": asdict(erasure.counts),
        "certificate": erasure.certificate,
    }


@asynccontextmanager
async def _erasures(settings: Settings) -> AsyncIterator[DatabaseErasures]:
    keys = _keys(settings)
    async with open_admin_database(settings) as engine:
        yield DatabaseErasures(engine, keys.hidden, settings.database.timeout_seconds, utc_now)
