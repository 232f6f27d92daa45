"""
All condition types and reasons in the status of a `HealthIngest`.

A test checks that each reason has a section in docs/reference/runbook.md.
"""

from enum import StrEnum
from typing import Final

API_GROUP: Final = "healthingest.dev"
API_VERSION: Final = "v1alpha1"
KIND: Final = "HealthIngest"
PLURAL: Final = "healthingests"
POD_READINESS_GATE: Final = "healthingest.dev/dependencies-ready"
ROTATE_ANNOTATION: Final = "healthingest.dev/rotate"
"""Annotation of a HealthIngest: any text; a changed text requests a rotation of credentials."""

CONFIRM_DATABASE_ANNOTATION: Final = "healthingest.dev/confirm-database"
"""Annotation of a HealthIngest: `host:port/name` of another database that it may use."""
CONFIRM_BUCKET_ANNOTATION: Final = "healthingest.dev/confirm-bucket"
"""
Annotation of a HealthIngest: `host:port/bucket` of a bucket that it may use.

It is required for a bucket in another store, and for one with objects of other applications.
"""
CONFIRM_ERASURE_KEY_ANNOTATION: Final = "healthingest.dev/confirm-new-erasure-key"
"""Annotation of a HealthIngest: fingerprint of a lost erasure key that a new one may replace."""


class ConditionType(StrEnum):
    """Types in `status.conditions`; kstatus interprets the first three."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    BUCKET_READY = "BucketReady"
    BROKER_READY = "BrokerReady"
    TOPOLOGY_READY = "TopologyReady"
    DATABASE_READY = "DatabaseReady"
    SECRETS_READY = "SecretsReady"
    CACHE_READY = "CacheReady"
    READER_READY = "ReaderReady"
    ROUTE_READY = "RouteReady"
    WORKLOAD_AVAILABLE = "WorkloadAvailable"
    DRIFTED = "Drifted"
    PAUSED = "Paused"


class Reason(StrEnum):
    """Reasons of conditions."""

    # success
    AVAILABLE = "Available"
    PROVISIONED = "Provisioned"
    CREDENTIALS_ROTATED = "CredentialsRotated"
    # in progress
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
    SECRET_VALUE_TRIMMED = "SecretValueTrimmed"  # noqa: S105 - a reason
    ERASURE_KEY_MISSING = "ErasureKeyMissing"
    ERASURE_KEY_CHANGED = "ErasureKeyChanged"
    # any external system
    UNREACHABLE = "Unreachable"
    CREDENTIALS_MISSING = "CredentialsMissing"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    PERMISSION_DENIED = "PermissionDenied"
    REQUEST_REFUSED = "RequestRefused"
    NAME_NOT_FOUND = "NameNotFound"
    TLS_FAILED = "TlsFailed"
    CERTIFICATE_UNTRUSTED = "CertificateUntrusted"
    CERTIFICATE_EXPIRED = "CertificateExpired"
    CERTIFICATE_NAME_MISMATCH = "CertificateNameMismatch"
    CA_BUNDLE_NOT_FOUND = "CaBundleNotFound"
    CA_BUNDLE_INVALID = "CaBundleInvalid"
    WRONG_PROTOCOL = "WrongProtocol"
    LIMIT_REACHED = "LimitReached"
    # object store
    BUCKET_TAKEN = "BucketTaken"
    CAPABILITY_MISSING = "CapabilityMissing"
    OBJECT_STORE_REPLACED = "ObjectStoreReplaced"
    READER_MAY_WRITE = "ReaderMayWrite"
    OBJECT_LOCK_MISSING = "ObjectLockMissing"
    OBJECT_LOCK_NOT_IN_SPEC = "ObjectLockNotInSpec"
    # broker
    TOPOLOGY_CONFLICT = "TopologyConflict"
    TOPOLOGY_INCOMPLETE = "TopologyIncomplete"
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
    # pods of the workload or of the migration that cannot start
    IMAGE_PULL_FAILED = "ImagePullFailed"
    QUOTA_EXCEEDED = "QuotaExceeded"
    ADMISSION_REFUSED = "AdmissionRefused"
    POD_UNSCHEDULABLE = "PodUnschedulable"
    POD_START_FAILED = "PodStartFailed"
    CRASH_LOOPING = "CrashLooping"
    # traffic
    GATEWAY_API_MISSING = "GatewayApiMissing"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    # drift and pause
    DRIFT_HEALED = "DriftHealed"
    PAUSED_BY_SPEC = "PausedBySpec"
    # deletion
    DELETING = "Deleting"
    LEFT_BEHIND = "LeftBehind"
