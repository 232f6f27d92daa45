"""
Which operation is recorded in the audit log, and as which action.

A route without a row here fails a test. Refusals of an operation that has an action are always
recorded, as far as `RefusalBudget` admits them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from healthingest_service.audit.model import Action


class Recorded(StrEnum):
    """Where a success is recorded."""

    BEFORE_ANSWER = "before-answer"
    """By the middleware, before the first byte of the answer is sent."""
    IF_FOREIGN = "if-foreign"
    """As before, but not if the caller has read data of its own."""
    WITH_ACTION = "with-action"
    """By the use case, in the transaction of the action."""
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRule:
    """
    How an operation is recorded. `action` is None if it is never refused for want of a right.

    `object_in_path` is the path parameter that identifies the object. `why_never` is the reason why
    a success is not recorded.
    """

    action: Action | None = None
    success: Recorded = Recorded.BEFORE_ANSWER
    object_in_path: str | None = None
    why_never: str = ""


def _on(action: Action, object_in_path: str | None = None) -> AuditRule:
    return AuditRule(action=action, object_in_path=object_in_path)


def _refused_only(action: Action, why_never: str, object_in_path: str | None = None) -> AuditRule:
    return AuditRule(
        action=action,
        success=Recorded.NEVER,
        object_in_path=object_in_path,
        why_never=why_never,
    )


_NO_DATA: Final = AuditRule(success=Recorded.NEVER, why_never="it has no data of anybody")
_OWN: Final = "the caller reads its own data"

AUDIT_RULES: Final[Mapping[str, AuditRule]] = {
    "getServiceInfo": _NO_DATA,
    "checkLiveness": _NO_DATA,
    "checkReadiness": _NO_DATA,
    "checkStartup": _NO_DATA,
    "registerAccount": _on(Action.ACCOUNT_CREATE),
    "logIn": _on(Action.LOGIN),
    "listIdentityProviders": _NO_DATA,
    "logInWithCode": _on(Action.LOGIN),
    "refreshTokens": _refused_only(Action.TOKEN_REFRESH, "it continues a recorded login"),
    "logOut": _on(Action.SESSION_REVOKE),
    "signInToPage": _on(Action.LOGIN),
    "signInToPageWithCode": _on(Action.LOGIN),
    "continuePageSession": _refused_only(Action.TOKEN_REFRESH, "it continues a recorded login"),
    "endPageSession": _on(Action.SESSION_REVOKE),
    "forgotPassword": _on(Action.MAIL_REQUEST),
    "resetPassword": _on(Action.PASSWORD_RESET),
    "requestVerification": _on(Action.MAIL_REQUEST),
    "verifyEmail": _on(Action.EMAIL_VERIFY),
    "getOwnAccount": _refused_only(Action.ACCOUNT_READ, _OWN),
    "updateOwnAccount": _on(Action.ACCOUNT_CHANGE),
    "closeOwnAccount": _on(Action.ACCOUNT_CLOSE),
    "changePassword": _on(Action.PASSWORD_CHANGE),
    "listSessions": _refused_only(Action.SESSION_READ, _OWN),
    "endSession": _on(Action.SESSION_REVOKE, "session_id"),
    "endOtherSessions": _on(Action.SESSION_REVOKE),
    "createToken": AuditRule(action=Action.DEVICE_TOKEN_CREATE, success=Recorded.WITH_ACTION),
    "listTokens": _refused_only(Action.DEVICE_TOKEN_READ, _OWN),
    "revokeToken": _on(Action.DEVICE_TOKEN_REVOKE, "token_id"),
    "createEnrolment": AuditRule(action=Action.ENROLMENT_CREATE, success=Recorded.WITH_ACTION),
    "cancelEnrolment": _on(Action.ENROLMENT_CANCEL, "enrolment"),
    "redeemEnrolment": _on(Action.DEVICE_TOKEN_CREATE),
    "listStudyTokens": _on(Action.DEVICE_TOKEN_READ),
    "revokeStudyToken": _on(Action.DEVICE_TOKEN_REVOKE, "token_id"),
    "createUpload": AuditRule(action=Action.UPLOAD, success=Recorded.WITH_ACTION),
    "describeUploads": _NO_DATA,
    "getUploadOffset": _refused_only(Action.UPLOAD_READ, _OWN),
    "appendToUpload": AuditRule(action=Action.UPLOAD, success=Recorded.WITH_ACTION),
    "cancelUpload": _refused_only(Action.UPLOAD, "nothing was accepted yet"),
    "describeResumableUploads": _NO_DATA,
    "createResumableUpload": AuditRule(action=Action.UPLOAD, success=Recorded.WITH_ACTION),
    "getResumableUpload": _refused_only(Action.UPLOAD_READ, _OWN),
    "appendToResumableUpload": AuditRule(action=Action.UPLOAD, success=Recorded.WITH_ACTION),
    "terminateResumableUpload": _refused_only(Action.UPLOAD, "nothing was accepted yet"),
    "listUploads": _refused_only(Action.UPLOAD_READ, _OWN),
    "getUpload": AuditRule(
        action=Action.UPLOAD_READ, success=Recorded.IF_FOREIGN, object_in_path="upload_id"
    ),
    "getUploadContent": _on(Action.DOWNLOAD, "upload_id"),
    "reportOutcome": _refused_only(
        Action.OUTCOME_REPORT, "the outcome is kept with its upload", "upload_id"
    ),
    "eraseUpload": _on(Action.ERASURE_REQUEST, "upload_id"),
    "eraseSubject": _on(Action.ERASURE_REQUEST),
    "eraseStudy": _on(Action.ERASURE_REQUEST),
    "getErasure": _on(Action.ERASURE_READ, "erasure_id"),
    "listStudies": _refused_only(Action.STUDY_READ, "it has no data about subjects"),
    "createStudy": _on(Action.STUDY_CREATE),
    "getStudy": _refused_only(Action.STUDY_READ, "it has no data about subjects"),
    "changeStudy": _on(Action.STUDY_CHANGE),
    "listMembers": _on(Action.MEMBER_READ),
    "putMember": _on(Action.MEMBER_CHANGE, "account"),
    "removeMember": _on(Action.MEMBER_REMOVE, "account"),
    "listSubjects": _on(Action.SUBJECT_READ),
    "getSubject": _on(Action.SUBJECT_READ),
    "listStudyUploads": _on(Action.UPLOAD_READ),
    "getCoverage": _on(Action.COVERAGE_READ),
    "listGaps": _on(Action.COVERAGE_READ),
    "listAuditEvents": _on(Action.AUDIT_READ),
    "listDisclosures": _on(Action.DISCLOSURE_READ),
    "enrolSubject": _on(Action.SUBJECT_ENROL),
    "giveConsent": _on(Action.SUBJECT_CONSENT),
    "withdrawSubject": _on(Action.SUBJECT_WITHDRAW),
}
"""The rule of each operation, by its id."""
