"""Reads the files of certificates that the settings name."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from cryptography.x509 import InvalidVersion, load_pem_x509_certificate

from healthingest_contract import environment as env
from healthingest_contract.tls import TlsMaterial, certificates_in, check_material
from healthingest_service.settings import InvalidSettingsError, Settings


@contextmanager
def as_settings_error(variable: str) -> Iterator[None]:
    """Re-raise an adapter's ValueError as a settings error that names the variable only."""
    try:
        yield
    except ValueError as error:
        message = f"{variable}: {error}"
        raise InvalidSettingsError(message) from None


def database_tls_material(settings: Settings) -> TlsMaterial:
    """Return the certificates of the connections to the database."""
    database = settings.database
    return _material(
        (env.DATABASE_CA_FILE, database.ca_file),
        (env.DATABASE_CLIENT_CERTIFICATE_FILE, database.client_certificate_file),
        (env.DATABASE_CLIENT_KEY_FILE, database.client_key_file),
    )


def store_tls_material(settings: Settings) -> TlsMaterial:
    """Return the certificates of the connections to the object store."""
    return _material((env.STORE_CA_FILE, settings.store.ca_file))


def broker_tls_material(settings: Settings) -> TlsMaterial:
    """Return the certificates of the connection to the broker."""
    broker = settings.broker
    return _material(
        (env.BROKER_CA_FILE, broker.ca_file),
        (env.BROKER_CLIENT_CERTIFICATE_FILE, broker.client_certificate_file),
        (env.BROKER_CLIENT_KEY_FILE, broker.client_key_file),
    )


def cache_tls_material(settings: Settings) -> TlsMaterial:
    """Return the certificates of the connections to Redis."""
    return _material((env.CACHE_CA_FILE, settings.cache.ca_file))


def oidc_tls_material(settings: Settings) -> TlsMaterial:
    """Return the certificates of the connections to identity providers."""
    return _material((env.OIDC_CA_FILE, settings.oidc.ca_file))


def mail_tls_material(settings: Settings) -> TlsMaterial:
    """Return the certificates of the connections to the mail server."""
    return _material((env.MAIL_CA_FILE, settings.mail.ca_file))


def certificate_ends(settings: Settings) -> dict[str, datetime]:
    """
    Return when the certificates for each dependency expire; dependencies without any are omitted.

    The time is that of the client certificate or of the authority that expires last, whichever is
    earlier: a bundle may keep expired authorities.
    """
    materials = {
        "store": store_tls_material(settings),
        "broker": broker_tls_material(settings),
        "database": database_tls_material(settings),
        "cache": cache_tls_material(settings),
        "oidc": oidc_tls_material(settings),
        "mail": mail_tls_material(settings),
    }
    ends = {name: _ends(material) for name, material in materials.items()}
    return {name: min(found) for name, found in ends.items() if found}


def _ends(material: TlsMaterial) -> list[datetime]:
    found = []
    if authorities := _ends_in(material.ca_bundle):
        found.append(max(authorities))
    if own := _ends_in(material.certificate):
        found.append(own[0])
    return found


def _ends_in(text: bytes | None) -> list[datetime]:
    """Return the end of each certificate that can be parsed; TLS accepts further ones."""
    found = []
    for certificate in certificates_in(text or b""):
        with suppress(ValueError, InvalidVersion):
            found.append(load_pem_x509_certificate(certificate.encode()).not_valid_after_utc)
    return found


def _material(
    ca_file: tuple[str, Path | None],
    certificate_file: tuple[str, Path | None] = ("", None),
    key_file: tuple[str, Path | None] = ("", None),
) -> TlsMaterial:
    """
    Return the contents of the files, each given by variable and path.

    Raises:
        InvalidSettingsError: a file cannot be read or is unusable, or the certificate or its key is
            missing; the message names the variable.
    """
    ca_bundle = _contents(ca_file)
    with as_settings_error(ca_file[0]):
        check_material(TlsMaterial(ca_bundle))
    certificate = _contents(certificate_file)
    key = _contents(key_file)
    if (certificate is None) != (key is None):
        message = f"{certificate_file[0]} and {key_file[0]} go together: set both or none"
        raise InvalidSettingsError(message)
    with as_settings_error(certificate_file[0]):
        check_material(TlsMaterial(None, certificate, key))
    return TlsMaterial(ca_bundle, certificate, key)


def _contents(file: tuple[str, Path | None]) -> bytes | None:
    variable, path = file
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{variable}: the file cannot be read ({type(error).__name__})"
        raise InvalidSettingsError(message) from None
