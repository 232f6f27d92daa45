"""
The table of problems: maps each error to status, code, cause and text.

Error responses are RFC 9457 problem documents. Titles and details are constants: they contain no
value from a request and no text of a library.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from healthingest_service.audit import errors as audit
from healthingest_service.erasure import errors as erasure
from healthingest_service.identity import errors as identity
from healthingest_service.studies import errors as studies
from healthingest_service.uploads import errors as uploads
from healthingest_service.uploads import resumable

TYPE_PREFIX: Final = "https://healthingest.dev/problems/"
MEDIA_TYPE: Final = "application/problem+json"
UNAVAILABLE: Final = "service-unavailable"
"""The code for any unavailable dependency or resource; the member `cause` names it."""
_REALM: Final = 'Bearer realm="healthingest"'
_UNAVAILABLE_RETRY_SECONDS: Final = 5


class RequestRefusedError(Exception):
    """The request is refused by the HTTP edge itself. `code` is a code of the table."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class RangeNotSatisfiableError(RequestRefusedError):
    """The requested range lies outside the file, which has *size_bytes* bytes."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__("range-not-satisfiable")
        self.size_bytes = size_bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of the table of problems."""

    status: int
    code: str
    title: str
    detail: str
    cause: str | None = None

    @property
    def key(self) -> str:
        """The unique key of the row: the code, followed by `/` and the cause if there is one."""
        return self.code if self.cause is None else f"{self.code}/{self.cause}"

    @property
    def type(self) -> str:
        """The problem type, a stable URI that clients act on."""
        return TYPE_PREFIX + self.code


_ROWS: Final = (
    Problem(400, "bad-request", "Bad request", "The request is not well-formed."),
    Problem(
        400,
        "body-incomplete",
        "Body incomplete",
        "The body ended before the declared number of bytes.",
    ),
    Problem(
        400,
        "digest-mismatch",
        "Digest mismatch",
        "The body does not match its digest; send it again.",
    ),
    Problem(400, "invalid-cursor", "Invalid cursor", "Use `next_cursor` of a page, unchanged."),
    Problem(
        400,
        "invalid-digest",
        "Invalid digest",
        "`Content-Digest` or `Repr-Digest` is not well-formed (RFC 9530).",
    ),
    Problem(
        400,
        "invalid-checksum",
        "Invalid checksum",
        "`Upload-Checksum` must have `sha1`, `sha256` or `sha512`, and the Base64 of a digest.",
    ),
    Problem(
        400,
        "inconsistent-upload-length",
        "Inconsistent upload length",
        "The request declares another size of the file than itself, or than a request before.",
    ),
    Problem(
        400,
        "invalid-upload-complete",
        "Invalid upload complete",
        "`Upload-Complete` must be `?0` or `?1`.",
    ),
    Problem(
        400,
        "invalid-upload-length",
        "Invalid upload length",
        "`Upload-Length` must be the size of the file in bytes.",
    ),
    Problem(
        400,
        "invalid-upload-metadata",
        "Invalid upload metadata",
        "`Upload-Metadata` must have pairs of a key and a Base64 value, at most 4096 bytes.",
    ),
    Problem(
        400,
        "invalid-upload-offset",
        "Invalid upload offset",
        "`Upload-Offset` must be the number of bytes that the service has.",
    ),
    Problem(
        400,
        "upload-length-exceeded",
        "Upload length exceeded",
        "More bytes came than the file was declared to have.",
    ),
    Problem(
        400,
        "invalid-idempotency-key",
        "Invalid idempotency key",
        "`Idempotency-Key` must have 1 to 255 visible ASCII characters.",
    ),
    Problem(
        400,
        "invalid-enrolment-code",
        "Invalid enrolment code",
        "The code is mistyped, unknown, expired or used; ask the study for another one.",
    ),
    Problem(
        400,
        "invalid-mail-token",
        "Invalid token of a mail",
        "The token is unknown, expired or used; request another mail.",
    ),
    Problem(
        400,
        "malformed-multipart",
        "Malformed multipart body",
        "The form must have one field `file`; `study` and `subject` come before it, at most once.",
    ),
    Problem(
        401,
        "invalid-credentials",
        "Invalid credentials",
        "The e-mail address or the password is wrong, or the account is not active.",
    ),
    Problem(
        401,
        "invalid-authorization-code",
        "Invalid authorization code",
        "The identity provider refused the code, or it is not of this sign-in; begin again.",
    ),
    Problem(401, "invalid-token", "Invalid token", "The token is unknown, expired or revoked."),
    Problem(
        401, "unauthenticated", "Not authenticated", "Send `Authorization: Bearer <access token>`."
    ),
    Problem(
        403,
        "mail-disabled",
        "No mails",
        "This installation sends no mails; ask an administrator.",
    ),
    Problem(403, "admin-required", "Not allowed", "Only an administrator can do this."),
    Problem(403, "consent-missing", "Consent missing", "The subject has not given its consent."),
    Problem(
        403,
        "cross-site-request",
        "Cross-site request",
        "Only the page `/ui` of this service may do this.",
    ),
    Problem(
        403,
        "contradicting-subject",
        "Contradicting subject",
        "Headers and form fields name different studies or subjects, or not your own.",
    ),
    Problem(
        403,
        "bound-token",
        "Not allowed",
        "The device token is for another study or subject.",
    ),
    Problem(
        403,
        "group-missing",
        "Not allowed",
        "Your groups at the identity provider do not allow this.",
    ),
    Problem(
        403,
        "redirect-uri-not-permitted",
        "Redirect URI not permitted",
        "The redirect URI is not configured for the identity provider.",
    ),
    Problem(403, "missing-scope", "Not allowed", "The token does not allow this."),
    Problem(
        403,
        "registration-closed",
        "Registration closed",
        "Only an administrator can create accounts here.",
    ),
    Problem(403, "wrong-password", "Wrong password", "The current password is wrong."),
    Problem(
        404,
        "content-lost",
        "Content lost",
        "The object store has lost the file; its owner can send it again.",
    ),
    Problem(
        404,
        "identity-provider-not-found",
        "Identity provider not found",
        "No identity provider with this issuer offers sign-in here.",
    ),
    Problem(404, "not-found", "Not found", "The path does not exist."),
    Problem(404, "session-not-found", "Session not found", "You have no such session."),
    Problem(404, "token-not-found", "Token not found", "There is no such device token."),
    Problem(403, "role-missing", "Not allowed", "Your roles in the study do not allow this."),
    Problem(
        403,
        "subject-not-enrolled",
        "Subject not enrolled",
        "A manager of the study must enrol the subject first.",
    ),
    Problem(403, "subject-withdrawn", "Subject withdrawn", "The subject has left the study."),
    Problem(404, "account-not-found", "Account not found", "There is no such account."),
    Problem(404, "not-found", "Not found", "The path does not exist."),
    Problem(404, "study-not-found", "Study not found", "You have no role in such a study."),
    Problem(404, "subject-not-found", "Subject not found", "The study has no such subject."),
    Problem(
        404,
        "resumable-upload-not-found",
        "Resumable upload not found",
        "You have no such resumable upload; begin again.",
    ),
    Problem(404, "upload-not-found", "Upload not found", "You have no such upload."),
    Problem(405, "method-not-allowed", "Method not allowed", "Use one of the methods in `Allow`."),
    Problem(408, "body-too-slow", "Body too slow", "The body arrived too slowly, or not at all."),
    Problem(409, "account-exists", "Account exists", "An account with this e-mail address exists."),
    Problem(
        409,
        "too-many-enrolments",
        "Too many enrolment codes",
        "Wait until codes of the study are used or expire.",
    ),
    Problem(
        409,
        "too-many-tokens",
        "Too many device tokens",
        "Revoke device tokens that are no longer used.",
    ),
    Problem(
        409,
        "last-administrator",
        "Last administrator",
        "Name another administrator before you close this account.",
    ),
    Problem(
        409,
        "consent-outdated",
        "Consent outdated",
        "The consent is older than the withdrawal or the erasure; a new one is needed.",
    ),
    Problem(
        409,
        "default-study",
        "Default study",
        "The study `default` cannot be changed, and has no members and subjects.",
    ),
    Problem(
        409,
        "too-many-parts",
        "Too many parts",
        "The file came in too many requests; begin again, with more bytes in each.",
    ),
    Problem(
        409,
        "upload-offset-mismatch",
        "Upload offset mismatch",
        "The bytes do not continue those that the service has; ask for the offset.",
    ),
    Problem(
        409,
        "upload-replaced",
        "Upload replaced",
        "A newer request sends the bytes of this file; ask for the offset.",
    ),
    Problem(
        409,
        "too-many-outcomes",
        "Too many outcomes",
        "Ten other consumers have reported about this upload.",
    ),
    Problem(409, "study-closed", "Study closed", "The study accepts no uploads."),
    Problem(409, "study-exists", "Study exists", "A study with this slug and other values exists."),
    Problem(
        409,
        "upload-in-flight",
        "Upload in flight",
        "An upload with the same bytes or the same key is in progress.",
    ),
    Problem(404, "erasure-not-found", "Erasure not found", "You may see no such erasure."),
    Problem(
        410,
        "resumable-upload-ended",
        "Resumable upload ended",
        "It was terminated, has expired, or its data was erased; begin again.",
    ),
    Problem(410, "study-erased", "Study erased", "The data of the study was erased."),
    Problem(
        410,
        "upload-erased",
        "Upload erased",
        "This file was erased, and is not accepted again.",
    ),
    Problem(410, "subject-erased", "Subject erased", "The data of the subject was erased."),
    Problem(
        412,
        "precondition-failed",
        "Precondition failed",
        "The file has none of the entity tags in `If-Match`.",
    ),
    Problem(
        412,
        "tus-version",
        "Protocol version",
        "Send `Tus-Resumable: 1.0.0`.",
    ),
    Problem(413, "body-too-large", "Body too large", "The body is larger than this route allows."),
    Problem(413, "file-too-large", "File too large", "The file is larger than `limit_bytes`."),
    Problem(414, "url-too-long", "URL too long", "The URL is longer than the service allows."),
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
        "The route does not accept this `Content-Type`.",
    ),
    Problem(
        416,
        "range-not-satisfiable",
        "Range not satisfiable",
        "The range lies outside the file; `Content-Range` has its size.",
    ),
    Problem(
        422,
        "consent-in-future",
        "Consent in the future",
        "`given_at` must not be later than now.",
    ),
    Problem(
        422,
        "file-refused",
        "File refused",
        "The file is not valid; `findings` says where and why.",
    ),
    Problem(
        422, "idempotency-key-reused", "Idempotency key reused", "Use a new key for other bytes."
    ),
    Problem(
        422,
        "invalid-request",
        "Invalid request",
        "Fields are missing or invalid; `errors` names them.",
    ),
    Problem(
        422,
        "invalid-subject",
        "Invalid subject",
        "A subject is a pseudonym of 1 to 64 characters of `A-Za-z0-9._-`.",
    ),
    Problem(
        422,
        "record-type-not-permitted",
        "Record type not permitted",
        "The study does not accept files of this record type.",
    ),
    Problem(
        422,
        "retention-below-object-lock",
        "Retention below the object lock",
        "`policy.retention_days` must be null or at least `lock_days`: the object store locks each"
        " file for so long.",
    ),
    Problem(
        422, "subject-missing", "Subject missing", "An upload into this study names its subject."
    ),
    Problem(
        422,
        "unacceptable-password",
        "Unacceptable password",
        "Use 8 to 1024 characters, not a common password, not your e-mail address.",
    ),
    Problem(429, "rate-limited", "Too many requests", "Repeat the request after `Retry-After`."),
    Problem(
        423,
        "resumable-upload-busy",
        "Resumable upload busy",
        "The bytes of an earlier request are being stored; ask again after `Retry-After`.",
    ),
    Problem(
        429,
        "too-many-resumable-uploads",
        "Too many resumable uploads",
        "Finish or terminate resumable uploads that are in progress.",
    ),
    Problem(
        431,
        "head-too-large",
        "Request header fields too large",
        "The head or the trailers of the request are too large.",
    ),
    Problem(
        429,
        "too-many-downloads",
        "Too many downloads at once",
        "Repeat the request when another of your downloads has ended.",
    ),
    Problem(
        429,
        "too-many-uploads",
        "Too many uploads at once",
        "Repeat the request when another of your uploads has ended.",
    ),
    Problem(
        460,  # of tus, not of RFC 9110
        "checksum-mismatch",
        "Checksum mismatch",
        "The body does not match `Upload-Checksum`; nothing of it counts, send it again.",
    ),
    Problem(
        500,
        "internal-error",
        "Internal error",
        "The service failed; its log has the cause under the correlation id.",
    ),
    Problem(503, "not-ready", "Not ready", "This instance accepts no requests now."),
    Problem(503, "overloaded", "Overloaded", "Too many requests at once; repeating is safe."),
    *(
        Problem(503, UNAVAILABLE, "Service unavailable", f"{detail}; repeating is safe.", cause)
        for cause, detail in (
            ("accounts", "Accounts and tokens cannot be checked now"),
            ("database", "The database is not available now"),
            ("dependency", "A dependency of the service is not available now"),
            ("identity-provider", "The identity provider gave no usable answer"),
            ("object-store", "The object store is not available now"),
            ("temporary-storage", "The service cannot write the body to its disk now"),
            ("temporary-storage-full", "The service has no disk space for another body now"),
            ("validation", "Files cannot be validated now"),
        )
    ),
)
PROBLEMS: Final[Mapping[str, Problem]] = {problem.key: problem for problem in _ROWS}
"""All problems by `Problem.key`."""

PROBLEM_KEYS: Final[Mapping[type[Exception], str]] = {
    uploads.FileTooLargeError: "file-too-large",
    uploads.NotAvroError: "not-avro",
    uploads.FileRefusedError: "file-refused",
    uploads.BodyIncompleteError: "body-incomplete",
    uploads.BodyTooSlowError: "body-too-slow",
    uploads.UploadInFlightError: "upload-in-flight",
    uploads.IdempotencyKeyReusedError: "idempotency-key-reused",
    uploads.UploadNotFoundError: "upload-not-found",
    uploads.UploadErasedError: "upload-erased",
    uploads.InvalidCursorError: "invalid-cursor",
    uploads.TooManyOutcomesError: "too-many-outcomes",
    erasure.ErasureNotFoundError: "erasure-not-found",
    uploads.StoreUnavailableError: f"{UNAVAILABLE}/object-store",
    uploads.ObjectLostError: "content-lost",
    uploads.StoreRefusedError: f"{UNAVAILABLE}/object-store",
    uploads.LedgerUnavailableError: f"{UNAVAILABLE}/database",
    uploads.SpoolFullError: f"{UNAVAILABLE}/temporary-storage-full",
    uploads.SpoolUnavailableError: f"{UNAVAILABLE}/temporary-storage",
    uploads.GateUnavailableError: f"{UNAVAILABLE}/validation",
    uploads.UnavailableError: f"{UNAVAILABLE}/dependency",
    resumable.ResumableNotFoundError: "resumable-upload-not-found",
    resumable.ResumableEndedError: "resumable-upload-ended",
    resumable.ResumableBusyError: "resumable-upload-busy",
    resumable.InconsistentLengthError: "inconsistent-upload-length",
    resumable.OffsetMismatchError: "upload-offset-mismatch",
    resumable.ReplacedError: "upload-replaced",
    resumable.TooManyPartsError: "too-many-parts",
    resumable.TooManyResumableError: "too-many-resumable-uploads",
    resumable.LengthExceededError: "upload-length-exceeded",
    audit.AuditUnavailableError: f"{UNAVAILABLE}/database",
    identity.UnauthenticatedError: "unauthenticated",
    identity.InvalidTokenError: "invalid-token",
    identity.InvalidCredentialsError: "invalid-credentials",
    identity.ProviderNotFoundError: "identity-provider-not-found",
    identity.RedirectUriError: "redirect-uri-not-permitted",
    identity.InvalidAuthorizationCodeError: "invalid-authorization-code",
    identity.GroupMissingError: "group-missing",
    identity.WrongPasswordError: "wrong-password",
    identity.LastAdministratorError: "last-administrator",
    identity.SessionNotFoundError: "session-not-found",
    identity.MissingScopeError: "missing-scope",
    identity.TooManyTokensError: "too-many-tokens",
    identity.DeviceTokenNotFoundError: "token-not-found",
    identity.BoundTokenError: "bound-token",
    identity.TooManyCodesError: "too-many-enrolments",
    identity.InvalidEnrolmentCodeError: "invalid-enrolment-code",
    identity.InvalidMailTokenError: "invalid-mail-token",
    identity.MailDisabledError: "mail-disabled",
    identity.RegistrationClosedError: "registration-closed",
    identity.AccountExistsError: "account-exists",
    identity.UnacceptablePasswordError: "unacceptable-password",
    identity.RateLimitedError: "rate-limited",
    identity.ProviderUnavailableError: f"{UNAVAILABLE}/identity-provider",
    identity.PasswordQueueFullError: "overloaded",
    identity.IdentityUnavailableError: f"{UNAVAILABLE}/accounts",
    studies.StudyNotFoundError: "study-not-found",
    studies.StudyExistsError: "study-exists",
    studies.StudyClosedError: "study-closed",
    studies.StudyErasedError: "study-erased",
    studies.DefaultStudyError: "default-study",
    studies.RoleMissingError: "role-missing",
    studies.AdminRequiredError: "admin-required",
    studies.AccountNotFoundError: "account-not-found",
    studies.SubjectNotFoundError: "subject-not-found",
    studies.SubjectMissingError: "subject-missing",
    studies.SubjectNotEnrolledError: "subject-not-enrolled",
    studies.ConsentMissingError: "consent-missing",
    studies.ConsentOutdatedError: "consent-outdated",
    studies.SubjectWithdrawnError: "subject-withdrawn",
    studies.SubjectErasedError: "subject-erased",
    studies.RecordTypeNotPermittedError: "record-type-not-permitted",
    studies.RetentionBelowLockError: "retention-below-object-lock",
    studies.StudiesUnavailableError: f"{UNAVAILABLE}/database",
}
_TOO_MANY: Final = frozenset(
    {"too-many-downloads", "too-many-uploads", "too-many-resumable-uploads"}
)
_BY_STATUS: Final = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}


def problem_of(error: Exception) -> Problem:
    """Return the problem of *error*; `internal-error` for an unknown one."""
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


def members_of(error: Exception) -> dict[str, object]:
    """Return further members of the problem document: places and codes, never values."""
    if isinstance(error, uploads.FileRefusedError | uploads.NotAvroError):
        return {"findings": [asdict(finding) for finding in error.findings]}
    if isinstance(error, uploads.FileTooLargeError):
        return {"limit_bytes": error.limit_bytes}
    if isinstance(error, studies.RetentionBelowLockError):
        return {"lock_days": error.lock_days}
    if isinstance(error, identity.RateLimitedError):
        return {"limit": error.rule}
    if isinstance(error, RequestValidationError):
        return {
            "errors": [
                {"location": _location(item["loc"], item["type"]), "code": item["type"]}
                for item in error.errors()
            ]
        }
    return {}


def _location(location: tuple[str | int, ...], code: str) -> list[str]:
    """
    Return the path of a field.

    For an unknown field it is the path of the parent, since the name is the client's text.
    """
    shown = location[:-1] if code == "extra_forbidden" else location
    return [str(part) for part in shown]


def headers_of(error: Exception, problem: Problem) -> dict[str, str]:
    """Return the headers that status and error require (RFC 9110, RFC 6750)."""
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if isinstance(error, identity.MissingScopeError):
        headers["WWW-Authenticate"] = f'{_REALM}, error="insufficient_scope", scope="{error.scope}"'
    elif problem.code == "invalid-token":
        headers["WWW-Authenticate"] = f'{_REALM}, error="invalid_token"'
    elif problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = _REALM
    if isinstance(error, resumable.OffsetMismatchError):
        headers["Upload-Offset"] = str(error.received_bytes)
    if isinstance(error, RangeNotSatisfiableError):
        headers["Content-Range"] = f"bytes */{error.size_bytes}"
    retry_after = getattr(error, "retry_after_seconds", None)
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return headers_of_status(problem) | headers


def headers_of_status(problem: Problem) -> dict[str, str]:
    """Return the headers of every response with this problem."""
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE or problem.code in _TOO_MANY:
        return {"Retry-After": str(_UNAVAILABLE_RETRY_SECONDS)}
    if problem.code == "unsupported-content-coding":
        return {"Accept-Encoding": "identity"}  # RFC 9110, 12.5.3: codings that are accepted
    return {}


def problem_response(
    problem: Problem,
    *,
    correlation_id: str,
    members: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the response of *problem*, with further members and headers."""
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
    """Handle all known errors: return the problem response of *error*."""
    problem = problem_of(error)
    request.state.problem_key = problem.key
    return problem_response(
        problem,
        correlation_id=request.state.correlation_id,
        members=members_of(error),
        headers=headers_of(error, problem) | _allowed(request, problem),
    )


def _allowed(request: Request, problem: Problem) -> dict[str, str]:
    """Return `Allow` for 405, with the methods of all routes of the path, not of the first one."""
    if problem.status != HTTPStatus.METHOD_NOT_ALLOWED:
        return {}
    matching = (
        route
        for route in request.app.state.routes
        if route.matches(request.scope)[0] is not Match.NONE
    )
    methods = {method for route in matching for method in route.methods or ()}
    return {"Allow": ", ".join(sorted(methods))}
