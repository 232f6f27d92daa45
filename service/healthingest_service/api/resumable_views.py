"""What the routes of resumable uploads have in common, whichever protocol they speak."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final, Literal, overload
from uuid import UUID

from fastapi import Request

from healthingest_service.api import body, upload_intake
from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.dependencies import address_of, traceparent_of
from healthingest_service.api.problems import RequestRefusedError
from healthingest_service.api.upload_intake import DeclaredSize, Named
from healthingest_service.identity.model import Principal
from healthingest_service.studies.errors import StudyError
from healthingest_service.studies.model import DEFAULT_STUDY
from healthingest_service.uploads.errors import FileRefusedError, NotAvroError
from healthingest_service.uploads.receive_in_parts import NextBytes, Progress
from healthingest_service.uploads.resumable import (
    Resumable,
    ResumableId,
    ResumableNotFoundError,
    ResumableState,
)

UPLOAD_ID_HEADER: Final = "Healthingest-Upload-Id"
"""The id of the upload as which the file was accepted."""
_NUMBER: Final = re.compile(r"[0-9]{1,15}")


def resumable_id_of(text: str) -> ResumableId:
    """
    Return the id in a path.

    Raises:
        ResumableNotFoundError: *text* is no id.
    """
    try:
        return ResumableId(UUID(text))
    except ValueError:
        raise ResumableNotFoundError from None


async def append(  # noqa: PLR0913 - the parts of one request
    request: Request,
    deps: ApiDependencies,
    principal: Principal,
    resumable: Resumable,
    content: AsyncIterator[bytes],
    *,
    first_byte: int,
    completes: bool | None = None,
    size_bytes: int | None = None,
    all_or_none: bool = False,
) -> Progress:
    """
    Receive the next bytes of *resumable* within the limits of uploads.

    Raises:
        BoundTokenError: the token is for another study or subject.
        UploadError, StudyError, RequestRefusedError: as `ReceiveInParts.append`.
    """
    about = Named(None if resumable.study == DEFAULT_STUDY else resumable.study, resumable.subject)
    named = upload_intake.with_binding(about, principal.binding)
    size = DeclaredSize(body.declared_size(request), 0, is_more=True)
    try:
        intake = await upload_intake.admitted(request, deps, principal, named, size=size)
    except StudyError:  # a refused upload leaves nothing
        await deps.resumable.terminate(resumable.id, principal.account_id)
        raise
    if size.body_bytes is None and intake is not None:
        content = upload_intake.counted(request, deps, principal, intake, content)
    following = NextBytes(
        principal=principal,
        first_byte=first_byte,
        body=content,
        correlation_id=request.state.correlation_id,
        completes=completes,
        size_bytes=size_bytes,
        all_or_none=all_or_none,
        traceparent=traceparent_of(request, deps),
        intake=intake,
    )
    try:
        with deps.upload_slots.taken(principal.counted_as, address_of(request, deps)):
            progress = await deps.resumable.append(resumable.id, following)
    except (FileRefusedError, NotAvroError):
        request.state.decides_upload = True
        raise
    if progress.accepted is not None:
        request.state.decides_upload = True
        deps.metrics.upload_bytes.observe(progress.accepted.receipt.file_size_bytes)
    return progress


def content_of(request: Request, deps: ApiDependencies) -> AsyncIterator[bytes]:
    """Return the chunks of the body, at the pace of an upload."""
    return body.paced(request, deps.body)


@overload
def number_of_bytes(request: Request, name: str) -> int: ...


@overload
def number_of_bytes(request: Request, name: str, *, required: Literal[False]) -> int | None: ...


def number_of_bytes(request: Request, name: str, *, required: bool = True) -> int | None:
    """
    Return a number of bytes in a header; None: it is missing, and not *required*.

    Raises:
        RequestRefusedError: it is no number, or missing.
    """
    text = request.headers.get(name)
    if text is None and not required:
        return None
    if text is None or _NUMBER.fullmatch(text) is None:
        code = f"invalid-{name}"
        raise RequestRefusedError(code)
    return int(text)


def remaining_seconds(resumable: Resumable, now: datetime) -> int:
    """Return in how many seconds the resumable upload expires."""
    return max(0, int((resumable.expires_at - now).total_seconds()))


def expiry_of(resumable: Resumable) -> str:
    """Return when the resumable upload expires, as an HTTP date (RFC 9110, 5.6.7)."""
    return format_datetime(resumable.expires_at.astimezone(UTC), usegmt=True)


def result_headers(resumable: Resumable) -> dict[str, str]:
    """Return the headers that name the accepted upload; none before it is accepted."""
    if resumable.state is not ResumableState.FINISHED or resumable.upload_id is None:
        return {}
    return {UPLOAD_ID_HEADER: str(resumable.upload_id)}
