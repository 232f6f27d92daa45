"""Secrets of other operators: which keys make a form, and what becomes of them."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from healthingest_contract.database_address import read_database_address
from healthingest_operator.resources.connection_secrets import (
    BROKER_FORMS,
    CACHE_FORMS,
    DATABASE_FORMS,
    STORE_FORMS,
    SecretForm,
    Surroundings,
    qualified,
    recognise,
)

AROUND = Surroundings("clinic-a")
CLOUDNATIVE_PG = {
    "dbname": "app",
    "fqdn-jdbc-uri": "jdbc:postgresql://cluster-rw.clinic-a.svc.cluster.local:5432/app",
    "fqdn-uri": "postgresql://app:word@cluster-rw.clinic-a.svc.cluster.local:5432/app",
    "host": "cluster-rw",
    "jdbc-uri": "jdbc:postgresql://cluster-rw.clinic-a:5432/app?password=word&user=app",
    "password": "word",
    "pgpass": "cluster-rw:5432:app:app:word\n",
    "port": "5432",
    "uri": "postgresql://app:word@cluster-rw.clinic-a:5432/app",
    "user": "app",
    "username": "app",
}
"""As CloudNativePG writes `<cluster>-app`."""
RABBITMQ = {
    "connection_string": "amqp://default_user_x:word@rabbit.clinic-a.svc:5672/",
    "default_user.conf": "default_user = default_user_x\ndefault_pass = word\n",
    "host": "rabbit.clinic-a.svc",
    "password": "word",
    "port": "5672",
    "provider": "rabbitmq",
    "type": "rabbitmq",
    "username": "default_user_x",
}
"""As the RabbitMQ cluster operator writes `<cluster>-default-user`."""


def translated(forms: tuple[SecretForm, ...], **values: str) -> dict[str, str]:
    """The values by this operator's names."""
    form = recognise(forms, values)
    assert form is not None
    return dict(form.translate(values, AROUND).values)


def without(values: dict[str, str], *keys: str) -> dict[str, str]:
    """The Secret without some keys."""
    return {key: value for key, value in values.items() if key not in keys}


def test_the_application_of_cloudnative_pg_has_a_database() -> None:
    """Its `uri` is the address; it names the namespace already."""
    assert translated(DATABASE_FORMS, **CLOUDNATIVE_PG) == {"url": CLOUDNATIVE_PG["uri"]}


def test_a_short_host_gets_the_namespace() -> None:
    """Earlier versions of CloudNativePG wrote the short name into `uri`."""
    old = {**CLOUDNATIVE_PG, "uri": "postgresql://app:word@cluster-rw:5432/app"}
    wanted = {"url": "postgresql://app:word@cluster-rw.clinic-a.svc:5432/app"}
    assert translated(DATABASE_FORMS, **old) == wanted
    assert translated(DATABASE_FORMS, **without(CLOUDNATIVE_PG, "uri", "port")) == wanted


@pytest.mark.parametrize(
    ("keys", "host"),
    [
        ({"uri": "postgresql://postgres:word@cluster-rw.clinic-a:5432/*"}, "cluster-rw.clinic-a"),
        ({"uri": "postgresql://postgres:word@cluster-rw.clinic-a:5432/%2A"}, "cluster-rw.clinic-a"),
        ({}, "cluster-rw.clinic-a.svc"),
    ],
)
def test_the_superuser_of_cloudnative_pg_is_an_administrator(
    keys: dict[str, str], host: str
) -> None:
    """Its database is `*`, so it is the address of a server on which to create one."""
    secret = {**without(CLOUDNATIVE_PG, "uri"), "dbname": "*", "username": "postgres", **keys}
    assert translated(DATABASE_FORMS, **secret) == {
        "adminUrl": f"postgresql://postgres:word@{host}:5432/postgres"
    }


def test_the_cluster_operator_of_rabbitmq_has_an_administrator() -> None:
    """Host and port of AMQP; the management API has its default port."""
    wanted = {
        "managementUrl": "http://rabbit.clinic-a.svc:15672",
        "amqpUrl": "amqp://rabbit.clinic-a.svc:5672",
        "username": "default_user_x",
        "password": "word",
    }
    assert translated(BROKER_FORMS, **RABBITMQ) == wanted
    assert translated(BROKER_FORMS, **without(RABBITMQ, "connection_string", "port")) == wanted
    assert translated(BROKER_FORMS, **without(RABBITMQ, "host", "port")) == wanted
    assert translated(BROKER_FORMS, connection_string=RABBITMQ["connection_string"]) == wanted
    assert translated(BROKER_FORMS, **{**RABBITMQ, "host": "rabbit"}) == wanted


def test_port_5671_is_tls() -> None:
    """So is its management API; another port of it is a field of the spec."""
    secret = {**RABBITMQ, "port": "5671"}
    found = translated(BROKER_FORMS, **secret)
    assert found["amqpUrl"] == "amqps://rabbit.clinic-a.svc:5671"
    assert found["managementUrl"] == "https://rabbit.clinic-a.svc:15671"
    form = recognise(BROKER_FORMS, secret)
    assert form is not None
    values = form.translate(secret, Surroundings("a", 8443)).values
    assert values["managementUrl"] == "https://rabbit.clinic-a.svc:8443"


STRANGE = "a@b:c/%23#d ü?&+\\\"'$[]"


@pytest.mark.parametrize("user", ["app", STRANGE])
def test_any_character_is_allowed_in_user_and_password(user: str) -> None:
    """They are percent-encoded where they become part of an address."""
    secret = {**without(CLOUDNATIVE_PG, "uri"), "username": user, "password": STRANGE}
    parts = urlsplit(translated(DATABASE_FORMS, **secret)["url"])
    assert unquote(parts.username or "") == user
    assert unquote(parts.password or "") == STRANGE
    assert parts.hostname == "cluster-rw.clinic-a.svc"
    broker = translated(BROKER_FORMS, **{**RABBITMQ, "username": user, "password": STRANGE})
    assert (broker["username"], broker["password"]) == (user, STRANGE)
    cache = urlsplit(translated(CACHE_FORMS, host="redis", password=STRANGE)["url"])
    assert (unquote(cache.password or ""), cache.hostname) == (STRANGE, "redis.clinic-a.svc")


@pytest.mark.parametrize(
    ("hosts", "ports", "wanted"),
    [
        ("a.x,b.x", "5432", (("a.x", 5432), ("b.x", 5432))),
        ("a,b.x", "5432,5433", (("a.clinic-a.svc", 5432), ("b.x", 5433))),
        ("fd00::1", "5432", (("fd00::1", 5432),)),
        ("[fd00::1], 10.0.0.1", "1", (("fd00::1", 1), ("10.0.0.1", 1))),
    ],
)
def test_lists_of_hosts_are_read_as_libpq_does(
    hosts: str, ports: str, wanted: tuple[tuple[str, int], ...]
) -> None:
    """One port for all, or one for each."""
    secret = {**without(CLOUDNATIVE_PG, "uri"), "host": hosts, "port": ports}
    address = translated(DATABASE_FORMS, **secret)["url"]
    assert read_database_address(address).hosts == wanted


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("cluster-rw", "cluster-rw.clinic-a.svc"),
        ("cluster-rw.other", "cluster-rw.other"),
        ("10.0.0.1", "10.0.0.1"),
        ("fd00::1", "fd00::1"),
        ("[fd00::1]", "[fd00::1]"),
        ("localhost", "localhost"),
    ],
)
def test_only_short_names_are_qualified(host: str, found: str) -> None:
    """Not addresses, and not names that have a namespace or domain."""
    assert qualified(host, "clinic-a") == found


def test_a_cache_and_a_store_have_their_forms() -> None:
    """A Service Binding, and the Secret of an ObjectBucketClaim."""
    assert translated(CACHE_FORMS, uri="redis://:word@redis:6379") == {
        "url": "redis://:word@redis.clinic-a.svc:6379"
    }
    assert translated(CACHE_FORMS, host="redis.x", port="7", username="u", password="w") == {
        "url": "redis://u:w@redis.x:7/0"
    }
    secret = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "word"}
    wanted = {"accessKeyId": "id", "secretAccessKey": "word"}
    assert translated(STORE_FORMS, **secret) == wanted


@pytest.mark.parametrize(
    ("forms", "secret"),
    [
        (DATABASE_FORMS, {"host": "a", "password": "b", "dbname": "c"}),
        (DATABASE_FORMS, {"uri": "", "host": "a"}),
        (BROKER_FORMS, {"host": "a", "username": "b"}),
        (BROKER_FORMS, {}),
        (CACHE_FORMS, {"password": "b"}),
        (STORE_FORMS, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": ""}),
    ],
)
def test_an_incomplete_secret_is_not_recognised(
    forms: tuple[SecretForm, ...], secret: dict[str, str]
) -> None:
    """A key that is missing or empty."""
    assert recognise(forms, secret) is None


def test_no_value_is_shown() -> None:
    """Not in the representation of the result either."""
    form = recognise(DATABASE_FORMS, CLOUDNATIVE_PG)
    assert form is not None
    assert "word" not in repr(form.translate(CLOUDNATIVE_PG, AROUND))


def test_the_guide_has_each_form() -> None:
    """The table of the guide has the keys of each form, and no other form."""
    path = Path(__file__).parents[3] / "docs" / "how-to" / "connect-your-own-secrets.md"
    table = path.read_text(encoding="utf-8").partition("<!-- forms -->")[2]
    rows = [
        line.split("|")[3]
        for line in table.partition("<!-- end of forms -->")[0].splitlines()
        if line.startswith("| `spec")
    ]
    found = [set(re.findall(r"`([A-Za-z_]+)`", row)) for row in rows]
    forms = (*STORE_FORMS, *BROKER_FORMS, *DATABASE_FORMS, *CACHE_FORMS)
    assert found == [set(form.all_keys) for form in forms]
