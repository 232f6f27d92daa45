"""Secrets that the operator makes."""

from urllib.parse import unquote, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from healthingest_contract import environment as env
from healthingest_operator.adapters.system import system_generators
from healthingest_operator.api.healthingest import parse
from healthingest_operator.resources.secrets import (
    FINGERPRINT_KEY,
    UserSecrets,
    consumer_values,
    decode,
    digest,
    password_of,
    secret_object,
    service_values,
)
from support.operator_fakes import manifest

OWNER = parse(manifest())
MAKE = system_generators()
KNOWN = UserSecrets(
    "id",
    "secret",
    "amqp://broker:5672",
    None,
    "postgresql://admin:word@db:5432/postgres?sslmode=require",
)


def test_values_are_made_once_and_kept() -> None:
    """A second reconciliation changes nothing."""
    first = service_values(OWNER, KNOWN, {}, {}, MAKE)
    assert service_values(OWNER, KNOWN, first, {}, MAKE) == first
    other = consumer_values(OWNER, KNOWN, {}, {}, MAKE)
    assert consumer_values(OWNER, KNOWN, other, {}, MAKE) == other


def test_what_is_spoilt_is_made_anew() -> None:
    """A truncated key or an empty password is no secret."""
    first = service_values(OWNER, KNOWN, {}, {}, MAKE)
    spoilt = first | {env.IDENTITY_SIGNING_KEYS: "x", env.BROKER_URL: "amqp://broker"}
    second = service_values(OWNER, KNOWN, spoilt, {}, MAKE)
    assert second[env.IDENTITY_SIGNING_KEYS].startswith("-----BEGIN PRIVATE KEY-----")
    assert password_of(second[env.BROKER_URL])


def test_what_cannot_be_read_now_stays() -> None:
    """
    Running pods mount these files.

    A Secret that is gone for a moment must not take them away.
    """
    first = service_values(OWNER, KNOWN, {}, {}, MAKE)
    assert service_values(OWNER, UserSecrets(), first, {}, MAKE) == first


def test_addresses_bear_the_made_login() -> None:
    """The administrator's login is replaced, TLS settings stay, the virtual host is the path."""
    values = service_values(OWNER, KNOWN, {}, {}, MAKE)
    database = urlsplit(values[env.DATABASE_URL])
    assert (database.hostname, database.port, database.query) == ("db", 5432, "sslmode=require")
    assert database.username == database.path.lstrip("/")
    assert "word" not in values[env.DATABASE_URL]
    broker = urlsplit(values[env.BROKER_URL])
    assert (broker.username, unquote(broker.path)) == ("clinic.relay", "/clinic")


def test_consumers_get_a_login_of_their_own() -> None:
    """Not the relay's, and everything that is needed to connect."""
    values = consumer_values(OWNER, KNOWN, {}, {}, MAKE)
    assert set(values) == {"amqpUrl", "url", "username", "password", "virtualHost", "queues"}
    assert values["username"] == "clinic.consumer"
    assert values["password"] != password_of(
        service_values(OWNER, KNOWN, {}, {}, MAKE)[env.BROKER_URL]
    )


@given(st.dictionaries(st.sampled_from("abc"), st.text()))
def test_what_is_written_is_read(values: dict[str, str]) -> None:
    """Base64 of UTF-8, and back."""
    assert decode(secret_object(OWNER, "a", values)) == values


def test_digests_follow_their_own_values_only() -> None:
    """And they depend on a secret key, so that nobody can try passwords against them."""
    values = service_values(OWNER, KNOWN, {}, {}, MAKE)
    changed = values | {env.BROKER_URL: "amqp://other"}
    assert digest(values, env.API_SECRETS) == digest(changed, env.API_SECRETS)
    assert digest(values, env.RELAY_SECRETS) != digest(changed, env.RELAY_SECRETS)
    rekeyed = values | {FINGERPRINT_KEY: MAKE.password()}
    assert digest(values, env.RELAY_SECRETS) != digest(rekeyed, env.RELAY_SECRETS)
