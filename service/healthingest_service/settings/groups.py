"""
The groups, one per concern.

Each field has a docstring with its meaning, and with the meaning of unset; its name ends with the
unit. `make settings` writes the reference from them.
"""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    field_validator,
)
from pydantic_settings import NoDecode

from avrogate import Policy
from healthingest_contract.topology import DEFAULT_EXCHANGE
from healthingest_service.identity.model import Registration
from healthingest_service.identity.throttling import Rate

MIB: Final = 1024 * 1024
Port = Annotated[int, Field(ge=0, le=65535)]

BlockBytes = Annotated[int, Field(ge=1, le=2048 * MIB)]
_POLICY: Final = Policy()


def _is_rate(text: str) -> str:
    Rate.parse(text)
    return text


RateText = Annotated[str, AfterValidator(_is_rate), Field(json_schema_extra={"format": "rate"})]
"""A number per second, minute, hour or day, such as 10/minute."""


class Group(BaseModel):
    """What all groups are: frozen, and silent about values."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="ignore")


class ServerSettings(Group):
    """Listening and patience."""

    host: str | None = None
    """
    Address to bind. Unset: the loopback address for `serve`, every address for the other commands.
    """
    port: Port = 8000
    """Port of the public API."""
    metrics_port: Port = 9000
    """Port of metrics, probes and states of dependencies. Keep it unreachable from outside."""
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Networks, separated by commas, whose `X-Forwarded-For` is believed."""
    shutdown_delay_seconds: NonNegativeFloat = 0.0
    """Time after SIGTERM in which the process answers "not ready" and still serves."""
    graceful_shutdown_seconds: PositiveInt = 40
    """Time after SIGTERM in which running requests may end."""
    max_concurrency: PositiveInt = 500
    """Requests that one process serves at once; the next one is answered with `overloaded`."""
    body_stall_seconds: PositiveFloat = 30.0
    """A body of which nothing arrives for this time is refused."""
    body_min_bytes_per_second: NonNegativeInt = 1024
    """A body that is slower than this over any `body_stall_seconds` is refused; 0: any rate."""
    body_deadline_seconds: PositiveFloat = 900.0
    """
    Longest time for a whole body, without the time that the service itself takes. The default
    allows 50 MiB at 0.5 Mbit/s.
    """
    health_interval_seconds: PositiveFloat = 3.0
    """Time between two checks of the dependencies for `/health/ready`."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is logged."""

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            [part.strip() for part in value.split(",") if part.strip()]
            if isinstance(value, str)
            else value
        )


class HttpSettings(Group):
    """Limits of a connection and a request's head, on the public port and the metrics port."""

    max_connections: PositiveInt = 1000
    """
    Connections that may be open at once. The process never opens more than half of its limit of
    file descriptors (`ulimit -n`).
    """
    max_connections_per_address: PositiveInt = 100
    """
    Open connections of one address (IPv6: of one /64), which a clinic may share. Those of
    `trusted_proxies` count in total only.
    """
    max_head_bytes: Annotated[int, Field(ge=1024, le=MIB)] = 32 * 1024
    """Request line and header fields together."""
    max_header_fields: Annotated[int, Field(ge=10, le=10_000)] = 100
    """Header fields of a request."""
    max_url_bytes: Annotated[int, Field(ge=256, le=MIB)] = 8 * 1024
    """Length of the URL."""
    max_trailer_bytes: Annotated[int, Field(ge=0, le=MIB)] = 8 * 1024
    """Fields after a chunked body. They are not used."""
    head_seconds: PositiveFloat = 15.0
    """
    Longest time from the opening of a connection, or the first byte of the next request, to the end
    of the head.
    """
    keep_alive_seconds: PositiveInt = 75
    """
    Time that an idle connection stays open. It must be longer than that of the ingress controller
    (60 s), which else sends into closed connections.
    """
    linger_seconds: PositiveFloat = 2.0
    """Time in which the server reads on after an early answer, to prevent a reset."""
    docs: bool | None = None
    """Whether `/docs` is served, which needs `openapi`. Unset: not in an installation."""
    openapi: bool | None = None
    """Whether `/openapi.json` is served. Unset: as `docs`."""


class SpoolSettings(Group):
    """Bodies on their way, on local disk."""

    folder: Path | None = None
    """Folder of bodies that are under way. Unset: within the data folder."""
    max_bytes: PositiveInt | None = None
    """Size of the spool. Unset: room for `files` of the largest size."""
    files: PositiveInt = 8
    """Files of the largest size that the spool has room for, where `max_bytes` is unset."""


class DatabaseSettings(Group):
    """Where uploads, messages and accounts are remembered."""

    url: SecretStr | None = None
    """`postgresql://…` of uploads, messages and accounts. Unset: SQLite in the data folder."""
    pool_size: PositiveInt = 10
    """Connections of one process."""
    timeout_seconds: PositiveFloat = 5.0
    """Deadline of a transaction."""
    migrate_timeout_seconds: PositiveFloat = 300.0
    """Deadline of a migration."""


class StoreSettings(Group):
    """Where files are kept."""

    bucket: str | None = None
    """Bucket of the uploads. Unset: a folder in the data folder."""
    endpoint: str | None = None
    """Address of the S3 server. Unset: AWS."""
    region: str = "us-east-1"
    """Region that requests are signed for."""
    access_key_id: SecretStr | None = None
    """Access key. Unset, with the secret key: the credentials of the machine or pod."""
    secret_access_key: SecretStr | None = None
    """Secret key of `access_key_id`."""
    encryption: Literal["None", "SSE-S3", "SSE-KMS"] = "None"
    """Encryption at rest by the store."""
    kms_key_id: str | None = None
    """Key for `SSE-KMS`."""
    timeout_seconds: PositiveFloat = 30.0
    """Deadline of one call with its body, or of one part of an object that is sent in parts."""
    part_bytes: Annotated[int, Field(ge=5 * MIB, le=5 * 1024 * MIB)] = 64 * MIB
    """
    A larger object is sent in parts of this size; S3 takes no part below 5 MiB. Parts cost more to
    hash, so files of the default size are sent whole.
    """


class BrokerSettings(Group):
    """Where uploads are announced."""

    url: SecretStr | None = None
    """`amqp://…` or `amqps://…`. Unset: a queue file in the data folder."""
    endpoint: str | None = None
    """
    `host:port` without a secret: the API has no credential of the broker and checks only this.
    """
    exchange: str = DEFAULT_EXCHANGE
    """Topic exchange of the announcements."""
    timeout_seconds: PositiveFloat = 10.0
    """Deadline of a call."""


class CacheSettings(Group):
    """Counters that all processes share."""

    url: SecretStr | None = None
    """`redis://…` or `rediss://…` of the shared counters. Unset: each process counts for itself."""
    timeout_seconds: Annotated[float, Field(gt=0, le=0.1)] = 0.1
    """Longest time that a request waits for its counters."""
    pause_seconds: PositiveFloat = 5.0
    """Time without a call after a failure."""


class IdentitySettings(Group):
    """Who may come in, and for how long."""

    registration: Registration = Registration.OPEN
    """Whether clients may register themselves."""
    signing_keys: SecretStr | None = None
    """
    Ed25519 private keys in PEM, one after the other: the first signs, all verify. Unset: made in
    the data folder.
    """
    issuer: str = "healthingest"
    """Claim `iss` of access tokens."""
    audience: str = "healthingest"
    """Claim `aud` of access tokens."""
    access_token_seconds: Annotated[int, Field(ge=30, le=3600)] = 600
    """Lifetime of an access token."""
    refresh_token_days: PositiveInt = 30
    """Lifetime of a refresh token."""
    password_threads: PositiveInt = 1
    """Threads that hash passwords."""
    password_queue: PositiveInt = 16
    """Passwords that wait or are hashed at once; the next one is answered with 503."""


class LimitsSettings(Group):
    """How much of what."""

    max_file_size_bytes: PositiveInt = 50 * MIB
    """Largest file."""
    uploads: RateText = "10/minute"
    """Uploads of an account."""
    uploads_at_once_per_account: PositiveInt = 4
    """
    Uploads of an account that run at once in one process, so that no account takes the whole spool.
    """
    uploads_at_once_per_address: PositiveInt = 32
    """
    Uploads of an address that run at once in one process; the devices of a clinic may share it.
    """
    requests: RateText = "100/hour"
    """Requests of an account, without its uploads."""
    logins: RateText = "600/hour"
    """Logins of an account from one address, successful or not."""
    refreshes: RateText = "120/hour"
    """Exchanges of refresh tokens of a session."""
    login_failures_per_device: PositiveInt = 5
    """
    Wrong passwords for one account from one address before each further attempt waits, a second and
    then longer.
    """
    login_failures_per_account: PositiveInt = 100
    """
    Wrong passwords for an account from all addresses before its new devices wait for each other.
    """
    login_failures_per_address: PositiveInt = 100
    """
    Wrong passwords from an address for all accounts before its new devices wait for each other.
    """
    login_delay_seconds_max: PositiveFloat = 5.0
    """Longest wait of an attempt."""
    login_failure_memory_seconds: PositiveInt = 3600
    """Time after the last failure when failures are forgotten."""
    registrations: RateText = "20/hour"
    """Registrations of an address."""
    outbox_messages: PositiveInt = 100_000
    """Waiting announcements beyond which no upload is accepted."""
    outbox_age_seconds: PositiveFloat = 86_400.0
    """Age of the oldest waiting announcement beyond which no upload is accepted."""
    upload_lease_seconds: PositiveFloat = 120.0
    """Time without a renewal after which the process of an unfinished upload counts as dead."""


class SchemasSettings(Group):
    """Which files are taken."""

    mode: Literal["Any", "Allowed"] = "Any"
    """`Any`: every schema is accepted; `Allowed`: only those of `folder`."""
    folder: Path | None = None
    """
    Folder with the accepted schemas (`*.avsc`) and its subfolders. The files may refer to each
    other.
    """


class GateSettings(Group):
    """The processes that read files."""

    workers: PositiveInt = 2
    """
    Processes that validate files. Each serves many files at once; more than there are processors
    gain nothing.
    """
    memory_limit_bytes: PositiveInt = 256 * MIB
    """Address space of each worker; the memory limit of a pod needs room for all of them."""
    stall_seconds: PositiveFloat = 10.0
    """A worker that leaves a chunk unanswered for this time is ended, and the file refused."""
    max_header_bytes: Annotated[int, Field(ge=1, le=16 * MIB)] = _POLICY.max_header_bytes
    """Header of a file; this and the following settings are the limits of `avrogate.Policy`."""
    max_metadata_entries: PositiveInt = _POLICY.max_metadata_entries
    """Metadata entries of a file."""
    max_schema_bytes: PositiveInt = _POLICY.max_schema_bytes
    """Schema of a file."""
    max_schema_depth: Annotated[int, Field(ge=1, le=100)] = _POLICY.max_schema_depth
    """Depth of nested types in a schema."""
    max_schema_nodes: PositiveInt = _POLICY.max_schema_nodes
    """Types in a schema."""
    max_name_characters: Annotated[int, Field(ge=1, le=256)] = _POLICY.max_name_characters
    """Length of a name in a schema."""
    max_decimal_precision: Annotated[int, Field(ge=1, le=10_000)] = _POLICY.max_decimal_precision
    """Precision of a decimal; the time of readers grows with its square."""
    max_expansion: PositiveInt = _POLICY.max_expansion
    """Schema nodes that a reader visits for one datum without reading a byte."""
    max_blocks: PositiveInt = _POLICY.max_blocks
    """Blocks of a file."""
    max_block_bytes: BlockBytes = _POLICY.max_block_bytes
    """
    A block as it is written. A block is never kept whole, so this and the next cost no memory.
    """
    max_inflated_block_bytes: BlockBytes = _POLICY.max_inflated_block_bytes
    """A decompressed block, which a consumer may have to keep whole."""
    max_inflated_bytes: PositiveInt = _POLICY.max_inflated_bytes
    """All decompressed blocks of a file."""
    max_inflated_per_byte: NonNegativeInt = _POLICY.max_inflated_per_byte
    """Decompressed bytes that are added to `max_inflated_bytes` for each byte of the file."""
    max_window_bytes: Annotated[int, Field(ge=MIB, le=128 * MIB)] = _POLICY.max_window_bytes
    """Window of zstandard; it is memory of a worker, within `memory_limit_bytes`."""
    max_xz_memory_bytes: Annotated[int, Field(ge=MIB, le=1024 * MIB)] = _POLICY.max_xz_memory_bytes
    """Memory of the xz decoder in a worker, within `memory_limit_bytes`."""
    max_records: PositiveInt = _POLICY.max_records
    """Records of a file."""
    max_empty_records: NonNegativeInt = _POLICY.max_empty_records
    """Records whose schema has no byte, such as a record of nulls."""
    max_datum_depth: Annotated[int, Field(ge=1, le=1000)] = _POLICY.max_datum_depth
    """Records nested in one datum."""
    max_steps: PositiveInt = _POLICY.max_steps
    """
    Steps of the validator for a file: 300 million take about a second, which must be less than
    `stall_seconds`.
    """
    max_steps_per_byte: NonNegativeInt = _POLICY.max_steps_per_byte
    """Steps that are added to `max_steps` for each byte of the file."""

    def limits(self) -> dict[str, int]:
        """Those of `avrogate.Policy`, by its names."""
        return {
            name: getattr(self, name) for name in type(self).model_fields if name.startswith("max_")
        }


class RelaySettings(Group):
    """From the outbox to the broker."""

    batch_size: PositiveInt = 400
    """Messages that are taken from the outbox at once."""
    concurrency: PositiveInt = 200
    """
    Messages of one batch that wait for the broker's confirm at once; many share one flush to its
    disk.
    """
    claim_seconds: PositiveFloat = 60.0
    """Time after which a relay that took messages counts as dead, and others take them."""
    idle_seconds: PositiveFloat = 0.5
    """Longest time between two reads of an empty outbox."""
    stalled_seconds: PositiveFloat = 30.0
    """
    Time without the broker, or with messages and no confirm, after which the relay is not ready.
    """
    backoff_seconds_min: PositiveFloat = 1.0
    """First wait after a failure of the broker."""
    backoff_seconds_max: PositiveFloat = 60.0
    """Longest wait after failures of the broker."""


class JanitorSettings(Group):
    """Settling what dead processes left, and comparing the object store with the database."""

    interval_seconds: PositiveFloat = 30.0
    """Time between two searches for uploads of dead processes."""
    consistency_interval_seconds: PositiveFloat = 86_400.0
    """Time between two checks that compare all objects with the database."""
    verify_shares: PositiveInt = 30
    """
    Each check reads and hashes one object of this number, so every object once in as many checks.
    """
    verify_bytes_per_second: PositiveInt = 16 * MIB
    """Fastest rate of these reads."""
