"""
The closed list of condition types and reasons of a `HealthIngest`'s status.

Each reason has a section of its own in docs/reference/runbook.md; a test fails when one lacks it.
"""

from enum import StrEnum
from typing import Final

API_GROUP: Final = "healthingest.dev"
API_VERSION: Final = "v1alpha1"
KIND: Final = "HealthIngest"
PLURAL: Final = "healthingests"
POD_READINESS_GATE: Final = "healthingest.dev/dependencies-ready"
ROTATE_ANNOTATION: Final = "healthingest.dev/rotate"
"""
Of a HealthIngest: any text.

Another one than last time asks for a rotation of its credentials.
"""

CONFIRM_DATABASE_ANNOTATION: Final = "healthingest.dev/confirm-database"
"""Of a HealthIngest: `host:port/name` of another database that it is to use from now on."""
CONFIRM_BUCKET_ANNOTATION: Final = "healthingest.dev/confirm-bucket"
"""
Of a HealthIngest.

`host:port/bucket` of a bucket on another store, or with objects of others, that it may use.
"""


class ConditionType(StrEnum):
    """Types in `status.conditions`; the first three as kstatus reads them."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    BUCKET_READY = "BucketReady"
    BROKER_READY = "BrokerReady"
    TOPOLOGY_READY = "TopologyReady"
    DATABASE_READY = "DatabaseReady"
    SECRETS_READY = "SecretsReady"
    CACHE_READY = "CacheReady"
    WORKLOAD_AVAILABLE = "WorkloadAvailable"
    DRIFTED = "Drifted"
    PAUSED = "Paused"


class Reason(StrEnum):
    """Why a condition has its status."""

    # things are as they should be
    AVAILABLE = "Available"
    PROVISIONED = "Provisioned"
    CREDENTIALS_ROTATED = "CredentialsRotated"
    # under way
    PROGRESSING = "Progressing"
    WAITING_FOR_DEPENDENCIES = "WaitingForDependencies"
    MIGRATION_RUNNING = "MigrationRunning"
    ROLLOUT_PROGRESSING = "RolloutProgressing"
    CREDENTIALS_ROTATING = "CredentialsRotating"
    # the manifest
    INVALID_SPEC = "InvalidSpec"
    RESOURCE_CONFLICT = "ResourceConflict"
    # secrets
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason
    SECRET_KEY_MISSING = "SecretKeyMissing"  # noqa: S105 - a reason
    SECRET_VALUE_INVALID = "SecretValueInvalid"  # noqa: S105 - a reason
    # what every outside system can do
    UNREACHABLE = "Unreachable"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    PERMISSION_DENIED = "PermissionDenied"
    REQUEST_REFUSED = "RequestRefused"
    NAME_NOT_FOUND = "NameNotFound"
    TLS_FAILED = "TlsFailed"
    WRONG_PROTOCOL = "WrongProtocol"
    LIMIT_REACHED = "LimitReached"
    # object store
    BUCKET_TAKEN = "BucketTaken"
    CAPABILITY_MISSING = "CapabilityMissing"
    OBJECT_STORE_REPLACED = "ObjectStoreReplaced"
    # broker
    TOPOLOGY_CONFLICT = "TopologyConflict"
    BROKER_BLOCKED = "BrokerBlocked"
    # database
    DATABASE_REPLACED = "DatabaseReplaced"
    DATABASE_READ_ONLY = "DatabaseReadOnly"
    SCHEMA_UNKNOWN = "SchemaUnknown"
    MIGRATION_FAILED = "MigrationFailed"
    # workload
    FIELD_CONFLICT = "FieldConflict"
    ROLLOUT_FAILED = "RolloutFailed"
    SCALED_TO_ZERO = "ScaledToZero"
    ANNOUNCEMENTS_STALLED = "AnnouncementsStalled"
    # pods that cannot start, of the workload or of the migration
    IMAGE_PULL_FAILED = "ImagePullFailed"
    QUOTA_EXCEEDED = "QuotaExceeded"
    ADMISSION_REFUSED = "AdmissionRefused"
    POD_UNSCHEDULABLE = "PodUnschedulable"
    POD_START_FAILED = "PodStartFailed"
    CRASH_LOOPING = "CrashLooping"
    # drift and pause
    DRIFT_HEALED = "DriftHealed"
    PAUSED_BY_SPEC = "PausedBySpec"
    # deletion
    DELETING = "Deleting"
    LEFT_BEHIND = "LeftBehind"
