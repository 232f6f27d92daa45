"""
Conversion of an object store's error codes into causes.

Source: Amazon S3 API reference, "Error responses".
"""

import re
from typing import Final

from healthingest_contract.conditions import Reason
from healthingest_contract.pod_identity import EXPIRED, UNUSABLE, IdentityFailure, PodIdentityError
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import StoreAccess
from healthingest_operator.status import identity_causes
from healthingest_operator.status import outside_causes as causes

UNSUPPORTED: Final = frozenset(
    {
        "NotImplemented",
        "XNotImplemented",
        "MethodNotAllowed",
        "VersioningNotConfigured",
        "501",
        "405",
    }
)
UNSET: Final = frozenset(
    {
        "NoSuchTagSet",
        "NoSuchTagSetError",
        "NoSuchLifecycleConfiguration",
        "ServerSideEncryptionConfigurationNotFoundError",
        "NoSuchPublicAccessBlockConfiguration",
        "ObjectLockConfigurationNotFoundError",
    }
)
MISSING: Final = frozenset({"404", "NoSuchBucket", "NotFound"})
BAD_LOGIN: Final = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "InvalidTokenId",
        *EXPIRED,
        "401",
        "XAdminUserNotFound",
    }
)
FORBIDDEN: Final = frozenset({"AccessDenied", "403", "AllAccessDisabled", "Forbidden"})
_CODE: Final = re.compile(r"^[A-Za-z][A-Za-z0-9]{2,60}$")
"""An error code of S3; botocore gives the HTTP status as the code if the body has none."""


def refusal(access: StoreAccess, code: str) -> DependencyError:
    """Return the error for an error code of the store."""
    where = place(access)
    if code in BAD_LOGIN or (code in UNUSABLE and not access.has_keys):
        own = identity_causes.OPERATOR_KEYS_REFUSED
        return DependencyError.of(causes.STORE_LOGIN if access.has_keys else own, where=where)
    if code in {"BucketAlreadyExists", "OperationAborted"}:
        return DependencyError.of(causes.BUCKET_TAKEN, where=where, bucket=access.bucket)
    if code in FORBIDDEN:
        return DependencyError.of(causes.STORE_FORBIDS, where=where, bucket=access.bucket)
    if code in {"SlowDown", "ServiceUnavailable", "InternalError", "500", "502", "503", "504"}:
        return DependencyError(Reason.UNREACHABLE, f"{where} answers {code}")
    if not _CODE.match(code):
        return DependencyError.of(causes.NOT_S3, where=where)
    return DependencyError(
        Reason.REQUEST_REFUSED, f"{where} refuses: {code} (bucket {access.bucket})"
    )


_OF_IDENTITY: Final = {
    IdentityFailure.NO_TOKEN: identity_causes.OPERATOR_HAS_NO_TOKEN,
    IdentityFailure.REFUSED: identity_causes.OPERATOR_TOKEN_REFUSED,
    IdentityFailure.UNREACHABLE: identity_causes.OPERATOR_TOKEN_SERVICE,
}


def identity_refusal(error: PodIdentityError) -> DependencyError:
    """Return the error for the operator's identity, which gives no keys."""
    code = f" ({error.code})" if error.code else ""
    return DependencyError.of(_OF_IDENTITY[error.failure], where=error.where, code=code)


def place(access: StoreAccess) -> str:
    """Return the address of the store, for messages."""
    return (
        "the object store at"
        f" {access.endpoint.partition('://')[2] if access.endpoint else f'AWS {access.region}'}"
    )
