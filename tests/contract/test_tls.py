"""TLS to dependencies: contexts, and why a certificate was refused."""

import ssl

import pytest

from healthingest_contract.tls import (
    NO_TLS_MATERIAL,
    CertificateProblem,
    TlsMaterial,
    TlsMaterialError,
    certificate_problem,
    check_material,
    database_tls,
    tls_context,
)
from support.servers.tls import Authority

URL = "postgresql://u:hunter2@db.example/d"


def test_a_bundle_replaces_the_public_authorities() -> None:
    """The context trusts the certificates of the bundle, also among comments, and no other."""
    bundle = b"# first\n" + Authority().bundle + b"\nsecond\n" + Authority().bundle
    assert len(tls_context(TlsMaterial(bundle)).get_ca_certs()) == 2
    assert tls_context(NO_TLS_MATERIAL).check_hostname


@pytest.mark.parametrize(
    ("bundle", "message"),
    [
        (b"", "has no certificate in PEM format"),
        (b"hunter2", "has no certificate in PEM format"),
        (b"\xff\x00", "has no certificate in PEM format"),
        (
            Authority().bundle
            + b"-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n",
            "has an invalid certificate, number 2",
        ),
    ],
)
def test_an_unusable_bundle_is_refused_without_its_contents(bundle: bytes, message: str) -> None:
    """The message says what is wrong, and which certificate it is."""
    with pytest.raises(TlsMaterialError, match=f"^{message}$"):
        check_material(TlsMaterial(bundle))


def test_a_client_certificate_needs_its_own_key() -> None:
    """A certificate with the key of another one is refused, as is text that is no key."""
    first = Authority().issue()
    other = Authority().issue()
    check_material(TlsMaterial(None, first.certificate, first.key))
    for key in (other.key, b"hunter2", None):
        with pytest.raises(TlsMaterialError, match=r"^has no certificate with its unencrypted key"):
            check_material(TlsMaterial(None, first.certificate, key))
    assert "PRIVATE" not in repr(TlsMaterial(None, first.certificate, first.key))


@pytest.mark.parametrize(
    ("query", "with_bundle", "without"),
    [
        ("", "full", None),
        ("?sslmode=verify-full", "full", "full"),
        ("?sslmode=verify-ca", "ca", "ca"),
        ("?sslmode=require", "ca", None),
        ("?sslmode=prefer", None, None),
        ("?sslmode=allow", None, None),
        ("?sslmode=disable", None, None),
        ("?sslmode=verify-full&sslrootcert=/ca.pem", None, None),
    ],
)
def test_sslmode_decides_what_is_verified(
    query: str, with_bundle: str | None, without: str | None
) -> None:
    """A bundle makes an address without mode strict; an explicit mode is respected."""
    assert _verified(database_tls(URL + query, TlsMaterial(Authority().bundle))) == with_bundle
    assert _verified(database_tls(URL + query, NO_TLS_MATERIAL)) == without


def _verified(context: ssl.SSLContext | None) -> str | None:
    if context is None:
        return None
    assert context.verify_mode is ssl.CERT_REQUIRED
    return "full" if context.check_hostname else "ca"


def test_a_context_is_made_once_for_equal_certificates() -> None:
    """An operator reads the same bundle again and again; a large one takes long to parse."""
    bundle = Authority().bundle
    first = database_tls(URL, TlsMaterial(bundle))
    again = database_tls(f"{URL}?sslmode=verify-full", TlsMaterial(bytes(bytearray(bundle))))
    assert again is first
    assert database_tls(f"{URL}?sslmode=verify-ca", TlsMaterial(bundle)) is not first


def test_a_client_certificate_without_bundle_is_presented_with_require() -> None:
    """`require` verifies nothing without a bundle, as in libpq."""
    issued = Authority().issue()
    context = database_tls(
        f"{URL}?sslmode=require", TlsMaterial(None, issued.certificate, issued.key)
    )
    assert context is not None
    assert context.verify_mode is ssl.CERT_NONE


def test_the_lowest_version_of_the_address_is_kept() -> None:
    """The driver ignores its own parameters if it gets a context."""
    url = f"{URL}?ssl_min_protocol_version=TLSv1.3"
    context = database_tls(url, TlsMaterial(Authority().bundle))
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (10, CertificateProblem.EXPIRED),
        (9, CertificateProblem.EXPIRED),
        (62, CertificateProblem.NAME_MISMATCH),
        (64, CertificateProblem.NAME_MISMATCH),
        (18, CertificateProblem.UNTRUSTED),
        (20, CertificateProblem.UNTRUSTED),
    ],
)
def test_the_problem_follows_from_the_code(code: int, problem: CertificateProblem) -> None:
    """The text of OpenSSL is not read."""
    error = ssl.SSLCertVerificationError()
    error.verify_code = code
    assert certificate_problem(error) is problem
