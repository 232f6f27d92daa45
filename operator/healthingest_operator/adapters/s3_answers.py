"""What an object store's error codes mean. Source: Amazon S3 API reference, "Error responses"."""

from typing import Final

from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import StoreAccess

UNSUPPORTED: Final = frozenset(
    {"NotImplemented", "XNotImplemented", "MethodNotAllowed", "VersioningNotConfigured", "501", "405"}
)
UNSET: Final = frozenset(
    {
        "NoSuchTagSet",
        "NoSuchTagSetError",
        "NoSuchLifecycleConfiguration",
        "ServerSideEncryptionConfigurationNotFoundError",
        "NoSuchPublicAccessBlockConfiguration",
    }
)
MISSING: Final = frozenset({"404", "NoSuchBucket", "NotFound"})
BAD_LOGIN: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "401", "XAdminUserNotFound"}
)
FORBIDDEN: Final = frozenset({"AccessDenied", "403", "AllAccessDisabled", "Forbidden"})


def refusal(access: StoreAccess, code: str) -> DependencyError:
    """What an error code means for a HealthIngest."""
    where = f"the object store at {place(access)}"
    if code in BAD_LOGIN:
        message = f"{where} refuses the access key: check keys accessKeyId and secretAccessKey"
        return DependencyError(Reason.AUTHENTICATION_FAILED, message)
    if code in {"BucketAlreadyExists", "OperationAborted"}:
        return DependencyError(Reason.BUCKET_TAKEN, f"{where} has bucket {access.bucket} of somebody else: use another")
    if code in FORBIDDEN:
        message = f"{where} forbids these credentials what is needed on bucket {access.bucket}"
        return DependencyError(Reason.PERMISSION_DENIED, message)
    if code in {"SlowDown", "ServiceUnavailable", "InternalError", "500", "502", "503", "504"}:
        return DependencyError(Reason.UNREACHABLE, f"{where} answers {code}")
    return DependencyError(Reason.REQUEST_REFUSED, f"{where} refuses: {code} (bucket {access.bucket})")


def place(access: StoreAccess) -> str:
    """Where the store is, for people."""
    return access.endpoint.partition("://")[2] if access.endpoint else f"AWS {access.region}"
