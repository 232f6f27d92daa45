"""Reads `Settings` from environment variables and secret files."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError
from pydantic_settings import PydanticBaseSettingsSource as Source

from healthingest_contract.environment import PREFIX, SECRETS_DIR
from healthingest_service.settings.groups import (
    AuditLogSettings,
    BrokerSettings,
    CacheSettings,
    DatabaseSettings,
    GateSettings,
    Group,
    HttpSettings,
    IdentitySettings,
    JanitorSettings,
    LimitsSettings,
    MailSettings,
    OidcSettings,
    RelaySettings,
    SchemasSettings,
    ServerSettings,
    SpoolSettings,
    StoreSettings,
    TracingSettings,
)

_DELIMITER: Final = "__"
_MAX_SECRET_BYTES: Final = 64 * 1024


class InvalidSettingsError(Exception):
    """A setting is invalid; the message names variables and rules, never values."""


class SecretFilesSource(EnvSettingsSource):
    """Reads secret files, named like their variables, in the folder `HEALTHINGEST_SECRETS_DIR`."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        folder = os.environ.get(SECRETS_DIR)
        if not folder:
            return {}
        found: dict[str, str | None] = {}
        for path in sorted(Path(folder).iterdir()):
            if (
                path.name.startswith(PREFIX)
                and path.is_file()
                and path.stat().st_size <= _MAX_SECRET_BYTES
            ):
                text = path.read_text(encoding="utf-8").rstrip("\r\n")
                if text:
                    found[path.name.lower()] = text
        return found


class Settings(BaseSettings):
    """All settings. A file in the secrets folder overrides a variable of the same name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=_DELIMITER,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    data_folder: Path = Path(".healthingest")
    """Folder for the data of the embedded adapters."""
    secrets_dir: Path | None = None
    """
    Folder of secret files. If it is set, a missing secret is an error: no embedded adapter
    replaces the external system.
    """
    server: ServerSettings = ServerSettings()
    http: HttpSettings = HttpSettings()
    spool: SpoolSettings = SpoolSettings()
    database: DatabaseSettings = DatabaseSettings()
    store: StoreSettings = StoreSettings()
    broker: BrokerSettings = BrokerSettings()
    cache: CacheSettings = CacheSettings()
    identity: IdentitySettings = IdentitySettings()
    oidc: OidcSettings = OidcSettings()
    mail: MailSettings = MailSettings()
    limits: LimitsSettings = LimitsSettings()
    schemas: SchemasSettings = SchemasSettings()
    gate: GateSettings = GateSettings()
    relay: RelaySettings = RelaySettings()
    janitor: JanitorSettings = JanitorSettings()
    audit_log: AuditLogSettings = AuditLogSettings()
    tracing: TracingSettings = TracingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: Source,
        env_settings: Source,
        dotenv_settings: Source,  # noqa: ARG003 - the base class calls by name
        file_secret_settings: Source,  # noqa: ARG003 - the same
    ) -> tuple[Source, ...]:
        """Return the sources by precedence: arguments, secret files, variables."""
        return init_settings, SecretFilesSource(settings_cls), env_settings


def known_names() -> frozenset[str]:
    """Return the names of all variables that set a field."""
    names: set[str] = set()
    for name, field in Settings.model_fields.items():
        group: object = field.annotation
        if isinstance(group, type) and issubclass(group, Group):
            names.update(
                f"{PREFIX}{name}{_DELIMITER}{inner}".upper() for inner in group.model_fields
            )
        else:
            names.add(f"{PREFIX}{name}".upper())
    return frozenset(names)


def unknown_names(present: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables with the prefix `HEALTHINGEST_` that set no field, probably misspelt."""
    return tuple(
        sorted(
            name
            for name in present
            if name.startswith(PREFIX) and name.upper() not in known_names()
        )
    )


def load() -> Settings:
    """
    Read all settings from the environment and the secrets folder.

    Raises:
        InvalidSettingsError: a value is invalid, or the secrets folder cannot be read.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = [
            f"{_variable(item['loc'])}: {item['msg']}" for item in error.errors(include_input=False)
        ]
        raise InvalidSettingsError("; ".join(wrong)) from None
    except SettingsError:
        message = f"a variable names a group ({PREFIX}<GROUP>) instead of a field in it"
        raise InvalidSettingsError(message) from None
    except (OSError, UnicodeDecodeError) as error:
        message = f"the folder of {SECRETS_DIR} cannot be read ({type(error).__name__})"
        raise InvalidSettingsError(message) from None


def _variable(location: tuple[int | str, ...]) -> str:
    return PREFIX + _DELIMITER.join(str(part) for part in location[:2]).upper()
