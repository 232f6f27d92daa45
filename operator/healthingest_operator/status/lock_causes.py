"""Causes of a bucket whose object lock is not the one of the spec."""

from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.status.causes import Cause

_BUCKET: Final = (ConditionType.BUCKET_READY,)

BUCKET_WITHOUT_LOCK: Final = Cause(
    "bucket-without-lock",
    _BUCKET,
    Reason.OBJECT_LOCK_MISSING,
    "spec.objectStore.objectLock with a bucket that was created without object lock",
    "bucket {bucket} exists and has no object lock, which spec.objectStore.objectLock needs",
    "enable it with the tools of the store, which is permanent and not possible on every store;"
    " or create a HealthIngest with a new bucket; or remove spec.objectStore.objectLock",
)
LOCK_NOT_IN_SPEC: Final = Cause(
    "lock-not-in-spec",
    _BUCKET,
    Reason.OBJECT_LOCK_NOT_IN_SPEC,
    "a bucket with a default retention that the spec does not name",
    "bucket {bucket} locks new objects ({mode}, {period}), so erasures may be blocked although the"
    " service does not know it",
    "set spec.objectStore.objectLock to this lock, or remove the default retention of the bucket",
)
LOCK_CAUSES: Final = (BUCKET_WITHOUT_LOCK, LOCK_NOT_IN_SPEC)
