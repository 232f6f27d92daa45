"""The routes of erasures: request one, and see how far it is."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel

from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.dependencies import ApiDeps, Caller, InStudy
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.studies import SubjectPath, pseudonym_of
from healthingest_service.api.uploads import upload_id_of
from healthingest_service.erasure import certificate
from healthingest_service.erasure.errors import ErasureNotFoundError
from healthingest_service.erasure.model import Erasure, ErasureId, ErasureKind, ErasureState
from healthingest_service.identity.model import Principal
from healthingest_service.studies.model import DEFAULT_STUDY, Role, StudySlug
from healthingest_service.uploads.errors import UploadNotFoundError

_READING: Final = (401, 403, 404, 429, 503)
_OF_STUDY: Final = "/v1/studies/{study}/erasure"
_OF_SUBJECT: Final = "/v1/studies/{study}/subjects/{subject}/erasure"
_OF_UPLOAD: Final = "/v1/uploads/{upload_id}"

ErasurePath = Annotated[str, Path(json_schema_extra={"format": "uuid"})]


class ErasureCountsView(BaseModel):
    """
    What was removed so far.

    `versions` counts versions and delete markers of objects, and unfinished multipart uploads.
    `withdrawn` messages left the outbox unsent. `announced` uploads were told to consumers before,
    or may have been; whether consumers have processed them is not known.
    """

    uploads: int
    versions: int
    withdrawn: int
    announced: int
    subjects: int


class VerificationKey(BaseModel):
    """The public key of certificates, as a JSON Web Key (RFC 7517)."""

    kty: str
    crv: str
    kid: str
    alg: str
    x: str


class ErasureView(BaseModel):
    """
    An erasure.

    `starts_at` is the end of the hold time. `locked_until` is when the object lock of the latest
    file ends; the erasure can be blocked until then. `blocked_until` is when a blocked one goes on.
    `certificate` is a JSON Web Signature (RFC 7515) once the erasure is done, which
    `verification_key` verifies.
    """

    erasure_id: UUID
    kind: ErasureKind
    study: str
    state: ErasureState
    requested_at: datetime
    starts_at: datetime
    locked_until: datetime | None
    blocked_until: datetime | None
    done_at: datetime | None
    counts: ErasureCountsView
    certificate: str | None
    verification_key: VerificationKey


def routes() -> APIRouter:
    """Return the router of these routes."""
    router = APIRouter(tags=["erasures"])
    for method, path, handler, operation_id, statuses in (
        ("DELETE", _OF_UPLOAD, erase_upload, "eraseUpload", _READING),
        ("POST", _OF_SUBJECT, erase_subject, "eraseSubject", (*_READING, 409, 422)),
        ("POST", _OF_STUDY, erase_study, "eraseStudy", (*_READING, 409)),
        ("GET", "/v1/erasures/{erasure_id}", get_erasure, "getErasure", _READING),
    ):
        router.add_api_route(
            path,
            handler,
            methods=[method],
            operation_id=operation_id,
            status_code=200 if method == "GET" else 202,
            responses=problem_answers(*sorted(statuses)),
        )
    return router


async def erase_upload(deps: ApiDeps, principal: Caller, upload_id: str) -> ErasureView:
    """
    Erase an upload: its owner can, and a manager of its study.

    The same bytes about the same person are refused from now on. Repeating returns the erasure.
    """
    wanted = upload_id_of(upload_id)
    try:
        upload = await deps.ledger.find(wanted)
    except UploadNotFoundError:
        erasure = await deps.erasures.of_upload(wanted)
        if erasure is None or not await _may_see(deps, principal, erasure):
            raise
        return erasure_view(erasure, deps)
    if upload.owner != principal.account_id:
        await _require_manager(deps, principal, upload.study)
    erasure = await deps.erasures.request_upload(wanted, by=principal.account_id)
    return erasure_view(erasure, deps)


async def erase_subject(
    request: Request, deps: ApiDeps, access: InStudy, subject: SubjectPath
) -> ErasureView:
    """
    Erase all data of a subject.

    After the answer no upload about it succeeds, also none that was in progress. Repeating returns
    the erasure.
    """
    principal: Principal = request.state.principal
    pseudonym = pseudonym_of(access.study.slug, subject)
    erasure = await deps.erasures.request_subject(
        access.study.slug, pseudonym, by=principal.account_id
    )
    return erasure_view(erasure, deps)


async def erase_study(request: Request, deps: ApiDeps, access: InStudy) -> ErasureView:
    """Erase all data of a study: it is closed for ever. Repeating returns the erasure."""
    principal: Principal = request.state.principal
    erasure = await deps.erasures.request_study(access.study.slug, by=principal.account_id)
    return erasure_view(erasure, deps)


async def get_erasure(deps: ApiDeps, principal: Caller, erasure_id: ErasurePath) -> ErasureView:
    """Return an erasure that you have requested, or that of a study that you manage."""
    try:
        wanted = ErasureId(UUID(erasure_id))
    except ValueError:
        raise ErasureNotFoundError from None
    erasure = await deps.erasures.find(wanted)
    if erasure is None or not await _may_see(deps, principal, erasure):
        raise ErasureNotFoundError
    return erasure_view(erasure, deps)


async def _require_manager(deps: ApiDependencies, principal: Principal, study: StudySlug) -> None:
    """
    Refuse a caller that is no manager of *study*.

    Raises:
        UploadNotFoundError: the caller may not know of the upload.
    """
    if not await _has_role(deps, principal, study, {Role.MANAGER}):
        raise UploadNotFoundError


async def _may_see(deps: ApiDependencies, principal: Principal, erasure: Erasure) -> bool:
    if erasure.requested_by == principal.account_id:
        return True
    return await _has_role(deps, principal, erasure.scope.study, {Role.MANAGER})


async def _has_role(
    deps: ApiDependencies, principal: Principal, study: StudySlug, roles: Collection[Role]
) -> bool:
    if study == DEFAULT_STUDY:
        return False
    access = await deps.studies.access(principal.account_id, study)
    return access is not None and not access.standing.roles.isdisjoint(roles)


def erasure_view(erasure: Erasure, deps: ApiDependencies) -> ErasureView:
    """Return the view of an erasure."""
    return ErasureView(
        erasure_id=erasure.id,
        kind=erasure.scope.kind,
        study=erasure.scope.study,
        state=erasure.state,
        requested_at=erasure.requested_at,
        starts_at=erasure.starts_at,
        locked_until=erasure.locked_until(lock_days=deps.lock_days),
        blocked_until=erasure.blocked_until,
        done_at=erasure.done_at,
        counts=ErasureCountsView.model_validate(erasure.counts, from_attributes=True),
        certificate=erasure.certificate,
        verification_key=VerificationKey.model_validate(certificate.public_key(deps.erasure_keys)),
    )
