"""
The permissions of all routes: who may call which operation.

A route without a row here cannot be called, and a test fails for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from healthingest_service.identity.model import Scope
from healthingest_service.studies.model import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """
    Who may call an operation.

    With `needs_token` a caller needs a valid access token, with `scope` that scope. An operation in
    a study needs one of `roles`; `admin` admits an administrator of the installation, too.
    """

    needs_token: bool = True
    scope: Scope | None = None
    roles: frozenset[Role] = frozenset()
    admin: bool = False


PUBLIC: Final = Permission(needs_token=False)
TOKEN: Final = Permission()
UPLOAD: Final = Permission(scope=Scope.UPLOAD_WRITE)
READ: Final = Permission(scope=Scope.UPLOAD_READ)
REPORT: Final = Permission(scope=Scope.OUTCOME_WRITE)
OWN_ACCOUNT: Final = Permission(scope=Scope.ACCOUNT)
_STUDY: Final = Permission(scope=Scope.STUDY_MANAGE)
_ADMIN: Final = Permission(scope=Scope.STUDY_MANAGE, admin=True)
_MANAGER_OR_ADMIN: Final = Permission(
    scope=Scope.STUDY_MANAGE, roles=frozenset({Role.MANAGER}), admin=True
)
_MANAGER: Final = Permission(scope=Scope.STUDY_MANAGE, roles=frozenset({Role.MANAGER}))
_MEMBER: Final = Permission(scope=Scope.STUDY_MANAGE, roles=frozenset(Role), admin=True)
_READER: Final = Permission(scope=Scope.STUDY_MANAGE, roles=frozenset({Role.READER, Role.MANAGER}))

PERMISSIONS: Final[Mapping[str, Permission]] = {
    "getServiceInfo": PUBLIC,
    "checkLiveness": PUBLIC,
    "checkReadiness": PUBLIC,
    "checkStartup": PUBLIC,
    "registerAccount": PUBLIC,
    "logIn": PUBLIC,
    "refreshTokens": PUBLIC,
    "listIdentityProviders": PUBLIC,
    "logInWithCode": PUBLIC,
    "logOut": TOKEN,
    "signInToPage": PUBLIC,
    "signInToPageWithCode": PUBLIC,
    "continuePageSession": PUBLIC,
    "endPageSession": PUBLIC,
    "forgotPassword": PUBLIC,
    "resetPassword": PUBLIC,
    "requestVerification": PUBLIC,
    "verifyEmail": PUBLIC,
    "getOwnAccount": OWN_ACCOUNT,
    "updateOwnAccount": OWN_ACCOUNT,
    "closeOwnAccount": OWN_ACCOUNT,
    "changePassword": OWN_ACCOUNT,
    "listSessions": OWN_ACCOUNT,
    "endSession": OWN_ACCOUNT,
    "endOtherSessions": OWN_ACCOUNT,
    "createToken": OWN_ACCOUNT,
    "listTokens": OWN_ACCOUNT,
    "revokeToken": OWN_ACCOUNT,
    "createEnrolment": _MANAGER,
    "cancelEnrolment": _MANAGER,
    "redeemEnrolment": PUBLIC,
    "listStudyTokens": _MANAGER,
    "revokeStudyToken": _MANAGER,
    "createUpload": UPLOAD,
    "describeUploads": PUBLIC,
    "getUploadOffset": UPLOAD,
    "appendToUpload": UPLOAD,
    "cancelUpload": UPLOAD,
    "describeResumableUploads": PUBLIC,
    "createResumableUpload": UPLOAD,
    "getResumableUpload": UPLOAD,
    "appendToResumableUpload": UPLOAD,
    "terminateResumableUpload": UPLOAD,
    "listUploads": READ,
    "getUpload": READ,
    "getUploadContent": READ,
    "reportOutcome": REPORT,
    "listStudies": _STUDY,
    "createStudy": _ADMIN,
    "getStudy": _MEMBER,
    "changeStudy": _MANAGER_OR_ADMIN,
    "listMembers": _MANAGER_OR_ADMIN,
    "putMember": _MANAGER_OR_ADMIN,
    "removeMember": _MANAGER_OR_ADMIN,
    "listSubjects": _READER,
    "getSubject": _READER,
    "listStudyUploads": _READER,
    "getCoverage": _READER,
    "listGaps": _READER,
    "listAuditEvents": _MANAGER_OR_ADMIN,
    "listDisclosures": _MANAGER,
    "enrolSubject": _MANAGER,
    "giveConsent": _MANAGER,
    "withdrawSubject": _MANAGER,
    "eraseUpload": _STUDY,
    "eraseSubject": _MANAGER,
    "eraseStudy": _MANAGER,
    "getErasure": _STUDY,
}
"""The permission of each operation, by its id."""

PUBLIC_PATHS: Final = ("/openapi.json", "/asyncapi.json", "/docs", "/ui", "/auth/mail-links/")
"""Paths, and what lies below them, of pages that are not operations of the API."""


def permission_of(request: Request) -> Permission:
    """
    Return the permission of the route of *request*.

    Raises:
        KeyError: the route declares none.
    """
    return PERMISSIONS[request.scope["route"].operation_id]
