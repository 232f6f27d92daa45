"""
The groups, one per concern.

Each field says its unit, why its default is what it is, and what unset means.
"""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
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


class Group(BaseModel):
    """What all groups are: frozen, and silent about values."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="ignore")


class ServerSettings(Group):
    """Listening and patience."""

    host: str | None = None
    """
    Address to bind.

    Unset: this machine alone for `serve`, every address for the other commands.
    """
    port: Port = 8000
    metrics_port: Port = 9000
    """Port for metrics, probes and details of dependencies; keep it unreachable from outside."""
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Networks, separated by commas, whose `X-Forwarded-For` is believed."""
    shutdown_delay_seconds: NonNegativeFloat = 0.0
    """After SIGTERM: how long to answer "not ready" and still serve, until traffic stops."""
    graceful_shutdown_seconds: PositiveInt = 40
    """How long requests under way may take to end after SIGTERM."""
    max_concurrency: PositiveInt = 500
    body_stall_seconds: PositiveFloat = 30.0
    """A body of which nothing comes for so long is given up."""
    body_min_bytes_per_second: NonNegativeInt = 1024
    """Slower than this over any `body_stall_seconds` is given up too; 0: any rate."""
    body_deadline_seconds: PositiveFloat = 900.0
    """
    A whole body takes no longer, time that the service itself takes apart.

    50 MiB at 0.5 Mbit/s.
    """
    health_interval_seconds: PositiveFloat = 3.0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

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
    Open at once.

    Never more than half of the process' limit of file descriptors (`ulimit -n`).
    """
    max_connections_per_address: PositiveInt = 100
    """
    Of one address (IPv6: one /64), which a clinic may share.

    Those of `trusted_proxies` count in total alone.
    """
    max_head_bytes: Annotated[int, Field(ge=1024, le=MIB)] = 32 * 1024
    """Request line and header fields together."""
    max_header_fields: Annotated[int, Field(ge=10, le=10_000)] = 100
    max_url_bytes: Annotated[int, Field(ge=256, le=MIB)] = 8 * 1024
    max_trailer_bytes: Annotated[int, Field(ge=0, le=MIB)] = 8 * 1024
    """Fields after a chunked body. They are not used."""
    head_seconds: PositiveFloat = 15.0
    """From the opening of a connection, or the first byte of a next request, to the head's end."""
    keep_alive_seconds: PositiveInt = 75
    """
    Longer than ingress controllers keep their idle connections (60 s).

    Else they send into closed ones.
    """
    linger_seconds: PositiveFloat = 2.0
    """How long to read what a client still sends after an early answer, to prevent a reset."""
    docs: bool | None = None
    """Whether anybody may see `/docs`, which needs `openapi`. Unset: not in an installation."""
    openapi: bool | None = None
    """Whether anybody may see `/openapi.json`. Unset: as `docs`."""


class SpoolSettings(Group):
    """Bodies on their way, on local disk."""

    folder: Path | None = None
    """Unset: within the data folder."""
    max_bytes: PositiveInt | None = None
    """Unset: room for `files` of the largest size, less than what the operator gives a pod."""
    files: PositiveInt = 8


class DatabaseSettings(Group):
    """Where uploads, messages and accounts are remembered."""

    url: SecretStr | None = None
    """`postgresql://…`; unset: SQLite in the data folder."""
    pool_size: PositiveInt = 10
    timeout_seconds: PositiveFloat = 5.0
    migrate_timeout_seconds: PositiveFloat = 300.0


class StoreSettings(Group):
    """Where files are kept."""

    bucket: str | None = None
    """Unset: a folder in the data folder is the object store."""
    endpoint: str | None = None
    """Unset: AWS."""
    region: str = "us-east-1"
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    """Both unset: the credentials of the machine or pod."""
    encryption: Literal["None", "SSE-S3", "SSE-KMS"] = "None"
    kms_key_id: str | None = None
    timeout_seconds: PositiveFloat = 30.0
    """For one call, the body included; for each part of an object that goes in parts."""
    part_bytes: Annotated[int, Field(ge=5 * MIB, le=5 * 1024 * MIB)] = 64 * MIB
    """
    A larger object goes in parts of so much; S3 takes none of less than 5 MiB.

    Parts cost more to hash, and their checksum is not the file's: files of the default size go
    whole.
    """


class BrokerSettings(Group):
    """Where uploads are announced."""

    url: SecretStr | None = None
    """`amqp://…` or `amqps://…`; unset: a queue file in the data folder."""
    endpoint: str | None = None
    """`host:port`, no secret: what the API, which has no credential, checks."""
    exchange: str = DEFAULT_EXCHANGE
    timeout_seconds: PositiveFloat = 10.0


class CacheSettings(Group):
    """Counters that all processes share."""

    url: SecretStr | None = None
    """`redis://…` or `rediss://…`; unset: each process counts for itself."""
    timeout_seconds: Annotated[float, Field(gt=0, le=0.1)] = 0.1
    """A request waits at most so long for its counters."""
    pause_seconds: PositiveFloat = 5.0
    """How long the counters are left alone after a failure."""


class IdentitySettings(Group):
    """Who may come in, and for how long."""

    registration: Registration = Registration.OPEN
    signing_keys: SecretStr | None = None
    """
    Ed25519 private keys in PEM, one after the other: the first signs, all verify.

    Unset: made in the data folder.
    """
    issuer: str = "healthingest"
    audience: str = "healthingest"
    access_token_seconds: Annotated[int, Field(ge=30, le=3600)] = 600
    refresh_token_days: PositiveInt = 30
    password_threads: PositiveInt = 1
    password_queue: PositiveInt = 16
    """Passwords that may wait or be hashed at one moment; beyond it 503."""


class LimitsSettings(Group):
    """How much of what."""

    max_file_size_bytes: PositiveInt = 50 * MIB
    uploads: str = "10/minute"
    """Per account."""
    uploads_at_once_per_account: PositiveInt = 4
    """
    In one process.

    Of the `files` that the spool has room for, so that no account takes them all.
    """
    uploads_at_once_per_address: PositiveInt = 32
    """In one process; a clinic's devices may share an address."""
    requests: str = "100/hour"
    """Per account, uploads apart."""
    logins: str = "600/hour"
    """Per account and address together, right and wrong ones."""
    refreshes: str = "120/hour"
    """Exchanges of refresh tokens, per session."""
    login_failures_per_device: PositiveInt = 5
    """
    Wrong passwords for one account from one address.

    After them each try waits, a second and then ever longer.
    """
    login_failures_per_account: PositiveInt = 100
    """From all addresses; after them those that have never logged in there wait for each other."""
    login_failures_per_address: PositiveInt = 100
    """
    For all accounts.

    After them those that have never logged in from there wait for each other.
    """
    login_delay_seconds_max: PositiveFloat = 5.0
    """No try waits for longer than this."""
    login_failure_memory_seconds: PositiveInt = 3600
    """Failures are forgotten when no other followed for so long."""
    registrations: str = "20/hour"
    """Per address."""
    outbox_messages: PositiveInt = 100_000
    """With more waiting to be announced no new upload is taken."""
    outbox_age_seconds: PositiveFloat = 86_400.0
    """Nor while one waits for longer than this."""
    upload_lease_seconds: PositiveFloat = 120.0
    """After so long an unfinished upload's process is held for dead."""

    @field_validator("uploads", "requests", "logins", "refreshes", "registrations")
    @classmethod
    def _is_rate(cls, value: str) -> str:
        Rate.parse(value)
        return value


class SchemasSettings(Group):
    """Which files are taken."""

    mode: Literal["Any", "Allowed"] = "Any"
    folder: Path | None = None
    """
    `*.avsc` of the schemas that mode `Allowed` lets in, subfolders included.

    They may refer to each other.
    """


class GateSettings(Group):
    """The processes that read files."""

    workers: PositiveInt = 2
    """Each serves many files at once; more than there are processors gain nothing."""
    memory_limit_bytes: PositiveInt = 256 * MIB
    """Of address space, for each of them."""
    stall_seconds: PositiveFloat = 10.0
    """One that leaves a chunk unanswered for so long is ended, and the file refused."""
    max_header_bytes: Annotated[int, Field(ge=1, le=16 * MIB)] = _POLICY.max_header_bytes
    """
    This and the next.

    Limits of one file, by the names of `avrogate.Policy` (docs/reference/avro-gate.md).
    """
    max_metadata_entries: PositiveInt = _POLICY.max_metadata_entries
    max_schema_bytes: PositiveInt = _POLICY.max_schema_bytes
    max_schema_depth: Annotated[int, Field(ge=1, le=100)] = _POLICY.max_schema_depth
    max_schema_nodes: PositiveInt = _POLICY.max_schema_nodes
    max_name_characters: Annotated[int, Field(ge=1, le=256)] = _POLICY.max_name_characters
    max_decimal_precision: Annotated[int, Field(ge=1, le=10_000)] = _POLICY.max_decimal_precision
    max_expansion: PositiveInt = _POLICY.max_expansion
    max_blocks: PositiveInt = _POLICY.max_blocks
    max_block_bytes: BlockBytes = _POLICY.max_block_bytes
    """
    Of a block as written.

    A block is never kept whole, whatever its codec: this and the next cost no memory.
    """
    max_inflated_block_bytes: BlockBytes = _POLICY.max_inflated_block_bytes
    """Of a block inflated; a consumer may have to keep it whole."""
    max_inflated_bytes: PositiveInt = _POLICY.max_inflated_bytes
    max_inflated_per_byte: NonNegativeInt = _POLICY.max_inflated_per_byte
    max_window_bytes: Annotated[int, Field(ge=MIB, le=128 * MIB)] = _POLICY.max_window_bytes
    """Of zstandard; this and the next are memory of a worker, under its `memory_limit_bytes`."""
    max_xz_memory_bytes: Annotated[int, Field(ge=MIB, le=1024 * MIB)] = _POLICY.max_xz_memory_bytes
    max_records: PositiveInt = _POLICY.max_records
    max_empty_records: NonNegativeInt = _POLICY.max_empty_records
    max_datum_depth: Annotated[int, Field(ge=1, le=1000)] = _POLICY.max_datum_depth
    max_steps: PositiveInt = _POLICY.max_steps
    """300 million take about a second, which has to be less than `stall_seconds`."""
    max_steps_per_byte: NonNegativeInt = _POLICY.max_steps_per_byte

    def limits(self) -> dict[str, int]:
        """Those of `avrogate.Policy`, by its names."""
        return {
            name: getattr(self, name) for name in type(self).model_fields if name.startswith("max_")
        }


class RelaySettings(Group):
    """From the outbox to the broker."""

    batch_size: PositiveInt = 400
    concurrency: PositiveInt = 200
    """
    Messages of one batch that wait for the broker's confirm at once.

    Many share one flush to its disk.
    """
    claim_seconds: PositiveFloat = 60.0
    """After so long a relay that took messages is held for dead, and others take them."""
    idle_seconds: PositiveFloat = 0.5
    stalled_seconds: PositiveFloat = 30.0
    """
    Not ready after this time without the broker, or with messages and none confirmed.
    """
    backoff_seconds_min: PositiveFloat = 1.0
    backoff_seconds_max: PositiveFloat = 60.0


class JanitorSettings(Group):
    """Settling what dead processes left, and comparing the object store with the database."""

    interval_seconds: PositiveFloat = 30.0
    consistency_interval_seconds: PositiveFloat = 86_400.0
    """Once in so long all objects are listed and compared with the ledger."""
    verify_shares: PositiveInt = 30
    """
    At each check one object of so many is read and its hash compared.

    Each one once in so many checks.
    """
    verify_bytes_per_second: PositiveInt = 16 * MIB
    """Not faster than this."""
