"""Causes by which a database or bucket is not the one that a HealthIngest has used."""

from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.status.causes import Cause

DATABASE_REPLACED: Final = Cause(
    "database-replaced",
    (ConditionType.DATABASE_READY,),
    Reason.DATABASE_REPLACED,
    "another database than before, or one that was emptied",
    "database {place} is not the one that this HealthIngest has used: {found}",
    "go back to the former address, restore a backup, or confirm: annotation"
    " healthingest.dev/confirm-database={place}",
)
STORE_REPLACED: Final = Cause(
    "store-replaced",
    (ConditionType.BUCKET_READY,),
    Reason.OBJECT_STORE_REPLACED,
    "another object store than before",
    "bucket {place} is not the one that this HealthIngest has used, {before}",
    "go back to the former endpoint, or copy all and confirm: annotation"
    " healthingest.dev/confirm-bucket={place}",
)
BUCKET_FOREIGN: Final = Cause(
    "bucket-foreign",
    (ConditionType.BUCKET_READY,),
    Reason.RESOURCE_CONFLICT,
    "a bucket with objects that no HealthIngest has made",
    "bucket {place} is there, has objects (or does not let them be listed) and bears no tag of"
    " this HealthIngest",
    "use another one, or let it be taken over: annotation healthingest.dev/confirm-bucket={place}",
)
IDENTITY_CAUSES: Final = (DATABASE_REPLACED, STORE_REPLACED, BUCKET_FOREIGN)
