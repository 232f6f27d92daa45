"""Causes in broker, database, object store and cache."""

from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_contract.stop_causes import StopCause
from healthingest_operator.status.causes import Cause
from healthingest_operator.status.connection_causes import ConnectionFailure, connections
from healthingest_operator.status.identity_causes import IDENTITY_CAUSES
from healthingest_operator.status.pod_causes import POD_CAUSES, SETTINGS_REFUSED

_BUCKET: Final = (ConditionType.BUCKET_READY,)
_BROKER: Final = (ConditionType.BROKER_READY,)
_TOPOLOGY: Final = (ConditionType.TOPOLOGY_READY,)
_DATABASE: Final = (ConditionType.DATABASE_READY,)
_CACHE: Final = (ConditionType.CACHE_READY,)

STORE: Final = connections("store", "object store", ConditionType.BUCKET_READY)
MANAGEMENT: Final = connections(
    "management", "RabbitMQ's management API", ConditionType.BROKER_READY
)
AMQP: Final = connections("amqp", "RabbitMQ's AMQP port", ConditionType.BROKER_READY)
DATABASE: Final = connections("database", "database", ConditionType.DATABASE_READY)
CACHE: Final = connections("cache", "cache", ConditionType.CACHE_READY)

NOT_S3: Final = Cause(
    "store-not-s3",
    _BUCKET,
    Reason.WRONG_PROTOCOL,
    "an endpoint that is no S3",
    "{where} answers, but not as an S3 object store",
    "correct spec.objectStore.endpoint",
)
STORE_LOGIN: Final = Cause(
    "store-login",
    _BUCKET,
    Reason.AUTHENTICATION_FAILED,
    "a wrong access key",
    "{where} refuses the access key",
    "correct keys accessKeyId and secretAccessKey",
)
STORE_FORBIDS: Final = Cause(
    "store-forbids",
    _BUCKET,
    Reason.PERMISSION_DENIED,
    "an access key without rights on the bucket",
    "{where} forbids these credentials what is needed on bucket {bucket}",
    "grant it, or name other credentials in spec.objectStore.adminSecretRef",
)
BUCKET_TAKEN: Final = Cause(
    "bucket-taken",
    _BUCKET,
    Reason.BUCKET_TAKEN,
    "a bucket of another account",
    "{where} has bucket {bucket} of another account",
    "use another name",
)
NOT_MANAGEMENT: Final = Cause(
    "management-not-rabbitmq",
    _BROKER,
    Reason.WRONG_PROTOCOL,
    "managementUrl leads to something else",
    "{where} answers, but not as RabbitMQ's management API",
    "correct key managementUrl",
)
MANAGEMENT_LOGIN: Final = Cause(
    "management-login",
    _BROKER,
    Reason.AUTHENTICATION_FAILED,
    "a wrong login of the broker's administrator",
    "{where} refuses user {user}",
    "correct keys username and password",
)
NO_ADMINISTRATOR: Final = Cause(
    "management-no-administrator",
    _BROKER,
    Reason.PERMISSION_DENIED,
    "a broker user without the tag administrator",
    "user {user} of the broker is no administrator",
    "give it the tag administrator",
)
NOT_AMQP: Final = Cause(
    "amqp-not-rabbitmq",
    _BROKER,
    Reason.WRONG_PROTOCOL,
    "amqpUrl leads to something else",
    "{where} answers, but does not speak AMQP 0-9-1",
    "correct key amqpUrl",
)
BROKER_ALARM: Final = Cause(
    "broker-alarm",
    _BROKER,
    Reason.BROKER_BLOCKED,
    "an alarm of the broker (memory, disk)",
    "{where} has an alarm ({alarms}) and takes no message; uploads are stored and wait to be"
    " announced",
    "give the broker memory or disk; the alarm then ends by itself",
)
RELAY_LOGIN: Final = Cause(
    "relay-login",
    _BROKER,
    Reason.AUTHENTICATION_FAILED,
    "the broker refuses the relay's own user",
    "{where} refuses user {user} on its AMQP port though it was made there",
    "see the broker's auth_backends and auth_mechanisms",
)
CONNECTION_LIMIT: Final = Cause(
    "broker-connection-limit",
    _BROKER,
    Reason.LIMIT_REACHED,
    "max-connections of a virtual host or user",
    "{where} takes no connection of user {user} to virtual host {host}: a connection limit is"
    " reached ({limit})",
    "raise max-connections of the virtual host or user, or close other connections",
)
VIRTUAL_HOST_REFUSED: Final = Cause(
    "virtual-host-refused",
    _BROKER,
    Reason.REQUEST_REFUSED,
    "a virtual host that is down or takes no connections",
    "{where} takes no connection of user {user} to virtual host {host}",
    "see the broker's log about this virtual host",
)
BROKER_LIMIT: Final = Cause(
    "broker-limit",
    _TOPOLOGY,
    Reason.LIMIT_REACHED,
    "max-queues of a virtual host",
    "{where} cannot make {what}: {limit}",
    "raise that limit of the virtual host",
)
DATABASE_LOGIN: Final = Cause(
    "database-login",
    _DATABASE,
    Reason.AUTHENTICATION_FAILED,
    "a wrong login, or a role that has expired",
    "{where} refuses user {user}: wrong password, no such role, or one whose VALID UNTIL has"
    " passed",
    "check user and password in the Secret, and the role (ALTER ROLE ... VALID UNTIL 'infinity')",
)
DATABASE_ROLE_LOCKED: Final = Cause(
    "database-role-locked",
    _DATABASE,
    Reason.AUTHENTICATION_FAILED,
    "a role with NOLOGIN, or no rule in pg_hba.conf",
    "{where} does not let user {user} in: it has NOLOGIN, or pg_hba.conf has no rule for it,"
    " with or without TLS",
    "ALTER ROLE ... LOGIN, or add a rule to pg_hba.conf",
)
DATABASE_MISSING: Final = Cause(
    "database-missing",
    _DATABASE,
    Reason.REQUEST_REFUSED,
    "a database that does not exist",
    "{where} has no database {database}",
    "create it, or give key adminUrl instead of url",
)
DATABASE_ADMIN_RIGHTS: Final = Cause(
    "database-admin-rights",
    _DATABASE,
    Reason.PERMISSION_DENIED,
    "a user without rights in the database",
    "{where}: user {user} may not do what is needed (CONNECT; with adminUrl also CREATEROLE"
    " and CREATEDB)",
    "grant it",
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
    "{where} takes no more connections: max_connections, or CONNECTION LIMIT of role or"
    " database, is reached",
    "raise the limit, or end other connections; it passes by itself when they end",
)
DATABASE_STARTING: Final = Cause(
    "database-starting",
    _DATABASE,
    Reason.UNREACHABLE,
    "a database that starts or stops",
    "{where} starts, stops or recovers, and takes no connection",
    "wait; see its log if it stays so",
)
DATABASE_READ_ONLY: Final = Cause(
    "database-read-only",
    _DATABASE,
    Reason.DATABASE_READ_ONLY,
    "a database that is read-only",
    "{where} is read-only ({why}): no upload can be stored",
    "use the address of the primary, or end default_transaction_read_only",
)
NOT_POSTGRESQL: Final = Cause(
    "database-not-postgresql",
    _DATABASE,
    Reason.WRONG_PROTOCOL,
    "a port of another service",
    "{where} answers, but does not speak PostgreSQL",
    "correct host and port in the Secret",
)
SCHEMA_UNKNOWN: Final = Cause(
    "database-schema-unknown",
    _DATABASE,
    Reason.SCHEMA_UNKNOWN,
    "tables of a later version, or of another program",
    "{where}: the schema's revision (table alembic_version) is none that this version of the"
    " service knows",
    "use another database, or the version of the service that made it",
)
DATABASE_FULL: Final = Cause(
    "database-full",
    _DATABASE,
    Reason.LIMIT_REACHED,
    "a database without room on its disk",
    "{where} has no room left",
    "give it a larger disk",
)
DATABASE_LOCKED: Final = Cause(
    "database-locked",
    _DATABASE,
    Reason.MIGRATION_FAILED,
    "a lock that another session holds",
    "{where}: another session holds a lock for too long, or the migration ran out of its time",
    "end that session (pg_stat_activity); the migration is tried again",
)
SCHEMA_DIFFERS: Final = Cause(
    "database-schema-differs",
    _DATABASE,
    Reason.MIGRATION_FAILED,
    "tables that were changed by hand",
    "{where} has other tables than its revision says",
    "restore them, or use another database",
)
CACHE_LOGIN: Final = Cause(
    "cache-login",
    _CACHE,
    Reason.AUTHENTICATION_FAILED,
    "a wrong password of the cache",
    "{where} refuses the login",
    "correct user and password in key url",
)
NOT_REDIS: Final = Cause(
    "cache-not-redis",
    _CACHE,
    Reason.WRONG_PROTOCOL,
    "a port that is no Redis",
    "{where} answers, but not as Redis",
    "correct key url",
)
CACHE_REFUSES: Final = Cause(
    "cache-refuses",
    _CACHE,
    Reason.REQUEST_REFUSED,
    "a cache that cannot work",
    "{where} refuses PING: it loads, is full, has no such database, or the user lacks the right",
    "see its log",
)

OF_STOPS: Final = {
    StopCause.DATABASE_UNREACHABLE: DATABASE[ConnectionFailure.SILENT],
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
"""What a process of the service leaves when it ends."""

_ALL: Final = tuple(
    cause
    for cause in list(globals().values())
    if isinstance(cause, Cause) and cause not in POD_CAUSES
)
CAUSES: Final = (
    *(row for system in (STORE, MANAGEMENT, AMQP, DATABASE, CACHE) for row in system.rows.values()),
    *_ALL,
    *IDENTITY_CAUSES,
    *POD_CAUSES,
)
"""The whole table."""
