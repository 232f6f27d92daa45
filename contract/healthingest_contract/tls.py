"""
TLS to dependencies: the context of a connection, and the reason why a certificate was refused.

Operator and service use the same rules, so the service can open every connection that the operator
has checked. A bundle of certificate authorities replaces the public ones; see
docs/decisions/0052-a-ca-bundle-replaces-the-public-roots.md.
"""

import hashlib
import os
import re
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qs, urlsplit

_MOST_CONTEXTS: Final = 64
_CERTIFICATE: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL
)
_EXPIRED: Final = frozenset({9, 10})
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED (OpenSSL, x509_vfy.h)."""
_OTHER_NAME: Final = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_VERIFIED: Final = frozenset({"require", "verify-ca", "verify-full"})
FILE_PARAMETERS: Final = frozenset({"sslcert", "sslcrl", "sslkey", "sslpassword", "sslrootcert"})
"""Parameters that name files; the driver reads these files itself."""


class TlsMaterialError(ValueError):
    """Certificate or key is unusable. The message names which, and contains nothing of it."""


class CertificateProblem(StrEnum):
    """The reason why the certificate of a server was refused."""

    UNTRUSTED = "untrusted"
    EXPIRED = "expired"
    NAME_MISMATCH = "name-mismatch"


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """
    The certificates of a connection, in PEM.

    Without `ca_bundle` the public certificate authorities are trusted. `certificate` and `key` are
    those of the client, and go together.
    """

    ca_bundle: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)

    @property
    def fingerprint(self) -> str:
        """A digest of all parts, to detect a change."""
        parts = (self.ca_bundle, self.certificate, self.key)
        return hashlib.sha256(repr(parts).encode()).hexdigest()


NO_TLS_MATERIAL: Final = TlsMaterial()


def certificate_problem(error: ssl.SSLCertVerificationError) -> CertificateProblem:
    """Return the reason of *error*, by OpenSSL's code."""
    code = getattr(error, "verify_code", 0)  # subclasses of libraries lack it
    if code in _EXPIRED:
        return CertificateProblem.EXPIRED
    if code in _OTHER_NAME:
        return CertificateProblem.NAME_MISMATCH
    return CertificateProblem.UNTRUSTED


def tls_context(material: TlsMaterial) -> ssl.SSLContext:
    """
    Return the context of a client that verifies certificate and host name.

    Raises:
        TlsMaterialError: a certificate or the key is unusable.
    """
    if material.ca_bundle is None:
        context = ssl.create_default_context()
    else:
        context = ssl.create_default_context(cadata=_bundle(material.ca_bundle))
        # As in OpenSSL and Python before 3.13: private authorities often lack extensions that
        # RFC 5280 requires, and a bundle may contain only an intermediate authority.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if material.certificate is not None:
        _present(context, material.certificate, material.key or b"")
    return context


def database_tls(url: str, material: TlsMaterial) -> ssl.SSLContext | None:
    """
    Return the context for the PostgreSQL database at *url*; None: the driver follows `sslmode`.

    With a bundle, an address without `sslmode` means `verify-full`, and `require` means
    `verify-ca`, as in libpq (documentation of PostgreSQL 17, 32.19.1 "Client Verification of Server
    Certificates"). Without a bundle, `verify-ca` and `verify-full` trust the public certificate
    authorities.

    Raises:
        TlsMaterialError: a certificate or the key is unusable.
    """
    parameters = {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
    has_own_files = not FILE_PARAMETERS.isdisjoint(parameters)
    has_material = material != NO_TLS_MATERIAL
    default = "verify-full" if material.ca_bundle is not None else ""
    mode = parameters.get("sslmode", default)
    verifies = mode in _VERIFIED and (material.ca_bundle is not None or mode != "require")
    if has_own_files or not (verifies or (has_material and mode == "require")):
        return None
    versions = (
        parameters.get("ssl_min_protocol_version", ""),
        parameters.get("ssl_max_protocol_version", ""),
    )
    return _database_context(material, mode if verifies else "", versions)


@lru_cache(maxsize=_MOST_CONTEXTS)
def _database_context(
    material: TlsMaterial, verified_mode: str, versions: tuple[str, str]
) -> ssl.SSLContext:
    """Return the context for a mode that verifies; empty: nothing is verified."""
    context = tls_context(material)
    context.check_hostname = verified_mode == "verify-full"
    if not verified_mode:
        context.verify_mode = ssl.CERT_NONE
    for attribute, version in zip(("minimum_version", "maximum_version"), versions, strict=True):
        name = version.replace(".", "_")
        if name in ssl.TLSVersion.__members__:
            setattr(context, attribute, ssl.TLSVersion[name])
    context.set_alpn_protocols(["postgresql"])  # required by `sslnegotiation=direct`
    return context


@lru_cache(maxsize=_MOST_CONTEXTS)
def check_material(material: TlsMaterial) -> None:
    """
    Check certificates and key; a result is cached, because an operator checks often.

    Raises:
        TlsMaterialError: a certificate or the key is unusable.
    """
    tls_context(material)


def certificates_in(text: bytes) -> list[str]:
    """Return the certificates in *text*, each in PEM, without comments and other blocks."""
    return _CERTIFICATE.findall(text.decode("ascii", errors="replace"))


def _bundle(text: bytes) -> str:
    """Return the certificates in *text*, without comments; OpenSSL stops at a foreign block."""
    certificates = certificates_in(text)
    if not certificates:
        message = "has no certificate in PEM format"
        raise TlsMaterialError(message)
    text_of_all = "\n".join(certificates)
    if not _can_load(text_of_all):
        numbers = (n for n, one in enumerate(certificates, start=1) if not _can_load(one))
        number = next(numbers, 1)
        message = f"has an invalid certificate, number {number}"
        raise TlsMaterialError(message)
    return text_of_all


def _can_load(certificates: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificates)
    except (ssl.SSLError, ValueError):
        return False
    return True


def _present(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load the client's certificate through a file in memory, because `ssl` reads only files."""
    descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(key.strip() + b"\n" + certificate.strip() + b"\n")
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
    except (ssl.SSLError, ValueError):
        message = "has no certificate with its unencrypted key in PEM format"
        raise TlsMaterialError(message) from None
    finally:
        os.close(descriptor)


def _no_password() -> str:
    """Return no password; OpenSSL would ask the terminal for one."""
    return ""
