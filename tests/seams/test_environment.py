"""Operator and service agree on the environment: each variable that is written is read."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from healthingest_contract import environment as env
from healthingest_contract import service_settings
from healthingest_operator.api.healthingest import parse
from healthingest_operator.resources.configuration import Surroundings, configuration
from healthingest_service import settings
from support.api_cases import spec_schema
from support.operator_fakes import manifest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("0[1-9]-*.yaml"))


def _resource(path: Path) -> dict[str, Any]:
    """Return the resource with the members that the operator reads."""
    found: dict[str, Any] = next(
        doc for doc in yaml.safe_load_all(path.read_text()) if doc["kind"] == "HealthIngest"
    )
    found["metadata"] |= {
        "namespace": "default",
        "uid": "00000000-0000-0000-0000-000000000001",
        "generation": 1,
    }
    return found


def test_each_setting_of_the_service_has_one_class() -> None:
    """Operator writes it, secret, settable by `spec.settings`, or local with a reason."""
    classes = (
        service_settings.WRITTEN_BY_OPERATOR,
        service_settings.SECRETS,
        service_settings.LOCAL_ONLY,
        service_settings.SETTABLE,
    )
    counted = Counter(name for names in classes for name in names)
    assert counted == Counter(settings.known_names())
    assert set(service_settings.SECRETS) == env.SECRET_NAMES


def test_the_tables_name_fields_of_the_resource() -> None:
    """A field of `spec` that a table names exists in the API type."""
    tables = (service_settings.WRITTEN_BY_OPERATOR, service_settings.SECRETS)
    named = {source for table in tables for source in table.values() if source.startswith("spec.")}
    assert named
    for path in named:
        part = spec_schema()
        for step in path.split(".")[1:]:
            part = part["properties"][step]


def test_settings_of_the_resource_reach_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are in the ConfigMap, beside the variables that the operator writes."""
    wanted = {"HEALTHINGEST_LIMITS__LOGINS": "7/minute", "HEALTHINGEST_GATE__WORKERS": "3"}
    owner = parse(manifest(settings=wanted))
    values = configuration(owner.spec, Surroundings("rabbitmq:5672", "http://clinic.example"))
    assert set(values) == set(wanted) | set(service_settings.WRITTEN_BY_OPERATOR)
    for name in wanted:
        monkeypatch.setenv(name, values[name])
    read = settings.load()
    assert (read.limits.logins, read.gate.workers) == ("7/minute", 3)


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_examples_configuration_is_valid(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ConfigMap and Secrets of an example give settings with its values."""
    owner = parse(_resource(path))
    values = configuration(owner.spec, Surroundings("rabbitmq:5672", "http://clinic.example"))
    for name in list(os.environ):
        if name.startswith(env.PREFIX):
            monkeypatch.delenv(name)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(env.SECRETS_DIR, str(tmp_path))
    for name in env.SECRET_NAMES:
        (tmp_path / name).write_text(f"secret {name}")
    read = settings.load()
    assert set(values) == set(service_settings.WRITTEN_BY_OPERATOR)
    assert settings.unknown_names(values) == ()
    assert read.store.bucket == owner.spec.object_store.bucket
    assert read.store.endpoint == owner.spec.object_store.endpoint
    assert (
        read.limits.max_file_size_bytes == owner.spec.limits.max_file_size_bytes == 50 * 1024 * 1024
    )
    assert read.identity.registration.value == owner.spec.accounts.registration
    assert (read.http.openapi, read.http.docs) == (
        owner.spec.documentation.serves_openapi,
        owner.spec.documentation.page,
    )
    assert read.schemas.mode == owner.spec.schemas.mode
    secrets = (read.database.url, read.broker.url, read.cache.url, read.store.secret_access_key)
    assert [value.get_secret_value().split()[0] for value in secrets if value] == ["secret"] * 4


def test_each_process_reads_only_secrets_of_the_contract() -> None:
    """Containers mount only secrets of the list, and the API has no login of the broker."""
    each = (env.API_SECRETS, env.RELAY_SECRETS, env.JANITOR_SECRETS, env.MIGRATE_SECRETS)
    assert frozenset().union(*each) == env.SECRET_NAMES
    assert env.BROKER_URL not in env.API_SECRETS | env.JANITOR_SECRETS
