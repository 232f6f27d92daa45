"""
How each setting of the service gets its value on a cluster: one class for each setting.

The operator refuses names in `spec.settings` by these tables, and the reference of the settings
shows them. `tests/seams/` fails when a setting of the service has no class, or two.
"""

from collections.abc import Mapping
from typing import Final

from healthingest_contract import environment as env

WRITTEN_BY_OPERATOR: Final[Mapping[str, str]] = {
    env.SECRETS_DIR: "fixed by the operator",
    env.SERVER_PORT: "fixed by the operator",
    env.SERVER_METRICS_PORT: "fixed by the operator",
    env.SERVER_TRUSTED_PROXIES: "spec.trustedProxies",
    env.HTTP_OPENAPI: "spec.documentation.openapi",
    env.HTTP_DOCS: "spec.documentation.page",
    env.SPOOL_FOLDER: "fixed by the operator",
    env.STORE_ENDPOINT: "spec.objectStore.endpoint",
    env.STORE_REGION: "spec.objectStore.region",
    env.STORE_BUCKET: "spec.objectStore.bucket",
    env.STORE_ENCRYPTION: "spec.objectStore.encryption.mode",
    env.STORE_KMS_KEY_ID: "spec.objectStore.encryption.keyId",
    env.BROKER_EXCHANGE: "spec.broker.exchange",
    env.BROKER_ENDPOINT: "spec.broker.adminSecretRef",
    env.IDENTITY_REGISTRATION: "spec.accounts.registration",
    env.IDENTITY_ISSUER: "spec.ingress.host",
    env.LIMITS_MAX_FILE_SIZE_BYTES: "spec.limits.maxFileSize",
    env.LIMITS_UPLOADS: "spec.limits.uploads",
    env.LIMITS_REQUESTS: "spec.limits.requests",
    env.SCHEMAS_MODE: "spec.schemas.mode",
    env.SCHEMAS_FOLDER: "spec.schemas.configMapRef",
}
"""The ConfigMap of the pods: each variable, and the field of the resource that decides it."""

SECRETS: Final[Mapping[str, str]] = {
    env.DATABASE_URL: "spec.database.secretRef",
    env.STORE_ACCESS_KEY_ID: "spec.objectStore.credentialsSecretRef",
    env.STORE_SECRET_ACCESS_KEY: "spec.objectStore.credentialsSecretRef",
    env.BROKER_URL: "spec.broker.adminSecretRef",
    env.CACHE_URL: "spec.cache.secretRef",
    env.IDENTITY_SIGNING_KEYS: "made by the operator",
}
"""Files of a Secret, and the field that names the Secret they come from."""

LOCAL_ONLY: Final[Mapping[str, str]] = {
    f"{env.PREFIX}DATA_FOLDER": "only embedded parts use it, and a pod has none",
    f"{env.PREFIX}SERVER__HOST": "a pod listens on every address",
    f"{env.PREFIX}SERVER__SHUTDOWN_DELAY_SECONDS": "the preStop hook of the pod waits instead",
    f"{env.PREFIX}SERVER__GRACEFUL_SHUTDOWN_SECONDS": "it has to fit into the pod's grace period",
    f"{env.PREFIX}SPOOL__MAX_BYTES": "the operator sizes the pod's volume for the default",
    f"{env.PREFIX}SPOOL__FILES": "the operator sizes the pod's volume for the default",
}
"""Settings that a cluster cannot have, and the reason."""

SETTABLE: Final = frozenset(
    env.PREFIX + name
    for name in (
        "BROKER__TIMEOUT_SECONDS",
        "CACHE__PAUSE_SECONDS",
        "CACHE__TIMEOUT_SECONDS",
        "DATABASE__MIGRATE_TIMEOUT_SECONDS",
        "DATABASE__POOL_SIZE",
        "DATABASE__TIMEOUT_SECONDS",
        "GATE__MAX_BLOCKS",
        "GATE__MAX_BLOCK_BYTES",
        "GATE__MAX_DATUM_DEPTH",
        "GATE__MAX_DECIMAL_PRECISION",
        "GATE__MAX_EMPTY_RECORDS",
        "GATE__MAX_EXPANSION",
        "GATE__MAX_HEADER_BYTES",
        "GATE__MAX_INFLATED_BLOCK_BYTES",
        "GATE__MAX_INFLATED_BYTES",
        "GATE__MAX_INFLATED_PER_BYTE",
        "GATE__MAX_METADATA_ENTRIES",
        "GATE__MAX_NAME_CHARACTERS",
        "GATE__MAX_RECORDS",
        "GATE__MAX_SCHEMA_BYTES",
        "GATE__MAX_SCHEMA_DEPTH",
        "GATE__MAX_SCHEMA_NODES",
        "GATE__MAX_STEPS",
        "GATE__MAX_STEPS_PER_BYTE",
        "GATE__MAX_WINDOW_BYTES",
        "GATE__MAX_XZ_MEMORY_BYTES",
        "GATE__MEMORY_LIMIT_BYTES",
        "GATE__STALL_SECONDS",
        "GATE__WORKERS",
        "HTTP__HEAD_SECONDS",
        "HTTP__KEEP_ALIVE_SECONDS",
        "HTTP__LINGER_SECONDS",
        "HTTP__MAX_CONNECTIONS",
        "HTTP__MAX_CONNECTIONS_PER_ADDRESS",
        "HTTP__MAX_HEADER_FIELDS",
        "HTTP__MAX_HEAD_BYTES",
        "HTTP__MAX_TRAILER_BYTES",
        "HTTP__MAX_URL_BYTES",
        "IDENTITY__ACCESS_TOKEN_SECONDS",
        "IDENTITY__AUDIENCE",
        "IDENTITY__PASSWORD_QUEUE",
        "IDENTITY__PASSWORD_THREADS",
        "IDENTITY__REFRESH_TOKEN_DAYS",
        "JANITOR__CONSISTENCY_INTERVAL_SECONDS",
        "JANITOR__INTERVAL_SECONDS",
        "JANITOR__VERIFY_BYTES_PER_SECOND",
        "JANITOR__VERIFY_SHARES",
        "LIMITS__LOGINS",
        "LIMITS__LOGIN_DELAY_SECONDS_MAX",
        "LIMITS__LOGIN_FAILURES_PER_ACCOUNT",
        "LIMITS__LOGIN_FAILURES_PER_ADDRESS",
        "LIMITS__LOGIN_FAILURES_PER_DEVICE",
        "LIMITS__LOGIN_FAILURE_MEMORY_SECONDS",
        "LIMITS__OUTBOX_AGE_SECONDS",
        "LIMITS__OUTBOX_MESSAGES",
        "LIMITS__REFRESHES",
        "LIMITS__REGISTRATIONS",
        "LIMITS__UPLOADS_AT_ONCE_PER_ACCOUNT",
        "LIMITS__UPLOADS_AT_ONCE_PER_ADDRESS",
        "LIMITS__UPLOAD_LEASE_SECONDS",
        "RELAY__BACKOFF_SECONDS_MAX",
        "RELAY__BACKOFF_SECONDS_MIN",
        "RELAY__BATCH_SIZE",
        "RELAY__CLAIM_SECONDS",
        "RELAY__CONCURRENCY",
        "RELAY__IDLE_SECONDS",
        "RELAY__STALLED_SECONDS",
        "SERVER__BODY_DEADLINE_SECONDS",
        "SERVER__BODY_MIN_BYTES_PER_SECOND",
        "SERVER__BODY_STALL_SECONDS",
        "SERVER__HEALTH_INTERVAL_SECONDS",
        "SERVER__LOG_LEVEL",
        "SERVER__MAX_CONCURRENCY",
        "STORE__PART_BYTES",
        "STORE__TIMEOUT_SECONDS",
    )
)
"""Names that `spec.settings` may have."""

REFERENCE: Final = "docs/reference/settings.md"


def refusal(name: str) -> str | None:
    """
    Return why `spec.settings` may not have *name*, with the remedy; None: it may.

    Only the name of a setting is repeated: any other text may be a secret in the wrong place.
    """
    if name in SETTABLE:
        return None
    if name in SECRETS:
        return f"{name} is a secret and stays in a Secret ({SECRETS[name]}): remove it here"
    if name in WRITTEN_BY_OPERATOR:
        return f"{name} is written by the operator ({WRITTEN_BY_OPERATOR[name]}): remove it here"
    if name in LOCAL_ONLY:
        return f"{name} cannot be set on a cluster, because {LOCAL_ONLY[name]}: remove it"
    return f"has a name that is not a setting of the service; {REFERENCE} lists all settings"
