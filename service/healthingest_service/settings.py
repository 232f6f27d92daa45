"""
Every setting, in one documented group per concern; read once, by `main`.

`HEALTHINGEST_<GROUP>__<FIELD>` sets a field. A secret may instead be a file, called as its variable, in the folder
that `HEALTHINGEST_SECRETS_DIR` names. Without any setting everything runs in one process and one data folder.
"""

import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict, SettingsError
from pydantic_settings import PydanticBaseSettingsSource as Source

from healthingest_contract.environment import PREFIX, SECRETS_DIR
from healthingest_contract.topology import DEFAULT_EXCHANGE
from healthingest_service.identity.model import Registration
from healthingest_service.identity.throttling import Rate

MIB: Final = 1024 * 1024
_DELIMITER: Final = "__"
_MAX_SECRET_BYTES: Final = 64 * 1024
Port = Annotated[int, Field(ge=0, le=65535)]


class InvalidSettingsError(Exception):
    """A setting is wrong; the text names variables and rules, never values."""


class Group(BaseModel):
    """What all groups are: frozen, and silent about values."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="ignore")


class ServerSettings(Group):
    """Listening and patience."""

    host: str | None = None
    """Address to bind; unset: this machine alone for `serve`, every address for the other commands."""
    port: Port = 8000
    admin_port: Port = 9000
    """Metrics and details of dependencies; never to be reached from outside."""
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Networks, separated by commas, whose `X-Forwarded-For` is believed."""
    graceful_shutdown_seconds: PositiveInt = 40
    """How long requests under way may take to end after SIGTERM."""
    max_concurrency: PositiveInt = 500
    body_stall_seconds: PositiveFloat = 30.0
    """A body of which nothing comes for so long is given up."""
    body_min_bytes_per_second: NonNegativeInt = 1024
    """Slower than this on average, after the first `body_stall_seconds`, is given up too."""
    health_interval_seconds: PositiveFloat = 3.0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


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
    """Ed25519 private keys in PEM, one after the other: the first signs, all verify. Unset: made in the data folder."""
    issuer: str = "healthingest"
    audience: str = "healthingest"
    access_token_seconds: Annotated[int, Field(ge=30, le=3600)] = 600
    refresh_token_days: PositiveInt = 30
    password_threads: PositiveInt = 2
    password_queue: PositiveInt = 32
    """Passwords that may wait or be hashed at one moment; beyond it 503."""


class LimitsSettings(Group):
    """How much of what."""

    max_file_size_bytes: PositiveInt = 50 * MIB
    uploads: str = "10/minute"
    """Per account."""
    requests: str = "100/hour"
    """Per account, uploads apart."""
    logins: str = "10/minute"
    """Per account and per address; refreshing counts as a login of its address."""
    registrations: str = "20/hour"
    """Per address."""
    outbox_messages: PositiveInt = 100_000
    """With more waiting to be announced no new upload is taken."""
    upload_lease_seconds: PositiveFloat = 120.0
    """After so long an unfinished upload's process is held for dead."""

    @field_validator("uploads", "requests", "logins", "registrations")
    @classmethod
    def _is_rate(cls, value: str) -> str:
        Rate.parse(value)
        return value


class SchemasSettings(Group):
    """Which files are taken."""

    mode: Literal["Any", "Allowed"] = "Any"
    folder: Path | None = None
    """`*.avsc` of the schemas that mode `Allowed` lets in."""


class GateSettings(Group):
    """The processes that read files."""

    memory_limit_bytes: PositiveInt = 256 * MIB
    cpu_limit_seconds: PositiveInt = 30
    concurrency: PositiveInt = 2


class RelaySettings(Group):
    """From the outbox to the broker."""

    batch_size: PositiveInt = 100
    idle_seconds: PositiveFloat = 0.5
    backoff_seconds_min: PositiveFloat = 1.0
    backoff_seconds_max: PositiveFloat = 60.0


class JanitorSettings(Group):
    """Settling what dead processes left."""

    interval_seconds: PositiveFloat = 30.0


class SecretFilesSource(EnvSettingsSource):
    """Files called as the variables they stand for, in the folder that `HEALTHINGEST_SECRETS_DIR` names."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        folder = os.environ.get(SECRETS_DIR)
        if not folder:
            return {}
        found: dict[str, str | None] = {}
        for path in sorted(Path(folder).iterdir()):
            if path.name.startswith(PREFIX) and path.is_file() and path.stat().st_size <= _MAX_SECRET_BYTES:
                text = path.read_text(encoding="utf-8").rstrip("\r\n")
                if text:
                    found[path.name.lower()] = text
        return found


class Settings(BaseSettings):
    """All groups. A file in the secrets folder wins over a variable of the same name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=_DELIMITER,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    data_folder: Path = Path(".healthingest")
    """Where the embedded parts keep what they have."""
    secrets_dir: Path | None = None
    """Set: this is an installation, and no embedded part may stand in for a missing secret."""
    server: ServerSettings = ServerSettings()
    spool: SpoolSettings = SpoolSettings()
    database: DatabaseSettings = DatabaseSettings()
    store: StoreSettings = StoreSettings()
    broker: BrokerSettings = BrokerSettings()
    cache: CacheSettings = CacheSettings()
    identity: IdentitySettings = IdentitySettings()
    limits: LimitsSettings = LimitsSettings()
    schemas: SchemasSettings = SchemasSettings()
    gate: GateSettings = GateSettings()
    relay: RelaySettings = RelaySettings()
    janitor: JanitorSettings = JanitorSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: Source,
        env_settings: Source,
        dotenv_settings: Source,  # noqa: ARG003 - the base class calls by name
        file_secret_settings: Source,  # noqa: ARG003 - the same
    ) -> tuple[Source, ...]:
        """Arguments, secret files, variables."""
        return init_settings, SecretFilesSource(settings_cls), env_settings


def known_names() -> frozenset[str]:
    """Every variable that means something."""
    names: set[str] = set()
    for name, field in Settings.model_fields.items():
        group: Any = field.annotation
        if isinstance(group, type) and issubclass(group, Group):
            names.update(f"{PREFIX}{name}{_DELIMITER}{inner}".upper() for inner in group.model_fields)
        else:
            names.add(f"{PREFIX}{name}".upper())
    return frozenset(names)


def unknown_names(present: Mapping[str, str]) -> tuple[str, ...]:
    """Variables with our prefix that mean nothing: most likely misspelt."""
    return tuple(sorted(name for name in present if name.startswith(PREFIX) and name.upper() not in known_names()))


def load() -> Settings:
    """
    Read the environment and the secrets folder.

    Raises:
        InvalidSettingsError: a value breaks a rule, or the secrets folder cannot be read.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = [f"{_variable(item['loc'])}: {item['msg']}" for item in error.errors(include_input=False)]
        raise InvalidSettingsError("; ".join(wrong)) from None
    except SettingsError:
        message = f"a variable names a group ({PREFIX}<GROUP>) instead of a field in it"
        raise InvalidSettingsError(message) from None
    except (OSError, UnicodeDecodeError) as error:
        message = f"the folder of {SECRETS_DIR} cannot be read ({type(error).__name__})"
        raise InvalidSettingsError(message) from None


def _variable(location: tuple[int | str, ...]) -> str:
    return PREFIX + _DELIMITER.join(str(part) for part in location[:2]).upper()
