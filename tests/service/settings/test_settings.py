import dataclasses
import json
import os
from ipaddress import ip_network
from pathlib import Path

import pytest

from avrogate import Policy
from healthingest_contract import environment
from healthingest_service import settings
from healthingest_service.main.runtime import database_url
from healthingest_service.main.settings_checks import (
    StoreKeysMissingError,
    check_required_secrets,
    check_store_keys,
)

SECRET = "s3cret-c0de"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(environment.PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(environment.SECRETS_DIR, str(tmp_path))
    return tmp_path


def test_need_nothing() -> None:
    """Without any variable all embedded parts are chosen."""
    read = settings.load()
    assert (read.database.url, read.store.bucket, read.broker.url, read.cache.url) == (
        None,
        None,
        None,
        None,
    )
    assert read.data_folder == Path(".healthingest")


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Platforms write empty texts where there is no value."""
    for name in sorted(settings.known_names() - {environment.SECRETS_DIR}):
        monkeypatch.setenv(name, "")
    assert settings.load() == settings.Settings()


def test_secrets_come_from_files_called_as_variables(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A file wins over a variable; the line end after it is not part of it.

    Other files are left alone.
    """
    monkeypatch.setenv(environment.DATABASE_URL, "postgresql://from-variable")
    (folder / environment.DATABASE_URL).write_text("postgresql://from-file\n", encoding="utf-8")
    (folder / "..data").mkdir()
    (folder / "README").write_text("x", encoding="utf-8")
    assert database_url(settings.load()) == "postgresql://from-file"


def test_secrets_do_not_show(folder: Path) -> None:
    """No text of the settings holds a secret."""
    for name in environment.SECRET_NAMES:
        (folder / name).write_text(SECRET, encoding="utf-8")
    read = settings.load()
    assert SECRET not in repr(read) + str(read) + read.model_dump_json()


def test_networks_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they stand in a ConfigMap."""
    monkeypatch.setenv(environment.SERVER_TRUSTED_PROXIES, "10.0.0.0/8, fd00::/8,")
    assert settings.load().server.trusted_proxies == (
        ip_network("10.0.0.0/8"),
        ip_network("fd00::/8"),
    )


@pytest.mark.parametrize(
    "name",
    [
        environment.SERVER_PORT,
        environment.LIMITS_UPLOADS,
        environment.SERVER_TRUSTED_PROXIES,
        environment.IDENTITY_REGISTRATION,
        environment.STORE_ENCRYPTION,
        "HEALTHINGEST_SERVER",
    ],
)
def test_name_what_is_wrong_and_not_the_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong value is refused with its variable's name and the rule."""
    monkeypatch.setenv(name, SECRET)
    with pytest.raises(settings.InvalidSettingsError, match="HEALTHINGEST_") as refused:
        settings.load()
    assert SECRET not in str(refused.value)


def test_the_misspelt_is_found() -> None:
    """A variable with our prefix that means nothing is named."""
    present = {"HEALTHINGEST_SERVER__PROT": "1", environment.SERVER_PORT: "2", "PATH": "/"}
    assert settings.unknown_names(present) == ("HEALTHINGEST_SERVER__PROT",)


def test_a_missing_secrets_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An installation whose secrets are not mounted does not begin."""
    monkeypatch.setenv(environment.SECRETS_DIR, str(tmp_path / "nothing"))
    with pytest.raises(settings.InvalidSettingsError, match="HEALTHINGEST_SECRETS_DIR"):
        settings.load()


@pytest.mark.parametrize(
    ("command", "secrets"),
    [
        ("api", environment.API_SECRETS - {environment.IDENTITY_SIGNING_KEYS}),
        ("relay", environment.RELAY_SECRETS - {environment.BROKER_URL}),
        ("janitor", environment.JANITOR_SECRETS - {environment.DATABASE_URL}),
        ("migrate", frozenset[str]()),
    ],
)
def test_no_embedded_part_stands_in_for_a_secret(
    folder: Path, command: str, secrets: frozenset[str]
) -> None:
    """
    With a secrets folder, a missing database, broker or key is an error.

    With all that a process gets it is none.
    """
    for name in secrets:
        (folder / name).write_text(SECRET, encoding="utf-8")
    with pytest.raises(settings.InvalidSettingsError, match="missing: HEALTHINGEST_"):
        check_required_secrets(settings.load(), command)
    for name in environment.SECRET_NAMES:
        (folder / name).write_text(SECRET, encoding="utf-8")
    check_required_secrets(settings.load(), command)


@pytest.mark.parametrize("command", ["api", "janitor", "serve"])
def test_a_pod_needs_keys_for_its_bucket(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """From a Secret or from an identity; without a bucket or outside a pod they are not needed."""
    monkeypatch.setenv(environment.STORE_BUCKET, "uploads")
    with pytest.raises(StoreKeysMissingError, match="AWS_ROLE_ARN"):
        check_store_keys(settings.load(), command, {})
    role = {"AWS_ROLE_ARN": "arn", "AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}
    check_store_keys(settings.load(), command, role)
    check_store_keys(settings.load(), command, {"AWS_ACCESS_KEY_ID": "key"})
    check_store_keys(settings.load(), "relay", {})
    (folder / environment.STORE_ACCESS_KEY_ID).write_text(SECRET, encoding="utf-8")
    check_store_keys(settings.load(), command, {})
    monkeypatch.delenv(environment.SECRETS_DIR)
    check_store_keys(settings.load(), command, {})


def test_the_gates_limits_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Each of the policy but the number of findings, which clients rely on.

    With the policy's defaults.
    """
    read = settings.load().gate.limits()
    limits = {field.name for field in dataclasses.fields(Policy) if field.name.startswith("max_")}
    assert set(read) == limits - {"max_findings"}
    assert read == {name: getattr(Policy(), name) for name in read}
    for name in read:
        monkeypatch.setenv(f"HEALTHINGEST_GATE__{name.upper()}", "0")
    with pytest.raises(settings.InvalidSettingsError) as error:
        settings.load()
    assert "HEALTHINGEST_GATE__MAX_BLOCK_BYTES" in str(error.value)
    monkeypatch.undo()
    monkeypatch.setenv("HEALTHINGEST_GATE__MAX_BLOCK_BYTES", "1000000")
    assert settings.load().gate.limits()["max_block_bytes"] == 1_000_000


ISSUER = {"url": "https://login.example", "audience": "healthingest"}
CLIENT = {"client_id": "page", "redirect_uris": ["https://app.example"]}


def test_identity_providers_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the client at a provider, its secret from a file, and the roles of groups."""
    rule = {"group": "leads", "study": "sleep", "roles": ["manager"]}
    issuer = ISSUER | CLIENT | {"name": None, "group_roles": [rule]}
    monkeypatch.setenv(environment.OIDC_ISSUERS, json.dumps([issuer]))
    secrets = json.dumps({ISSUER["url"]: SECRET})
    (folder / environment.OIDC_CLIENT_SECRETS).write_text(secrets, encoding="utf-8")
    oidc = settings.load().oidc
    assert oidc.secrets_by_url() == {ISSUER["url"]: SECRET}
    assert oidc.issuers[0].scopes == ("openid",)
    assert SECRET not in repr(oidc)


@pytest.mark.parametrize(
    "issuers",
    [
        [ISSUER | {"client_id": "page"}],
        [ISSUER | {"redirect_uris": ["https://app.example"]}],
        [ISSUER | CLIENT | {"redirect_uris": ["http://app.example"]}],
        [ISSUER | CLIENT | {"redirect_uris": ["https://app.example/#x"]}],
        [ISSUER | CLIENT | {"scopes": ["email"]}],
        [ISSUER | CLIENT, ISSUER | CLIENT | {"url": "https://other.example"}],
        [ISSUER | {"group_roles": [{"group": "a", "study": "default", "roles": ["reader"]}]}],
        [ISSUER | {"group_roles": [{"group": "a", "study": "b", "roles": []}]}],
        [ISSUER | {"group_roles": [{"group": "a", "study": "b", "roles": ["admin"]}]}],
    ],
    ids=[
        *("client", "uris", "plain", "fragment", "scopes"),
        *("shared", "default", "none", "admin"),
    ],
)
def test_a_wrong_identity_provider_is_named(
    monkeypatch: pytest.MonkeyPatch, issuers: list[dict[str, object]]
) -> None:
    """By its variable: a part of a client, an address without TLS, one for two, or a wrong role."""
    monkeypatch.setenv(environment.OIDC_ISSUERS, json.dumps(issuers))
    with pytest.raises(settings.InvalidSettingsError, match=environment.OIDC_ISSUERS):
        settings.load()


@pytest.mark.parametrize(
    "text",
    [SECRET, f'["{SECRET}"]', f'{{"a": ["{SECRET}"]}}'],
    ids=["text", "list", "nested"],
)
def test_wrong_client_secrets_are_not_repeated(folder: Path, text: str) -> None:
    """The error names the rule."""
    (folder / environment.OIDC_CLIENT_SECRETS).write_text(text, encoding="utf-8")
    oidc = settings.load().oidc
    with pytest.raises(ValueError, match="must be an object in JSON") as caught:
        oidc.secrets_by_url()
    assert SECRET not in str(caught.value)
