"""Files of certificates that settings name."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from healthingest_service.main.tls_files import (
    broker_tls_material,
    certificate_ends,
    store_tls_material,
)
from healthingest_service.settings import InvalidSettingsError, Settings
from healthingest_service.settings.groups import BrokerSettings, StoreSettings
from support.servers.tls import Authority


def test_the_files_are_read(tmp_path: Path) -> None:
    """Bundle, certificate and key of the broker."""
    authority = Authority()
    issued = authority.issue()
    names = ("ca.crt", "tls.crt", "tls.key")
    contents = (authority.bundle, issued.certificate, issued.key)
    for name, text in zip(names, contents, strict=True):
        (tmp_path / name).write_bytes(text)
    broker = BrokerSettings(
        ca_file=tmp_path / "ca.crt",
        client_certificate_file=tmp_path / "tls.crt",
        client_key_file=tmp_path / "tls.key",
    )
    found = broker_tls_material(Settings(broker=broker))
    assert (found.ca_bundle, found.certificate, found.key) == contents


def test_a_missing_file_is_named_by_its_variable(tmp_path: Path) -> None:
    """The path may be secret, the variable is not."""
    settings = Settings(store=StoreSettings(ca_file=tmp_path / "missing"))
    with pytest.raises(
        InvalidSettingsError,
        match=r"^HEALTHINGEST_STORE__CA_FILE: the file cannot be read \(FileNotFoundError\)$",
    ):
        store_tls_material(settings)


def test_a_file_without_a_certificate_is_named(tmp_path: Path) -> None:
    """Its contents are not repeated."""
    path = tmp_path / "ca.crt"
    path.write_text("hunter2", encoding="utf-8")
    with pytest.raises(
        InvalidSettingsError,
        match=r"^HEALTHINGEST_STORE__CA_FILE: has no certificate in PEM format$",
    ):
        store_tls_material(Settings(store=StoreSettings(ca_file=path)))


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    """Both variables are named; so is that of a certificate with another key."""
    certificate = tmp_path / "tls.crt"
    certificate.write_bytes(Authority().issue().certificate)
    alone = BrokerSettings(client_certificate_file=certificate)
    with pytest.raises(InvalidSettingsError, match=r"go together: set both or none$"):
        broker_tls_material(Settings(broker=alone))
    key = tmp_path / "tls.key"
    key.write_bytes(Authority().issue().key)
    other = BrokerSettings(client_certificate_file=certificate, client_key_file=key)
    with pytest.raises(
        InvalidSettingsError, match=r"^HEALTHINGEST_BROKER__CLIENT_CERTIFICATE_FILE: has no cert"
    ):
        broker_tls_material(Settings(broker=other))


def test_the_earlier_of_client_and_last_authority_is_the_end(tmp_path: Path) -> None:
    """An authority of a bundle that ended is no fault while another goes on (nine days here)."""
    authority = Authority()
    issued = authority.issue(days=3)
    bundle = authority.bundle + authority.issue(days=-1).certificate
    files = {"ca.crt": bundle, "tls.crt": issued.certificate, "tls.key": issued.key}
    for name, text in files.items():
        (tmp_path / name).write_bytes(text)
    broker = BrokerSettings(
        ca_file=tmp_path / "ca.crt",
        client_certificate_file=tmp_path / "tls.crt",
        client_key_file=tmp_path / "tls.key",
    )
    store = StoreSettings(ca_file=tmp_path / "ca.crt")
    ends = certificate_ends(Settings(broker=broker, store=store))
    now = datetime.now(UTC)
    days = {name: round((end - now) / timedelta(days=1)) for name, end in ends.items()}
    assert days == {"broker": 3, "store": 9}


def test_other_blocks_of_a_bundle_are_left_out(tmp_path: Path) -> None:
    """TLS accepts the bundle, so a metric must not keep the process from its start."""
    bundle = Authority().bundle
    foreign = b"-----BEGIN TRUSTED CERTIFICATE-----\nno end\n"
    (tmp_path / "ca.crt").write_bytes(foreign + bundle)
    (tmp_path / "plain.crt").write_bytes(bundle)
    ends = [
        certificate_ends(Settings(store=StoreSettings(ca_file=tmp_path / name)))
        for name in ("ca.crt", "plain.crt")
    ]
    assert ends[0] == ends[1]
    assert ends[0].keys() == {"store"}
