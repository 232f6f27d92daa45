"""
The one table of problems: error to status, code, cause and text.

Answers are RFC 9457 problems. Titles and details are ours and fixed: no value from a request, no
library's text.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from healthingest_service.identity import errors as identity
from healthingest_service.uploads import errors as uploads

TYPE_PREFIX: Final = "https://healthingest.dev/problems/"
MEDIA_TYPE: Final = "application/problem+json"
UNAVAILABLE: Final = "service-unavailable"
"""The one code for a missing dependency or resource; `cause` says which."""
_REALM: Final = 'Bearer realm="healthingest"'
_UNAVAILABLE_RETRY_SECONDS: Final = 5


class RequestRefusedError(Exception):
    """The request itself is wrong; raised by this edge alone. `code` is one of the table."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of the table."""

    status: int
    code: str
    title: str
    detail: str
    cause: str | None = None

    @property
    def key(self) -> str:
        """The code, with `/` and the cause where there is one: unique in the table."""
        return self.code if self.cause is None else f"{self.code}/{self.cause}"

    @property
    def type(self) -> str:
        """The stable identifier that clients act on."""
        return TYPE_PREFIX + self.code


_ROWS: Final = (
    Problem(400, "bad-request", "Bad request", "The request is not well-formed."),
    Problem(
        400,
        "body-incomplete",
        "Body incomplete",
        "The body ended before the announced number of bytes.",
    ),
    Problem(
        400,
        "digest-mismatch",
        "Digest mismatch",
        "What arrived is not what was sent; send it again.",
    ),
    Problem(
        400, "invalid-cursor", "Invalid cursor", "The cursor is not one that this service gave."
    ),
    Problem(
        400,
        "invalid-digest",
        "Invalid digest",
        "`Content-Digest` or `Repr-Digest` is not as RFC 9530 wants it.",
    ),
    Problem(
        400,
        "invalid-idempotency-key",
        "Invalid idempotency key",
        "The key has 1 to 255 visible ASCII characters.",
    ),
    Problem(
        400,
        "malformed-multipart",
        "Malformed multipart body",
        "The body is not a form with one field `file`.",
    ),
    Problem(
        401,
        "invalid-credentials",
        "Invalid credentials",
        "These credentials do not open an account.",
    ),
    Problem(
        401, "invalid-token", "Invalid token", "The token is unknown, has run out, or was revoked."
    ),
    Problem(
        401, "unauthenticated", "Not authenticated", "Send `Authorization: Bearer <access token>`."
    ),
    Problem(403, "missing-scope", "Not allowed", "The token does not allow this."),
    Problem(
        403,
        "registration-closed",
        "Registration closed",
        "Accounts are not made here by their owners.",
    ),
    Problem(404, "not-found", "Not found", "There is nothing here."),
    Problem(404, "upload-not-found", "Upload not found", "You have no such upload."),
    Problem(
        405, "method-not-allowed", "Method not allowed", "The route does not know this method."
    ),
    Problem(408, "body-too-slow", "Body too slow", "The body stalled or came too slowly."),
    Problem(409, "account-exists", "Account exists", "An account with this e-mail address exists."),
    Problem(
        409,
        "upload-in-flight",
        "Upload in flight",
        "An equal upload is being stored at this moment.",
    ),
    Problem(413, "body-too-large", "Body too large", "The body is larger than this route takes."),
    Problem(
        413, "file-too-large", "File too large", "The file is larger than this installation takes."
    ),
    Problem(414, "url-too-long", "URL too long", "The URL is longer than this service takes."),
    Problem(415, "not-avro", "Not Avro", "The file is not an Avro object container file."),
    Problem(
        415,
        "unsupported-content-coding",
        "Unsupported content coding",
        "Send the body without a content coding.",
    ),
    Problem(
        415,
        "unsupported-media-type",
        "Unsupported media type",
        "The route does not take this content type.",
    ),
    Problem(
        422,
        "file-refused",
        "File refused",
        "The file is not correct; `findings` says where and why.",
    ),
    Problem(
        422, "idempotency-key-reused", "Idempotency key reused", "The key was used for other bytes."
    ),
    Problem(
        422,
        "invalid-request",
        "Invalid request",
        "Fields are missing or wrong; `errors` says which.",
    ),
    Problem(
        422,
        "unacceptable-password",
        "Unacceptable password",
        "Use 8 to 1024 characters, not a common password, not your e-mail address.",
    ),
    Problem(429, "rate-limited", "Too many requests", "Wait as long as `Retry-After` says."),
    Problem(
        431,
        "head-too-large",
        "Request header fields too large",
        "The head or the trailers of the request are too large.",
    ),
    Problem(
        429,
        "too-many-uploads",
        "Too many uploads at once",
        "Wait until another upload of yours has ended.",
    ),
    Problem(
        500,
        "internal-error",
        "Internal error",
        "Something broke here; the correlation id finds it in the log.",
    ),
    Problem(503, "not-ready", "Not ready", "This instance takes no work now."),
    Problem(503, "overloaded", "Overloaded", "Too many requests at once; trying again is safe."),
    *(
        Problem(503, UNAVAILABLE, "Service unavailable", f"{detail}; trying again is safe.", cause)
        for cause, detail in (
            ("accounts", "Accounts and tokens cannot be checked now"),
            ("database", "The database gave no clear answer"),
            ("dependency", "Something that the service needs is not available now"),
            ("object-store", "The object store gave no clear answer"),
            ("temporary-storage", "The service cannot write the body to its disk now"),
            ("temporary-storage-full", "The service has no room for another body now"),
            ("validation", "Files cannot be checked now"),
        )
    ),
)
PROBLEMS: Final[Mapping[str, Problem]] = {problem.key: problem for problem in _ROWS}
"""By `Problem.key`."""

PROBLEM_KEYS: Final[Mapping[type[Exception], str]] = {
    uploads.FileTooLargeError: "file-too-large",
    uploads.NotAvroError: "not-avro",
    uploads.FileRefusedError: "file-refused",
    uploads.BodyIncompleteError: "body-incomplete",
    uploads.BodyTooSlowError: "body-too-slow",
    uploads.UploadInFlightError: "upload-in-flight",
    uploads.IdempotencyKeyReusedError: "idempotency-key-reused",
    uploads.UploadNotFoundError: "upload-not-found",
    uploads.InvalidCursorError: "invalid-cursor",
    uploads.StoreUnavailableError: f"{UNAVAILABLE}/object-store",
    uploads.StoreRefusedError: f"{UNAVAILABLE}/object-store",
    uploads.LedgerUnavailableError: f"{UNAVAILABLE}/database",
    uploads.SpoolFullError: f"{UNAVAILABLE}/temporary-storage-full",
    uploads.SpoolUnavailableError: f"{UNAVAILABLE}/temporary-storage",
    uploads.GateUnavailableError: f"{UNAVAILABLE}/validation",
    uploads.UnavailableError: f"{UNAVAILABLE}/dependency",
    identity.UnauthenticatedError: "unauthenticated",
    identity.InvalidTokenError: "invalid-token",
    identity.InvalidCredentialsError: "invalid-credentials",
    identity.MissingScopeError: "missing-scope",
    identity.RegistrationClosedError: "registration-closed",
    identity.AccountExistsError: "account-exists",
    identity.UnacceptablePasswordError: "unacceptable-password",
    identity.RateLimitedError: "rate-limited",
    identity.PasswordQueueFullError: "overloaded",
    identity.IdentityUnavailableError: f"{UNAVAILABLE}/accounts",
}
_BY_STATUS: Final = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}


def problem_of(error: Exception) -> Problem:
    """The row of *error*; of one that nobody foresaw, `internal-error`."""
    if isinstance(error, RequestRefusedError):
        return PROBLEMS[error.code]
    if isinstance(error, RequestValidationError):
        return PROBLEMS["invalid-request"]
    if isinstance(error, HTTPException):
        fallback = (
            "bad-request"
            if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR
            else "internal-error"
        )
        return PROBLEMS[_BY_STATUS.get(error.status_code, fallback)]
    known = (PROBLEM_KEYS[cls] for cls in type(error).__mro__ if cls in PROBLEM_KEYS)
    return PROBLEMS[next(known, "internal-error")]


def members_of(error: Exception) -> dict[str, Any]:
    """What a problem says beyond its row: places and codes, never values."""
    if isinstance(error, uploads.FileRefusedError | uploads.NotAvroError):
        return {"findings": [asdict(finding) for finding in error.findings]}
    if isinstance(error, uploads.FileTooLargeError):
        return {"limit_bytes": error.limit_bytes}
    if isinstance(error, RequestValidationError):
        return {
            "errors": [{"location": _place(item), "code": item["type"]} for item in error.errors()]
        }
    return {}


def _place(item: Mapping[str, Any]) -> list[str]:
    """
    Where a field is.

    Of one that must not be there only its surroundings, for its name is the client's text.
    """
    place = item["loc"][:-1] if item["type"] == "extra_forbidden" else item["loc"]
    return [str(part) for part in place]


def headers_of(error: Exception, problem: Problem) -> dict[str, str]:
    """Headers that the status calls for (RFC 9110, RFC 6750)."""
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if isinstance(error, identity.MissingScopeError):
        headers["WWW-Authenticate"] = f'{_REALM}, error="insufficient_scope", scope="{error.scope}"'
    elif problem.code == "invalid-token":
        headers["WWW-Authenticate"] = f'{_REALM}, error="invalid_token"'
    elif problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = _REALM
    retry_after = getattr(error, "retry_after_seconds", None)
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return headers_of_status(problem) | headers


def headers_of_status(problem: Problem) -> dict[str, str]:
    """Headers that every answer with this problem has."""
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE or problem.code == "too-many-uploads":
        return {"Retry-After": str(_UNAVAILABLE_RETRY_SECONDS)}
    if problem.code == "unsupported-content-coding":
        return {"Accept-Encoding": "identity"}  # RFC 9110, 12.5.3: what a request may have
    return {}


def problem_response(
    problem: Problem,
    *,
    correlation_id: str,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer of a row."""
    body = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "correlation_id": correlation_id,
        **({} if problem.cause is None else {"cause": problem.cause}),
        **(members or {}),
    }
    return JSONResponse(
        body, problem.status, {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE
    )


async def answer(request: Request, error: Exception) -> Response:
    """The exception handler of all foreseen errors."""
    problem = problem_of(error)
    request.state.problem_key = problem.key
    return problem_response(
        problem,
        correlation_id=request.state.correlation_id,
        members=members_of(error),
        headers=headers_of(error, problem),
    )
