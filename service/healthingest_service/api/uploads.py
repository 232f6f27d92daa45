"""The routes of uploads: send a file, list uploads, get one."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from healthingest_contract.topology import RECORD_TYPE_PATTERN
from healthingest_service.api import body, digests, multipart, resumable_draft, upload_intake
from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.audit_details import details_of, note_upload
from healthingest_service.api.dependencies import (
    ApiDeps,
    Caller,
    Uploader,
    address_of,
    traceparent_of,
)
from healthingest_service.api.middleware import UPLOAD_ROUTE
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.problems import RequestRefusedError
from healthingest_service.api.upload_intake import DeclaredSize
from healthingest_service.api.upload_views import (
    ReceiptView,
    UploadView,
    receipt_view,
    upload_view,
)
from healthingest_service.identity.model import Principal
from healthingest_service.studies.model import PSEUDONYM_PATTERN, SLUG_PATTERN, StudySlug
from healthingest_service.uploads.accept import UploadRequest
from healthingest_service.uploads.errors import (
    FileRefusedError,
    FileTooLargeError,
    NotAvroError,
    UploadNotFoundError,
)
from healthingest_service.uploads.model import (
    Accepted,
    HistoryPage,
    IdempotencyKey,
    UploadId,
    UploadState,
)
from healthingest_service.uploads.permissions import is_owner

RAW_TYPES: Final = ("application/avro", "application/vnd.apache.avro", "application/octet-stream")
FORM_TYPE: Final = "multipart/form-data"
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_SLUG: Final = {"type": "string", "pattern": f"^{SLUG_PATTERN}$"}
_PSEUDONYM: Final = {"type": "string", "pattern": f"^{PSEUDONYM_PATTERN}$"}
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_FORM: Final = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {
            "study": _SLUG,
            "subject": _PSEUDONYM,
            "file": {"type": "string", "format": "binary"},
        },
    }
}
_DIGEST: Final = (
    "Digest of the body (RFC 9530), which is verified: `sha-256=:BASE64:` or `sha-512=:BASE64:`."
)
_REQUEST: Final[dict[str, object]] = {
    "parameters": [
        *(
            {
                "name": name,
                "in": "header",
                "required": False,
                "description": _DIGEST,
                "schema": {"type": "string"},
            }
            for name in digests.FIELDS
        ),
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        },
        {
            "name": upload_intake.STUDY_HEADER,
            "in": "header",
            "required": False,
            "description": "The study of the file; without it, the study `default`.",
            "schema": _SLUG,
        },
        {
            "name": upload_intake.SUBJECT_HEADER,
            "in": "header",
            "required": False,
            "description": "The pseudonym of the person that the file is about.",
            "schema": _PSEUDONYM,
        },
    ],
    "requestBody": {
        "required": True,
        "content": dict.fromkeys(RAW_TYPES, _BINARY) | {FORM_TYPE: _FORM},
    },
}


class HistoryView(BaseModel):
    """Uploads, newest first; `next_cursor` is null on the last page."""

    uploads: list[UploadView]
    next_cursor: str | None


class HistoryQuery(BaseModel):
    """Filters and paging of the list of uploads."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str | None, Field(max_length=256)] = None
    record_type: Annotated[str | None, Field(pattern=f"^{RECORD_TYPE_PATTERN}$")] = None
    state: UploadState | None = None


def routes() -> APIRouter:
    """Return the router of the upload routes."""
    router = APIRouter(tags=["uploads"])
    router.add_api_route(
        UPLOAD_ROUTE,
        create_upload,
        methods=["POST"],
        operation_id="createUpload",
        status_code=201,
        response_model=ReceiptView,
        responses=problem_answers(400, 401, 403, 404, 408, 409, 410, 413, 415, 422, 429, 503)
        | {200: {"model": ReceiptView, "description": "The receipt of an earlier, equal upload"}},
        openapi_extra=_REQUEST,
    )
    router.add_api_route(
        "/v1/uploads",
        list_uploads,
        methods=["GET"],
        operation_id="listUploads",
        responses=problem_answers(400, 401, 403, 422, 429, 503),
    )
    router.add_api_route(
        "/v1/uploads/{upload_id}",
        get_upload,
        methods=["GET"],
        operation_id="getUpload",
        responses=problem_answers(401, 403, 404, 429, 503),
    )
    return router


async def create_upload(request: Request, deps: ApiDeps, principal: Uploader) -> Response:
    """Store an Avro object container file, sent as the body or as the field `file` of a form."""
    completes = resumable_draft.is_complete(request)
    if completes is False:
        request.state.decides_upload = False  # the file has only begun
        return await _begun(request, deps, principal)
    with deps.upload_slots.taken(principal.counted_as, address_of(request, deps)):
        accepted = await _accepted(request, deps, principal)
    if completes:
        request.state.answer_headers[resumable_draft.COMPLETE_FIELD] = "?1"
    deps.metrics.upload_bytes.observe(accepted.receipt.file_size_bytes)
    return Response(
        receipt_view(accepted.receipt).model_dump_json(),
        media_type="application/json",
        status_code=200 if accepted.replayed else 201,
        headers={"Location": f"/v1/uploads/{accepted.receipt.upload_id}"},
    )


async def _begun(request: Request, deps: ApiDependencies, principal: Principal) -> Response:
    """Begin a resumable upload: more bytes follow in other requests."""
    body.refuse_coding(request)
    if body.media_type(request) not in RAW_TYPES:
        code = "unsupported-media-type"
        raise RequestRefusedError(code)
    named = upload_intake.with_binding(upload_intake.named_by_headers(request), principal.binding)
    return await resumable_draft.create(request, deps, principal, named)


@dataclass(frozen=True, slots=True)
class _Incoming:
    """A body that is not read yet; `file_bytes` is None if it is a form, or was not declared."""

    content: AsyncIterator[bytes]
    has_digest: bool
    file_bytes: int | None
    min_file_bytes: int


def _incoming(
    request: Request, deps: ApiDependencies, size: DeclaredSize, *, is_form: bool
) -> _Incoming:
    content = body.paced(request, deps.body)
    declared = digests.digests_of(request)
    return _Incoming(
        content=digests.verified(content, declared) if declared else content,
        has_digest=bool(declared),
        file_bytes=None if is_form else size.body_bytes,
        min_file_bytes=size.least_file_bytes if is_form else 0,
    )


def _declared(request: Request, *, is_form: bool) -> DeclaredSize:
    size_bytes = body.declared_size(request)
    overhead_bytes = multipart.OVERHEAD_BYTES if is_form else 0
    return DeclaredSize(size_bytes, (size_bytes or 0) - overhead_bytes)


async def _accepted(request: Request, deps: ApiDependencies, principal: Principal) -> Accepted:
    named = upload_intake.with_binding(upload_intake.named_by_headers(request), principal.binding)
    is_form = body.media_type(request) == FORM_TYPE
    in_form = is_form and not named.is_complete
    size = _declared(request, is_form=is_form)
    admit = partial(upload_intake.admitted, request, deps, principal, size=size)
    intake = None if in_form else await admit(named)
    incoming = _incoming(request, deps, size, is_form=is_form)
    file, fields = await _opened(request, incoming, deps)
    named = upload_intake.with_binding(upload_intake.with_fields(named, fields), principal.binding)
    if in_form:
        intake = await admit(named)
    if size.body_bytes is None and intake is not None:
        file = upload_intake.counted(request, deps, principal, intake, file)
    key = idempotency_key(request)
    upload = UploadRequest(
        principal=principal,
        body=file,
        correlation_id=request.state.correlation_id,
        idempotency_key=None if key is None else IdempotencyKey(key),
        declared_size_bytes=incoming.file_bytes,
        min_size_bytes=incoming.min_file_bytes,
        traceparent=traceparent_of(request, deps),
        intake=intake,
    )
    try:
        return await deps.accept(upload)
    except (NotAvroError, FileRefusedError):
        if incoming.has_digest:
            await digests.read_on(incoming.content, max_bytes=deps.body.max_file_bytes)
        raise


async def list_uploads(
    deps: ApiDeps, principal: Caller, query: Annotated[HistoryQuery, Query()]
) -> HistoryView:
    """List your uploads, newest first."""
    page = await deps.ledger.history(
        principal.account_id,
        limit=query.limit,
        cursor=query.cursor,
        record_type=query.record_type,
        state=query.state,
    )
    return await history_view(deps, page)


async def history_view(
    deps: ApiDependencies, page: HistoryPage, *, study: StudySlug | None = None
) -> HistoryView:
    """Return the view of a page with the outcomes of its uploads, which may be all of *study*."""
    outcomes = await deps.outcomes.of([upload.id for upload in page.uploads], study=study)
    return HistoryView(
        uploads=[upload_view(upload, outcomes.get(upload.id, ())) for upload in page.uploads],
        next_cursor=page.next_cursor,
    )


async def get_upload(
    request: Request, deps: ApiDeps, principal: Caller, upload_id: str
) -> UploadView:
    """Return an upload of your own, or of a study whose data you may read."""
    upload = await deps.content.find(principal, upload_id_of(upload_id))
    details_of(request).is_own = is_owner(principal, upload)
    await note_upload(request, deps, upload)
    outcomes = await deps.outcomes.of([upload.id])
    return upload_view(upload, outcomes.get(upload.id, ()))


def upload_id_of(text: str) -> UploadId:
    """
    Return the id in a path.

    Raises:
        UploadNotFoundError: *text* is no id.
    """
    try:
        return UploadId(UUID(text))
    except ValueError:
        raise UploadNotFoundError from None


async def _opened(
    request: Request, incoming: _Incoming, deps: ApiDependencies
) -> tuple[AsyncIterator[bytes], Mapping[str, str]]:
    """Return the bytes of the file, and the fields of a form, of which only the head is read."""
    body.refuse_coding(request)
    kind = body.media_type(request)
    if kind in RAW_TYPES:
        return incoming.content, {}
    if kind != FORM_TYPE:
        code = "unsupported-media-type"
        raise RequestRefusedError(code)
    boundary = multipart.boundary_of(request.headers["content-type"])
    if incoming.min_file_bytes > deps.body.max_file_bytes:
        raise FileTooLargeError(deps.body.max_file_bytes)
    form = await multipart.opened(incoming.content, boundary)
    return form.file, form.fields


def idempotency_key(request: Request) -> str | None:
    """
    Return the header `Idempotency-Key`; None: the request has none.

    Raises:
        RequestRefusedError: it is not 1 to 255 printable ASCII characters.
    """
    text = request.headers.get("idempotency-key")
    if text is not None and _IDEMPOTENCY_KEY.fullmatch(text) is None:
        code = "invalid-idempotency-key"
        raise RequestRefusedError(code)
    return text
