"""
Resumable uploads by the draft of the IETF, `draft-ietf-httpbis-resumable-upload-12`.

A client begins with `Upload-Complete: ?0` on the route of uploads. Interim responses are not sent,
since proxies drop them; the draft leaves that to the server.
"""

from collections.abc import AsyncIterator
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from healthingest_service.api import body, digests
from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.dependencies import ApiDeps, Caller
from healthingest_service.api.middleware import UPLOAD_ROUTE
from healthingest_service.api.openapi import RESUMED_ROUTE, problem_answers
from healthingest_service.api.problems import RequestRefusedError
from healthingest_service.api.resumable_views import (
    append,
    content_of,
    number_of_bytes,
    remaining_seconds,
    result_headers,
    resumable_id_of,
)
from healthingest_service.api.upload_intake import DeclaredSize, Named, admitted
from healthingest_service.api.upload_views import ReceiptView, receipt_view
from healthingest_service.identity.model import Principal
from healthingest_service.studies.errors import StudyError
from healthingest_service.uploads.errors import FileRefusedError, NotAvroError
from healthingest_service.uploads.receive_in_parts import Progress
from healthingest_service.uploads.resumable import Resumable, ResumableState

COMPLETE_FIELD: Final = "Upload-Complete"
PARTIAL: Final = "application/partial-upload"
_FLAGS: Final = {"?0": False, "?1": True}
_FIELDS: Final = {
    "Upload-Offset": "The number of bytes that the service has.",
    COMPLETE_FIELD: "`?1`: the file ends with this body, `?0`: more bytes follow.",
}
_APPENDING: Final[dict[str, object]] = {
    "parameters": [
        {
            "name": name,
            "in": "header",
            "required": True,
            "description": text,
            "schema": {"type": "string"},
        }
        for name, text in _FIELDS.items()
    ],
    "requestBody": {
        "required": True,
        "content": {PARTIAL: {"schema": {"type": "string", "format": "binary"}}},
    },
}


def routes() -> APIRouter:
    """Return the router of these routes."""
    router = APIRouter(tags=["resumable uploads"])
    router.add_api_route(
        UPLOAD_ROUTE,
        describe_uploads,
        methods=["OPTIONS"],
        operation_id="describeUploads",
        status_code=204,
        response_class=Response,
    )
    router.add_api_route(
        RESUMED_ROUTE,
        get_offset,
        methods=["HEAD"],
        operation_id="getUploadOffset",
        status_code=204,
        response_class=Response,
        responses=problem_answers(401, 403, 404, 410, 422, 423, 429, 503),
    )
    router.add_api_route(
        RESUMED_ROUTE,
        append_to_upload,
        methods=["PATCH"],
        operation_id="appendToUpload",
        status_code=201,
        response_model=ReceiptView,
        responses=problem_answers(400, 401, 403, 404, 408, 409, 410, 413, 415, 422, 423, 429, 503)
        | {
            200: {"model": ReceiptView, "description": "The receipt of an earlier, equal upload"},
            204: {"description": "More bytes are to come"},
        },
        openapi_extra=_APPENDING,
    )
    router.add_api_route(
        RESUMED_ROUTE,
        cancel_upload,
        methods=["DELETE"],
        operation_id="cancelUpload",
        status_code=204,
        response_class=Response,
        responses=problem_answers(401, 403, 404, 429, 503),
    )
    return router


def is_complete(request: Request) -> bool | None:
    """Return what `Upload-Complete` says; None: the request is no resumable upload."""
    return _FLAGS.get(request.headers.get(COMPLETE_FIELD, "").strip())


async def describe_uploads(deps: ApiDeps) -> Response:
    """Say that uploads can be resumed, and how large a file may be."""
    limit = f"max-size={deps.resumable.rules.max_file_bytes}"
    return Response(status_code=204, headers={"Accept-Patch": PARTIAL, "Upload-Limit": limit})


async def create(
    request: Request, deps: ApiDependencies, principal: Principal, named: Named
) -> Response:
    """Begin a resumable upload with the first bytes, as `POST /v1/upload` with more to come."""
    size_bytes = number_of_bytes(request, "upload-length", required=False)
    none_yet = DeclaredSize(0, size_bytes or 0)
    intake = await admitted(request, deps, principal, named, size=none_yet)
    resumable = await deps.resumable.create(principal, size_bytes, intake=intake, metadata="")
    progress = await append(
        request,
        deps,
        principal,
        resumable,
        _content(request, deps),
        first_byte=0,
        completes=False,
        all_or_none=_has_digest(request),
    )
    where = {"Location": f"{UPLOAD_ROUTE}/{resumable.id}"}
    return Response(
        status_code=201, headers=where | _state_headers(progress.resumable, deps, is_complete=False)
    )


async def get_offset(deps: ApiDeps, principal: Caller, resumable_id: str) -> Response:
    """
    Say how many bytes of a file the service has.

    Waits for bytes of an earlier request, whose client may have vanished.
    """
    found = await deps.resumable.settled(resumable_id_of(resumable_id), principal.account_id)
    found.refuse_if_over()
    is_done = found.state is ResumableState.FINISHED
    return Response(status_code=204, headers=_state_headers(found, deps, is_complete=is_done))


async def append_to_upload(
    request: Request, deps: ApiDeps, principal: Caller, resumable_id: str
) -> Response:
    """
    Send the next bytes of a file, from `Upload-Offset` on.

    With `Upload-Complete: ?1` the file ends with them; the answer is that of `POST /v1/upload`.
    """
    body.refuse_coding(request)
    if body.media_type(request) != PARTIAL:
        code = "unsupported-media-type"
        raise RequestRefusedError(code)
    completes = is_complete(request)
    if completes is None:
        code = "invalid-upload-complete"
        raise RequestRefusedError(code)
    first_byte = number_of_bytes(request, "upload-offset")
    resumable = await deps.resumable.find(resumable_id_of(resumable_id), principal.account_id)
    try:
        progress = await append(
            request,
            deps,
            principal,
            resumable,
            _content(request, deps),
            first_byte=first_byte,
            completes=completes,
            size_bytes=_length(request, first_byte, completes=completes),
            all_or_none=_has_digest(request),
        )
    except (FileRefusedError, NotAvroError, StudyError):
        request.state.answer_headers[COMPLETE_FIELD] = "?1"  # sending it again does not help
        raise
    return _answer(progress, deps)


async def cancel_upload(deps: ApiDeps, principal: Caller, resumable_id: str) -> Response:
    """End a resumable upload, and remove its bytes. An accepted file stays."""
    await deps.resumable.terminate(resumable_id_of(resumable_id), principal.account_id)
    return Response(status_code=204)


def _answer(progress: Progress, deps: ApiDependencies) -> Response:
    is_done = progress.resumable.state is ResumableState.FINISHED
    headers = _state_headers(progress.resumable, deps, is_complete=is_done)
    if progress.accepted is None:
        return Response(status_code=204, headers=headers)
    receipt = progress.accepted.receipt
    return JSONResponse(
        receipt_view(receipt).model_dump(mode="json"),
        status_code=200 if progress.accepted.replayed else 201,
        headers=headers | {"Location": f"/v1/uploads/{receipt.upload_id}"},
    )


def _length(request: Request, first_byte: int, *, completes: bool) -> int | None:
    """
    Return the size of the file if the request says it; None: it does not.

    Raises:
        RequestRefusedError: it says two sizes.
    """
    said = number_of_bytes(request, "upload-length", required=False)
    size_bytes = body.declared_size(request) if completes else None
    counted = None if size_bytes is None else first_byte + size_bytes
    if None not in {said, counted} and said != counted:
        code = "inconsistent-upload-length"
        raise RequestRefusedError(code)
    return counted if said is None else said


def _content(request: Request, deps: ApiDependencies) -> AsyncIterator[bytes]:
    declared = digests.digests_of(request, fields=("Content-Digest",))
    content = content_of(request, deps)
    return digests.verified(content, declared) if declared else content


def _has_digest(request: Request) -> bool:
    return bool(digests.digests_of(request, fields=("Content-Digest",)))


def _state_headers(
    resumable: Resumable, deps: ApiDependencies, *, is_complete: bool
) -> dict[str, str]:
    headers = {
        "Upload-Offset": str(resumable.received_bytes),
        COMPLETE_FIELD: "?1" if is_complete else "?0",
        "Upload-Limit": (
            f"max-size={deps.resumable.rules.max_file_bytes}, "
            f"max-age={remaining_seconds(resumable, deps.clock())}"
        ),
        **result_headers(resumable),
    }
    if resumable.size_bytes is not None:
        headers["Upload-Length"] = str(resumable.size_bytes)
    return headers
