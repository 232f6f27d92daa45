"""
Resumable uploads by the protocol tus 1.0.0.

With its extensions for creation, creation with bytes, termination, expiration and checksums
(https://tus.io/protocols/resumable-upload).
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from healthingest_service.api import body, upload_intake
from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.dependencies import ApiDeps, Caller, Uploader
from healthingest_service.api.openapi import FILE_ROUTE, FILES_ROUTE, problem_answers
from healthingest_service.api.problems import RequestRefusedError
from healthingest_service.api.resumable_views import (
    append,
    content_of,
    expiry_of,
    number_of_bytes,
    result_headers,
    resumable_id_of,
)
from healthingest_service.api.tus_fields import (
    ALGORITHMS,
    Checksum,
    checksum_of,
    metadata_of,
    verified,
)
from healthingest_service.api.upload_intake import DeclaredSize
from healthingest_service.identity.model import Principal
from healthingest_service.uploads.model import Finding
from healthingest_service.uploads.receive_in_parts import Progress
from healthingest_service.uploads.resumable import Resumable, ResumableState

VERSION: Final = "1.0.0"
_EXTENSIONS: Final = "creation,creation-with-upload,termination,expiration,checksum"
_BYTES: Final = "application/offset+octet-stream"


class ResumableView(BaseModel):
    """
    A resumable upload: how much of the file the service has, and what became of it.

    `upload_id` is set when the file was accepted; `findings` says why it was refused.
    """

    state: ResumableState
    size_bytes: int | None
    received_bytes: int
    expires_at: datetime
    upload_id: UUID | None
    findings: list[Finding]


def _header(name: str, description: str, *, required: bool = True) -> dict[str, object]:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string"},
    }


_VERSION_FIELD: Final = _header(
    "Tus-Resumable", "The version of the protocol; without it the answer is 412.", required=False
) | {"schema": {"type": "string", "enum": [VERSION]}}
_OFFSET_FIELD: Final = _header("Upload-Offset", "The number of bytes that the service has.")
_CHECKSUM_FIELD: Final = _header(
    "Upload-Checksum",
    "An algorithm (`sha1`, `sha256`, `sha512`) and the Base64 of the digest of this body. Without"
    " all of the body nothing of it counts.",
    required=False,
)
_CREATION: Final[dict[str, object]] = {
    "parameters": [
        _VERSION_FIELD,
        _header("Upload-Length", "The size of the file in bytes."),
        _header(
            "Upload-Metadata",
            "Pairs of a key and a Base64 value, separated by commas. `study` and `subject` say whom"
            " the file is about; others are returned as they are, and are not part of the upload.",
            required=False,
        ),
        _CHECKSUM_FIELD,
    ],
    "requestBody": {
        "required": False,
        "content": {_BYTES: {"schema": {"type": "string", "format": "binary"}}},
    },
}
_APPENDING: Final[dict[str, object]] = {
    "parameters": [_VERSION_FIELD, _OFFSET_FIELD, _CHECKSUM_FIELD],
    "requestBody": {
        "required": True,
        "content": {_BYTES: {"schema": {"type": "string", "format": "binary"}}},
    },
}


def routes() -> APIRouter:
    """Return the router of these routes."""
    router = APIRouter(tags=["resumable uploads"], dependencies=[Depends(_name_version)])
    appending = (400, 401, 403, 404, 408, 409, 410, 412, 413, 415, 422, 423, 429, 460, 503)
    router.add_api_route(
        FILES_ROUTE,
        describe_protocol,
        methods=["OPTIONS"],
        operation_id="describeResumableUploads",
        status_code=204,
        response_class=Response,
    )
    router.add_api_route(
        FILES_ROUTE,
        create_file,
        methods=["POST"],
        operation_id="createResumableUpload",
        status_code=201,
        response_class=Response,
        responses=problem_answers(*appending),
        openapi_extra=_CREATION,
    )
    router.add_api_route(
        FILE_ROUTE,
        get_file,
        methods=["GET"],
        operation_id="getResumableUpload",
        responses=problem_answers(401, 403, 404, 410, 412, 422, 423, 429, 503),
    )
    router.add_api_route(
        FILE_ROUTE,
        append_to_file,
        methods=["PATCH"],
        operation_id="appendToResumableUpload",
        status_code=204,
        response_class=Response,
        responses=problem_answers(*appending),
        openapi_extra=_APPENDING,
    )
    router.add_api_route(
        FILE_ROUTE,
        terminate_file,
        methods=["DELETE"],
        operation_id="terminateResumableUpload",
        status_code=204,
        response_class=Response,
        responses=problem_answers(401, 403, 404, 412, 429, 503),
        openapi_extra={"parameters": [_VERSION_FIELD]},
    )
    return router


async def _name_version(request: Request) -> None:
    """Name our version in the answer, also if it is a refusal."""
    request.state.answer_headers["Tus-Resumable"] = VERSION


def _require_version(request: Request) -> None:
    """
    Refuse another version of the protocol.

    Raises:
        RequestRefusedError: `Tus-Resumable` is missing or has another version.
    """
    if request.headers.get("tus-resumable") != VERSION:
        request.state.answer_headers["Tus-Version"] = VERSION
        code = "tus-version"
        raise RequestRefusedError(code)


async def describe_protocol(deps: ApiDeps) -> Response:
    """Say which version and extensions of tus the service has, and how large a file may be."""
    return Response(
        status_code=204,
        headers={
            "Tus-Version": VERSION,
            "Tus-Extension": _EXTENSIONS,
            "Tus-Max-Size": str(deps.resumable.rules.max_file_bytes),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        },
    )


async def create_file(request: Request, deps: ApiDeps, principal: Uploader) -> Response:
    """
    Begin a resumable upload; the body may have its first bytes.

    The file may be sent in several requests, to any replica. It is validated and stored like any
    upload when its last byte has come.
    """
    size_bytes = number_of_bytes(request, "upload-length")
    metadata, about = metadata_of(request.headers.get("upload-metadata", ""))
    checksum = checksum_of(request)
    _require_version(request)
    named = upload_intake.with_fields(upload_intake.named_by_headers(request), about)
    named = upload_intake.with_binding(named, principal.binding)
    none_yet = DeclaredSize(0, size_bytes)
    intake = await upload_intake.admitted(request, deps, principal, named, size=none_yet)
    has_bytes = body.media_type(request) == _BYTES
    resumable = await deps.resumable.create(principal, size_bytes, intake=intake, metadata=metadata)
    progress = Progress(resumable)
    if has_bytes or not size_bytes:
        progress = await _append(request, deps, principal, resumable, 0, checksum)
    return Response(
        status_code=201,
        headers={
            "Location": f"{FILES_ROUTE}/{resumable.id}",
            **_progress_headers(progress.resumable),
        },
    )


async def get_file(
    request: Request, response: Response, deps: ApiDeps, principal: Caller, file_id: str
) -> ResumableView:
    """
    Return how much of a file the service has; `HEAD` returns the headers only.

    `HEAD` waits for bytes of an earlier request, whose client may have vanished.
    """
    wanted = resumable_id_of(file_id)
    if request.method == "HEAD":
        _require_version(request)
        found = await deps.resumable.settled(wanted, principal.account_id)
        found.refuse_if_over()
    else:
        found = await deps.resumable.find(wanted, principal.account_id)
    response.headers.update(_progress_headers(found))
    if found.size_bytes is not None:
        response.headers["Upload-Length"] = str(found.size_bytes)
    if found.metadata:
        response.headers["Upload-Metadata"] = found.metadata
    return ResumableView(
        state=found.state,
        size_bytes=found.size_bytes,
        received_bytes=found.received_bytes,
        expires_at=found.expires_at,
        upload_id=found.upload_id,
        findings=list(found.findings),
    )


async def append_to_file(
    request: Request, deps: ApiDeps, principal: Caller, file_id: str
) -> Response:
    """
    Send the next bytes of a file, from `Upload-Offset` on.

    With the last byte the file is validated and stored; the answer means what that of
    `POST /v1/upload` means. A request that is cut keeps the bytes that have come.
    """
    body.refuse_coding(request)
    if body.media_type(request) != _BYTES:
        code = "unsupported-media-type"
        raise RequestRefusedError(code)
    first_byte = number_of_bytes(request, "upload-offset")
    checksum = checksum_of(request)
    _require_version(request)
    resumable = await deps.resumable.find(resumable_id_of(file_id), principal.account_id)
    progress = await _append(request, deps, principal, resumable, first_byte, checksum)
    return Response(status_code=204, headers=_progress_headers(progress.resumable))


async def terminate_file(
    request: Request, deps: ApiDeps, principal: Caller, file_id: str
) -> Response:
    """End a resumable upload, and remove its bytes. An accepted file stays."""
    _require_version(request)
    await deps.resumable.terminate(resumable_id_of(file_id), principal.account_id)
    return Response(status_code=204)


async def _append(  # noqa: PLR0913, PLR0917 - the parts of one request
    request: Request,
    deps: ApiDependencies,
    principal: Principal,
    resumable: Resumable,
    first_byte: int,
    checksum: Checksum | None,
) -> Progress:
    content = content_of(request, deps)
    return await append(
        request,
        deps,
        principal,
        resumable,
        content if checksum is None else verified(content, checksum),
        first_byte=first_byte,
        all_or_none=checksum is not None,
    )


def _progress_headers(resumable: Resumable) -> dict[str, str]:
    headers = {"Upload-Offset": str(resumable.received_bytes), **result_headers(resumable)}
    if resumable.state is ResumableState.RECEIVING:
        headers["Upload-Expires"] = expiry_of(resumable)
    return headers
