"""Causes for a database or bucket that is not the one that a HealthIngest has used before."""

from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.status.causes import Cause

DATABASE_REPLACED: Final = Cause(
    "database-replaced",
    (ConditionType.DATABASE_READY,),
    Reason.DATABASE_REPLACED,
    "a database that is not the previous one, or that was emptied",
    "database {place} is not the one that this HealthIngest has used before: {found}",
    "use the previous address, restore a backup, or confirm the database: set annotation"
    " healthingest.dev/confirm-database={place}",
)
STORE_REPLACED: Final = Cause(
    "store-replaced",
    (ConditionType.BUCKET_READY,),
    Reason.OBJECT_STORE_REPLACED,
    "an object store that is not the previous one",
    "bucket {place} is not the one that this HealthIngest has used before, {before}",
    "use the previous endpoint, or copy all objects and confirm the bucket: set annotation"
    " healthingest.dev/confirm-bucket={place}",
)
BUCKET_FOREIGN: Final = Cause(
    "bucket-foreign",
    (ConditionType.BUCKET_READY,),
    Reason.RESOURCE_CONFLICT,
    "a bucket with objects that do not belong to a HealthIngest",
    "bucket {place} already has objects (or they cannot be listed) and has no tag of this"
    " HealthIngest",
    "use another bucket, or adopt this one: set annotation healthingest.dev/confirm-bucket={place}",
)
IDENTITY_CAUSES: Final = (DATABASE_REPLACED, STORE_REPLACED, BUCKET_FOREIGN)
