"""The commands of `healthingest-admin` for enrolment codes and the device tokens of a study."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from healthingest_service.adapters.database.device_tokens import DatabaseDeviceTokens
from healthingest_service.adapters.database.enrolment_codes import DatabaseEnrolmentCodes
from healthingest_service.adapters.database.studies import DatabaseStudies
from healthingest_service.api.tokens import token_view
from healthingest_service.identity.device_access import DeviceTokens
from healthingest_service.identity.device_enrolment import DeviceEnrolment, NewEnrolment
from healthingest_service.identity.device_tokens import DeviceTokenId
from healthingest_service.identity.enrolment_codes import qr_payload
from healthingest_service.identity.model import AccountId, Binding, Scope
from healthingest_service.main.admin_database import open_admin_database
from healthingest_service.main.runtime import utc_now
from healthingest_service.settings import Settings
from healthingest_service.studies.decisions import admit_enrolment
from healthingest_service.studies.errors import StudyNotFoundError
from healthingest_service.studies.model import Pseudonym, StudySlug

_TOKEN_LIFETIME = timedelta(days=365)
_PAGE = 100


@dataclass(frozen=True, slots=True)
class _Ports:
    studies: DatabaseStudies
    devices: DeviceTokens
    enrolment: DeviceEnrolment


async def enrol_device(
    settings: Settings, study: str, subject: str | None, *, minutes: int
) -> Mapping[str, object]:
    """
    Create an enrolment code that is valid for *minutes*, and return it with the text of a QR code.

    Raises:
        StudyError: the study does not exist, or the subject's data would be refused.
        TooManyCodesError: the study has as many open codes as it may have.
    """
    slug = StudySlug(study)
    pseudonym = None if subject is None else Pseudonym(subject)
    async with _ports(settings) as ports:
        access = await ports.studies.access(AccountId(uuid4()), slug)
        if access is None:
            raise StudyNotFoundError
        found = None if pseudonym is None else await ports.studies.subject(slug, pseudonym)
        admit_enrolment(access.study, found, pseudonym)
        code, text = await ports.enrolment.create(
            NewEnrolment(
                binding=Binding(slug, pseudonym),
                scopes=frozenset({Scope.UPLOAD_WRITE}),
                lifetime=timedelta(minutes=minutes),
                token_lifetime=_TOKEN_LIFETIME,
            )
        )
    return {
        "id": str(code.id),
        "code": text,
        "qr": qr_payload(text, settings.mail.public_url),
        "study": study,
        "subject": subject,
        "expires_at": code.expires_at.isoformat(),
    }


async def list_tokens(
    settings: Settings, study: str, subject: str | None, *, cursor: UUID | None
) -> Mapping[str, object]:
    """Return the first 100 valid tokens of the study or the subject, after *cursor*, by id."""
    async with _ports(settings) as ports:
        page = await ports.devices.list_in_study(
            study, subject, limit=_PAGE, cursor=None if cursor is None else DeviceTokenId(cursor)
        )
    next_cursor = page.next_cursor
    return {
        "tokens": [token_view(token).model_dump(mode="json") for token in page.tokens],
        "next_cursor": None if next_cursor is None else str(next_cursor),
    }


async def revoke_token(settings: Settings, study: str, token_id: UUID) -> Mapping[str, object]:
    """
    Revoke a token of the study, and return its id; repeating is safe.

    Raises:
        DeviceTokenNotFoundError: the study has no such token.
    """
    async with _ports(settings) as ports:
        await ports.devices.revoke_in_study(study, DeviceTokenId(token_id))
    return {"id": str(token_id), "is_revoked": True}


@asynccontextmanager
async def _ports(settings: Settings) -> AsyncIterator[_Ports]:
    timeout_seconds = settings.database.timeout_seconds
    async with open_admin_database(settings) as engine:
        yield _Ports(
            DatabaseStudies(engine, timeout_seconds=timeout_seconds),
            DeviceTokens(
                DatabaseDeviceTokens(engine, timeout_seconds=timeout_seconds),
                cache=timedelta(0),
                clock=utc_now,
            ),
            DeviceEnrolment(
                DatabaseEnrolmentCodes(engine, timeout_seconds=timeout_seconds), clock=utc_now
            ),
        )
