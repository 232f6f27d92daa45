"""
Causes of identities.

A database or bucket is not the one that a HealthIngest has used before, or the identity of a pod
gives no keys for the object store.
"""

from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_contract.stop_causes import StopCause
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
_OPERATOR: Final = (ConditionType.BUCKET_READY,)
_PODS: Final = (ConditionType.WORKLOAD_AVAILABLE,)
_TRUST: Final = (
    "correct role and audience, and let the role trust the ServiceAccount; see"
    " docs/how-to/use-workload-identity.md"
)
OPERATOR_HAS_NO_KEYS: Final = Cause(
    "operator-has-no-keys",
    _OPERATOR,
    Reason.CREDENTIALS_MISSING,
    "no keys for the operator: neither a Secret nor an identity of its pod",
    "spec.objectStore names no Secret, and the operator's pod has no identity for the object store",
    "set spec.objectStore.adminSecretRef, or give the operator a role (value webIdentity or"
    " serviceAccount.annotations of its chart)",
)
OPERATOR_HAS_NO_TOKEN: Final = Cause(
    "operator-has-no-token",
    _OPERATOR,
    Reason.CREDENTIALS_MISSING,
    "no token in the operator's pod",
    "the operator has a role at {where}, but no token: its file is missing or empty",
    "mount a projected token of its ServiceAccount at AWS_WEB_IDENTITY_TOKEN_FILE or"
    " AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE; the chart does with value webIdentity",
)
OPERATOR_TOKEN_REFUSED: Final = Cause(
    "operator-token-refused",
    _OPERATOR,
    Reason.AUTHENTICATION_FAILED,
    "a token of the operator that the token service refuses",
    "{where} refuses the token of the operator{code}",
    _TRUST,
)
OPERATOR_TOKEN_SERVICE: Final = Cause(
    "operator-token-service",
    _OPERATOR,
    Reason.UNREACHABLE,
    "a token service that gives the operator no answer",
    "{where} gives the operator no keys: it cannot be reached, or does not work{code}",
    "check its address (AWS_ENDPOINT_URL_STS), its certificate (value caBundle of the chart), and"
    " that no NetworkPolicy or firewall drops packets",
)
OPERATOR_KEYS_REFUSED: Final = Cause(
    "operator-keys-refused",
    _OPERATOR,
    Reason.AUTHENTICATION_FAILED,
    "an object store that does not know the keys of the operator's identity",
    "{where} refuses the temporary keys of the operator's identity",
    "use the store for which the operator has a role, or set spec.objectStore.adminSecretRef",
)
PODS_HAVE_NO_KEYS: Final = Cause(
    "pods-have-no-keys",
    _PODS,
    Reason.CREDENTIALS_MISSING,
    "no keys for the pods: neither a Secret nor an identity",
    "{where}: container {container} has no keys for the object store",
    "set spec.objectStore.webIdentity or credentialsSecretRef, or spec.serviceAccount.annotations"
    " for an admission webhook; a pod gets its identity when it is created",
)
PODS_HAVE_NO_TOKEN: Final = Cause(
    "pods-have-no-token",
    _PODS,
    Reason.CREDENTIALS_MISSING,
    "no token in a pod",
    "{where}: container {container} has a role, but no token: its file is missing or empty",
    "set spec.objectStore.webIdentity, or correct what sets AWS_WEB_IDENTITY_TOKEN_FILE or"
    " AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)
PODS_TOKEN_REFUSED: Final = Cause(
    "pods-token-refused",
    _PODS,
    Reason.AUTHENTICATION_FAILED,
    "a token of a pod that the token service refuses",
    "{where}: the token service refuses the token of container {container}",
    _TRUST,
)
PODS_TOKEN_SERVICE: Final = Cause(
    "pods-token-service",
    _PODS,
    Reason.UNREACHABLE,
    "a token service that gives a pod no answer",
    "{where}: the token service gives container {container} no answer",
    "check spec.objectStore.webIdentity.stsEndpoint, and that no NetworkPolicy or firewall drops"
    " packets",
)
OF_IDENTITY_STOPS: Final = {
    StopCause.STORE_KEYS_MISSING: PODS_HAVE_NO_KEYS,
    StopCause.STORE_TOKEN_MISSING: PODS_HAVE_NO_TOKEN,
    StopCause.STORE_TOKEN_REFUSED: PODS_TOKEN_REFUSED,
    StopCause.STORE_TOKEN_SERVICE_UNREACHABLE: PODS_TOKEN_SERVICE,
}
IDENTITY_CAUSES: Final = (
    DATABASE_REPLACED,
    STORE_REPLACED,
    BUCKET_FOREIGN,
    OPERATOR_HAS_NO_KEYS,
    OPERATOR_HAS_NO_TOKEN,
    OPERATOR_TOKEN_REFUSED,
    OPERATOR_TOKEN_SERVICE,
    OPERATOR_KEYS_REFUSED,
    PODS_HAVE_NO_KEYS,
    PODS_HAVE_NO_TOKEN,
    PODS_TOKEN_REFUSED,
    PODS_TOKEN_SERVICE,
)
