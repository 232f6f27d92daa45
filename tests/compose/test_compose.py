"""compose.yaml holds to the same rules as the pods that the operator makes."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from healthingest_contract import environment as env
from healthingest_contract.service_settings import WRITTEN_BY_OPERATOR
from support.scripts import load_script

ROOT = Path(__file__).parents[2]
PROCESSES = {
    "api": env.API_SECRETS,
    "relay": env.RELAY_SECRETS,
    "janitor": env.JANITOR_SECRETS,
    "migrate": env.MIGRATE_SECRETS,
}


@pytest.fixture
def composition() -> dict[str, Any]:
    """Parse the file."""
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return parsed


@pytest.fixture
def script() -> ModuleType:
    """Load the script that writes the secrets."""
    path = ROOT / "compose" / "write_secrets.py"
    return load_script(path)


def test_each_process_gets_its_secrets_and_no_other(composition: dict[str, Any]) -> None:
    """
    As on a cluster: the relay has no key of the store, the API no login of the broker.

    There is no mail server and no identity provider, so nobody has a login for one.
    """
    outside = {env.MAIL_SMTP_USERNAME, env.MAIL_SMTP_PASSWORD, env.OIDC_CLIENT_SECRETS}
    for name, secrets in PROCESSES.items():
        assert set(composition["services"][name]["secrets"]) == set(secrets) - outside


def test_every_setting_is_known(composition: dict[str, Any]) -> None:
    """No variable of the service is misspelt."""
    assert set(composition["services"]["api"]["environment"]) <= set(WRITTEN_BY_OPERATOR)


def test_nothing_but_the_upload_port_is_published(composition: dict[str, Any]) -> None:
    """And that on the loopback interface."""
    published = {
        name: service["ports"]
        for name, service in composition["services"].items()
        if "ports" in service
    }
    assert list(published) == ["api"]
    assert all(port.startswith("127.0.0.1:") for port in published["api"])


def test_containers_are_hardened(composition: dict[str, Any]) -> None:
    """No capabilities, and no root but the container that gives a volume its owner."""
    for name, service in composition["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"].startswith("0:") == (name == "s3-volume"), name
        assert service["read_only"] == (name != "postgres"), name


def test_every_secret_is_written(composition: dict[str, Any], script: ModuleType) -> None:
    """`make compose-secrets` writes each file that compose.yaml names."""
    named = {Path(secret["file"]).name for secret in composition["secrets"].values()}
    named |= {Path(file).name for file in composition["services"]["s3"]["env_file"]}
    assert named - set(script.files()) == set()


def test_secrets_are_kept(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run changes no file: the data in the volumes belongs to them."""
    monkeypatch.setattr(script, "FOLDER", tmp_path / "secrets")
    assert script.main() == 0
    before = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert script.main() == 0
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == before
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0


def test_the_broker_gets_the_passwords_only_as_hashes(script: ModuleType) -> None:
    """The relay writes to the exchange only; the consumer reads the queues only."""
    defined = script.definitions("relay-password", "consumer-password")
    assert "relay-password" not in json.dumps(defined)
    rights = {
        one["user"]: (one["configure"], one["write"], one["read"]) for one in defined["permissions"]
    }
    assert rights == {
        "relay": ("^$", "^health_data_exchange$", "^$"),
        "consumer": ("^$", "^$", r"^(processing|processing\.dead|erasures|erasures\.dead)$"),
    }


def test_uploads_and_erasures_have_a_queue_each(script: ModuleType) -> None:
    """As the operator creates them by default, with their dead-letter queues."""
    defined = script.definitions("relay-password", "consumer-password")
    assert {queue["name"] for queue in defined["queues"]} == {
        "processing",
        "processing.dead",
        "erasures",
        "erasures.dead",
    }
    bound = {(one["source"], one["destination"], one["routing_key"]) for one in defined["bindings"]}
    assert bound == {
        ("health_data_exchange", "processing", "health.processing.#"),
        ("health_data_exchange", "erasures", "health.erased.#"),
        ("health_data_exchange.dead", "processing.dead", "processing"),
        ("health_data_exchange.dead", "erasures.dead", "erasures"),
    }
