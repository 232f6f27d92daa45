"""Causes of failures in broker, database, object store and cache, and the table of all."""

from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_contract.stop_causes import StopCause
from healthingest_operator.status.causes import Cause
from healthingest_operator.status.connection_causes import ConnectionFailure, connections
from healthingest_operator.status.erasure_key_causes import ERASURE_KEY_CAUSES
from healthingest_operator.status.identity_causes import IDENTITY_CAUSES, OF_IDENTITY_STOPS
from healthingest_operator.status.lock_causes import LOCK_CAUSES
from healthingest_operator.status.pod_causes import POD_CAUSES, SETTINGS_REFUSED
from healthingest_operator.status.reader_causes import READER_CAUSES

_BUCKET: Final = (ConditionType.BUCKET_READY,)
_BROKER: Final = (ConditionType.BROKER_READY,)
_TOPOLOGY: Final = (ConditionType.TOPOLOGY_READY,)
_DATABASE: Final = (ConditionType.DATABASE_READY,)
_CACHE: Final = (ConditionType.CACHE_READY,)

STORE: Final = connections("store", "object store", ConditionType.BUCKET_READY, "objectStore")
MANAGEMENT: Final = connections(
    "management", "RabbitMQ's management API", ConditionType.BROKER_READY, "broker"
)
AMQP: Final = connections("amqp", "RabbitMQ's AMQP port", ConditionType.BROKER_READY, "broker")
DATABASE: Final = connections("database", "database", ConditionType.DATABASE_READY, "database")
CACHE: Final = connections("cache", "cache", ConditionType.CACHE_READY, "cache")

NOT_S3: Final = Cause(
    "store-not-s3",
    _BUCKET,
    Reason.WRONG_PROTOCOL,
    "an endpoint that is not S3",
    "{where} answers, but not as an S3 object store",
    "correct spec.objectStore.endpoint",
)
STORE_LOGIN: Final = Cause(
    "store-login",
    _BUCKET,
    Reason.AUTHENTICATION_FAILED,
    "a wrong access key",
    "{where} refuses the access key",
    "correct the keys accessKeyId and secretAccessKey",
)
STORE_FORBIDS: Final = Cause(
    "store-forbids",
    _BUCKET,
    Reason.PERMISSION_DENIED,
    "an access key without rights on the bucket",
    "{where} denies these credentials rights that are needed on bucket {bucket}",
    "grant these rights, or name other credentials in spec.objectStore.adminSecretRef",
)
BUCKET_TAKEN: Final = Cause(
    "bucket-taken",
    _BUCKET,
    Reason.BUCKET_TAKEN,
    "a bucket of another account",
    "{where} has a bucket {bucket}, which belongs to another account",
    "use another bucket name",
)
NOT_MANAGEMENT: Final = Cause(
    "management-not-rabbitmq",
    _BROKER,
    Reason.WRONG_PROTOCOL,
    "managementUrl of another service",
    "{where} answers, but not as RabbitMQ's management API",
    "correct the key managementUrl",
)
MANAGEMENT_LOGIN: Final = Cause(
    "management-login",
    _BROKER,
    Reason.AUTHENTICATION_FAILED,
    "a wrong login of the broker's administrator",
    "{where} refuses user {user}",
    "correct the keys username and password",
)
NO_ADMINISTRATOR: Final = Cause(
    "management-no-administrator",
    _BROKER,
    Reason.PERMISSION_DENIED,
    "a broker user without the tag administrator",
    "user {user} of the broker is not an administrator",
    "give the user the tag administrator",
)
NOT_AMQP: Final = Cause(
    "amqp-not-rabbitmq",
    _BROKER,
    Reason.WRONG_PROTOCOL,
    "amqpUrl of another service",
    "{where} answers, but does not speak AMQP 0-9-1",
    "correct the key amqpUrl",
)
BROKER_ALARM: Final = Cause(
    "broker-alarm",
    _BROKER,
    Reason.BROKER_BLOCKED,
    "an alarm of the broker (memory, disk)",
    "{where} has an alarm ({alarms}) and accepts no messages; uploads are stored and wait to be"
    " announced",
    "give the broker more memory or disk space; the alarm then ends",
)
RELAY_LOGIN: Final = Cause(
    "relay-login",
    _BROKER,
    Reason.AUTHENTICATION_FAILED,
    "the broker refuses the relay's own user",
    "{where} refuses user {user} on its AMQP port although the user exists",
    "check auth_backends and auth_mechanisms of the broker",
)
CONNECTION_LIMIT: Final = Cause(
    "broker-connection-limit",
    _BROKER,
    Reason.LIMIT_REACHED,
    "max-connections of a virtual host or user",
    "{where} accepts no connection of user {user} to virtual host {host}: a connection limit is"
    " reached ({limit})",
    "raise max-connections of the virtual host or user, or close other connections",
)
VIRTUAL_HOST_REFUSED: Final = Cause(
    "virtual-host-refused",
    _BROKER,
    Reason.REQUEST_REFUSED,
    "a virtual host that is down or accepts no connections",
    "{where} accepts no connection of user {user} to virtual host {host}",
    "read the broker's log about this virtual host",
)
BROKER_LIMIT: Final = Cause(
    "broker-limit",
    _TOPOLOGY,
    Reason.LIMIT_REACHED,
    "max-queues of a virtual host",
    "{where} cannot create {what}: {limit}",
    "raise this limit of the virtual host",
)
USER_LOGIN: Final = Cause(
    "broker-user-login",
    _BROKER,
    Reason.AUTHENTICATION_FAILED,
    "a wrong login in the Secret of spec.broker.userSecretRef",
    "{where} refuses user {user} of spec.broker.userSecretRef",
    "correct user and password in the Secret",
)
PREPARED_HOST_MISSING: Final = Cause(
    "prepared-virtual-host-missing",
    _TOPOLOGY,
    Reason.TOPOLOGY_INCOMPLETE,
    "a virtual host that does not exist, with userSecretRef",
    "{where} has no virtual host {host}, and user {user} cannot create it",
    "let the broker's owner create it (rabbitmqctl add_vhost)",
)
PREPARED_HOST_DENIED: Final = Cause(
    "prepared-virtual-host-denied",
    _TOPOLOGY,
    Reason.PERMISSION_DENIED,
    "a user without permissions in the virtual host, with userSecretRef",
    "{where} denies user {user} access to virtual host {host}",
    "let the broker's owner grant permissions there (rabbitmqctl set_permissions)",
)
PREPARED_TOPOLOGY_INCOMPLETE: Final = Cause(
    "prepared-topology-incomplete",
    _TOPOLOGY,
    Reason.TOPOLOGY_INCOMPLETE,
    "exchange or queues that do not exist, with userSecretRef",
    "virtual host {host} lacks {missing}, which user {user} may not create",
    "let the broker's owner create them, or grant the user permission to configure them",
)
PREPARED_PUBLISH_DENIED: Final = Cause(
    "prepared-publish-denied",
    _TOPOLOGY,
    Reason.PERMISSION_DENIED,
    "a user that may not publish, with userSecretRef",
    "user {user} may not publish to exchange {exchange} of virtual host {host}",
    "let the broker's owner grant it permission to write to this exchange",
)
PREPARED_CONFLICT: Final = Cause(
    "prepared-topology-conflict",
    _TOPOLOGY,
    Reason.TOPOLOGY_CONFLICT,
    "an exchange or queue that was created otherwise meanwhile, with userSecretRef",
    "virtual host {host} has another {what} than the one to create",
    "wait for the next reconciliation, or delete it",
)
DATABASE_LOGIN: Final = Cause(
    "database-login",
    _DATABASE,
    Reason.AUTHENTICATION_FAILED,
    "a wrong login, or a role that has expired",
    "{where} refuses user {user}: the password is wrong, the role does not exist, or its VALID"
    " UNTIL has passed",
    "check user and password in the Secret, and the role (ALTER ROLE ... VALID UNTIL 'infinity')",
)
DATABASE_ROLE_LOCKED: Final = Cause(
    "database-role-locked",
    _DATABASE,
    Reason.AUTHENTICATION_FAILED,
    "a role with NOLOGIN, or no rule in pg_hba.conf",
    "{where} does not admit user {user}: the role has NOLOGIN, or pg_hba.conf has no rule for it,"
    " with or without TLS",
    "ALTER ROLE ... LOGIN, or add a rule to pg_hba.conf",
)
DATABASE_MISSING: Final = Cause(
    "database-missing",
    _DATABASE,
    Reason.REQUEST_REFUSED,
    "a database that does not exist",
    "{where} has no database {database}",
    "create the database, or set the key adminUrl instead of url",
)
DATABASE_ADMIN_RIGHTS: Final = Cause(
    "database-admin-rights",
    _DATABASE,
    Reason.PERMISSION_DENIED,
    "a user without rights in the database",
    "{where}: user {user} lacks a right that is needed (CONNECT; with adminUrl also CREATEROLE"
    " and CREATEDB)",
    "grant the right, or use the key url with a user that owns an existing database",
)
DATABASE_NO_CREATE: Final = Cause(
    "database-no-create",
    _DATABASE,
    Reason.PERMISSION_DENIED,
    "no right to create tables",
    "{where}: user {user} may not create tables in database {database}",
    "GRANT CREATE ON SCHEMA public, or make the user owner of the database",
)
DATABASE_LIMIT: Final = Cause(
    "database-connection-limit",
    _DATABASE,
    Reason.LIMIT_REACHED,
    "too many connections to the database",
    "{where} accepts no more connections: max_connections, or CONNECTION LIMIT of role or"
    " database, is reached",
    "raise the limit, or end other connections",
)
DATABASE_STARTING: Final = Cause(
    "database-starting",
    _DATABASE,
    Reason.UNREACHABLE,
    "a database that is starting or stopping",
    "{where} is starting, stopping or recovering, and accepts no connections",
    "wait; if it does not end, read the log of the database server",
)
DATABASE_READ_ONLY: Final = Cause(
    "database-read-only",
    _DATABASE,
    Reason.DATABASE_READ_ONLY,
    "a database that is read-only",
    "{where} is read-only ({why}): no upload can be stored",
    "use the address of the primary, or turn default_transaction_read_only off",
)
NOT_POSTGRESQL: Final = Cause(
    "database-not-postgresql",
    _DATABASE,
    Reason.WRONG_PROTOCOL,
    "a database port of another service",
    "{where} answers, but does not speak PostgreSQL",
    "correct host and port in the Secret",
)
SCHEMA_UNKNOWN: Final = Cause(
    "database-schema-unknown",
    _DATABASE,
    Reason.SCHEMA_UNKNOWN,
    "tables of a later version, or of another program",
    "{where}: this version of the service does not know the schema's revision (table"
    " alembic_version)",
    "use another database, or the version of the service that created this one",
)
DATABASE_FULL: Final = Cause(
    "database-full",
    _DATABASE,
    Reason.LIMIT_REACHED,
    "a database whose disk is full",
    "{where} has no disk space left",
    "enlarge its disk",
)
DATABASE_LOCKED: Final = Cause(
    "database-locked",
    _DATABASE,
    Reason.MIGRATION_FAILED,
    "a lock that another session holds",
    "{where}: another session held a lock for too long, or the migration exceeded its time limit",
    "end that session (see pg_stat_activity); the migration is retried",
)
SCHEMA_DIFFERS: Final = Cause(
    "database-schema-differs",
    _DATABASE,
    Reason.MIGRATION_FAILED,
    "tables that were changed by hand",
    "{where}: the tables differ from those of the schema's revision",
    "restore the tables, or use another database",
)
CACHE_LOGIN: Final = Cause(
    "cache-login",
    _CACHE,
    Reason.AUTHENTICATION_FAILED,
    "a wrong password of the cache",
    "{where} refuses the login",
    "correct user and password in the key url",
)
NOT_REDIS: Final = Cause(
    "cache-not-redis",
    _CACHE,
    Reason.WRONG_PROTOCOL,
    "a cache port of another service",
    "{where} answers, but not as Redis",
    "correct the key url",
)
CACHE_REFUSES: Final = Cause(
    "cache-refuses",
    _CACHE,
    Reason.REQUEST_REFUSED,
    "a cache that refuses requests",
    "{where} refuses PING: it is loading data, is full, lacks the database, or the user lacks the"
    " right",
    "read its log",
)

OF_STOPS: Final = {
    **OF_IDENTITY_STOPS,
    StopCause.DATABASE_UNREACHABLE: DATABASE[ConnectionFailure.SILENT],
    StopCause.DATABASE_CERTIFICATE_UNTRUSTED: DATABASE[ConnectionFailure.UNTRUSTED],
    StopCause.DATABASE_CERTIFICATE_EXPIRED: DATABASE[ConnectionFailure.EXPIRED],
    StopCause.DATABASE_CERTIFICATE_NAME_MISMATCH: DATABASE[ConnectionFailure.NAME_MISMATCH],
    StopCause.DATABASE_LOGIN_REFUSED: DATABASE_LOGIN,
    StopCause.DATABASE_MISSING: DATABASE_MISSING,
    StopCause.DATABASE_PERMISSION_DENIED: DATABASE_NO_CREATE,
    StopCause.DATABASE_READ_ONLY: DATABASE_READ_ONLY,
    StopCause.DATABASE_CONNECTION_LIMIT: DATABASE_LIMIT,
    StopCause.DATABASE_FULL: DATABASE_FULL,
    StopCause.DATABASE_LOCKED: DATABASE_LOCKED,
    StopCause.SCHEMA_UNKNOWN: SCHEMA_UNKNOWN,
    StopCause.SCHEMA_DIFFERS: SCHEMA_DIFFERS,
    StopCause.SETTINGS_REFUSED: SETTINGS_REFUSED,
}
"""The cause for each stop code that a process of the service writes when it ends."""

_ALL: Final = tuple(
    cause
    for cause in list(globals().values())
    if isinstance(cause, Cause) and cause not in POD_CAUSES
)
CAUSES: Final = (
    *(row for system in (STORE, MANAGEMENT, AMQP, DATABASE, CACHE) for row in system.rows.values()),
    *_ALL,
    *IDENTITY_CAUSES,
    *ERASURE_KEY_CAUSES,
    *LOCK_CAUSES,
    *READER_CAUSES,
    *POD_CAUSES,
)
"""All causes, in the order of the runbook's table."""
