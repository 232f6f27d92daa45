"""Secrets with other key names, of other forms, and with newlines."""

from typing import Any

import pytest

from healthingest_contract import environment as env
from healthingest_operator.reconcile.ttl_cache import TTL_SECONDS
from healthingest_operator.resources.secrets import decode, password_of, user_of
from healthingest_operator.settings import Settings
from support.operator_fakes import KEY, USER_SECRETS, OperatorFakes, manifest

CLUSTER_APP = {
    "dbname": "app",
    "host": "cluster-rw",
    "password": "word",
    "port": "5432",
    "uri": "postgresql://app:word@cluster-rw.clinic-a:5432/app",
    "username": "app",
}
DEFAULT_USER = {
    "connection_string": "amqp://default_user_x:word@rabbit.clinic-a.svc:5672/",
    "host": "rabbit.clinic-a.svc",
    "password": "word",
    "port": "5672",
    "username": "default_user_x",
}


def with_keys(section: str, field: str, **keys: str) -> dict[str, Any]:
    """Return a spec whose reference *section*.*field* has these `keys`."""
    spec: dict[str, Any] = manifest(cache={"secretRef": {"name": "redis"}})["spec"]
    spec[section][field]["keys"] = keys
    return spec


def service(fakes: OperatorFakes) -> dict[str, str]:
    """The values of the service's Secret."""
    return decode(fakes.cluster.get("Secret", "clinic-service"))


@pytest.mark.parametrize(
    ("section", "field", "secret", "name"),
    [
        ("objectStore", "credentialsSecretRef", "s3", "accessKeyId"),
        ("objectStore", "credentialsSecretRef", "s3", "secretAccessKey"),
        ("broker", "adminSecretRef", "rabbitmq", "managementUrl"),
        ("broker", "adminSecretRef", "rabbitmq", "amqpUrl"),
        ("broker", "adminSecretRef", "rabbitmq", "username"),
        ("broker", "adminSecretRef", "rabbitmq", "password"),
        ("database", "secretRef", "postgres", "adminUrl"),
        ("cache", "secretRef", "redis", "url"),
    ],
)
async def test_each_key_can_have_another_name(
    section: str, field: str, secret: str, name: str
) -> None:
    """`keys` names it; without that key the message has its name and the field."""
    fakes = OperatorFakes(**with_keys(section, field, **{name: "other.name"}))
    fakes.cluster.secret("redis", {"url": "redis://redis:6379"})
    values = decode(fakes.cluster.get("Secret", secret))
    fakes.cluster.secret(secret, values)
    await fakes.reconcile()
    _, reason, message = fakes.conditions()["SecretsReady"]
    assert reason == "SecretKeyMissing"
    assert "key other.name" in message
    assert f"spec.{section}.{field}.keys." in message
    fakes.cluster.secret(
        secret, {("other.name" if key == name else key): value for key, value in values.items()}
    )
    await fakes.until_ready()


async def test_with_keys_no_other_form_is_read() -> None:
    """A Secret that CloudNativePG could have written is refused, as `keys` names another key."""
    fakes = OperatorFakes(**with_keys("database", "secretRef", url="dsn"))
    fakes.cluster.secret("redis", {"url": "redis://redis:6379"})
    fakes.cluster.secret("postgres", CLUSTER_APP)
    await fakes.reconcile()
    assert fakes.conditions()["SecretsReady"] == (
        "False",
        "SecretKeyMissing",
        (
            f"Secret {KEY.namespace}/postgres has no key dsn and no key adminUrl, which"
            " spec.database.secretRef.keys.url names: add one of them; it has 6 keys in all"
        ),
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"other": "hush-hush"}, "it has 1 key in all"),
        ({"hush-hush": "a", "b": "c"}, "it has 2 keys in all"),
        (
            {"DATABASE_URL": "hush-hush", "b": "c"},
            (
                "if its key DATABASE_URL has that value, set"
                " spec.database.secretRef.keys.url to DATABASE_URL"
            ),
        ),
    ],
)
async def test_the_keys_that_exist_are_counted(values: dict[str, str], words: str) -> None:
    """Only a well-known key is named; another one could be a secret itself."""
    fakes = OperatorFakes()
    fakes.cluster.secret("postgres", values)
    await fakes.reconcile()
    _, reason, message = fakes.conditions()["SecretsReady"]
    assert reason == "SecretKeyMissing"
    assert message.endswith(words)
    assert "hush" not in message


async def test_the_secret_of_cloudnative_pg_is_used_as_it_is() -> None:
    """The database is the existing one: nothing is created, and no role either."""
    fakes = OperatorFakes()
    fakes.cluster.secret("postgres", CLUSTER_APP)
    fakes.database.logins.add(CLUSTER_APP["uri"])
    await fakes.until_ready()
    assert service(fakes)[env.DATABASE_URL] == CLUSTER_APP["uri"]
    assert fakes.database.places == set()


async def test_the_superuser_of_cloudnative_pg_creates_a_database() -> None:
    """With a role of its own, on the server of the Secret."""
    fakes = OperatorFakes()
    fakes.cluster.secret(
        "postgres",
        {**CLUSTER_APP, "dbname": "*", "uri": "postgresql://postgres:word@cluster-rw.clinic-a/*"},
    )
    await fakes.until_ready()
    (place,) = fakes.database.places
    assert place.startswith("cluster-rw.clinic-a/healthingest_")
    assert user_of(service(fakes)[env.DATABASE_URL]) == place.partition("/")[2]


async def test_the_secret_of_the_rabbitmq_cluster_operator_is_used_as_it_is() -> None:
    """The relay gets its own user on that broker."""
    fakes = OperatorFakes()
    fakes.cluster.secret("rabbitmq", DEFAULT_USER)
    await fakes.until_ready()
    url = service(fakes)[env.BROKER_URL]
    assert url.rpartition("@")[2] == "rabbit.clinic-a.svc:5672/clinic"
    assert user_of(url) == "clinic.relay"
    assert fakes.conditions()["BrokerReady"][2] == "broker rabbit.clinic-a.svc:5672"


@pytest.mark.parametrize(
    ("secret", "values", "origin"),
    [
        ("rabbitmq", {**DEFAULT_USER, "port": "amqp"}, "one of the keys host and port"),
        ("postgres", {"uri": "mysql://hush-hush@a/b"}, "key uri"),
        ("postgres", {**CLUSTER_APP, "uri": "", "port": "1,2,3"}, "one of the keys host and port"),
    ],
)
async def test_an_invalid_value_is_named_by_its_key(
    secret: str, values: dict[str, str], origin: str
) -> None:
    """The key of the Secret, not the name that this operator has for the value."""
    fakes = OperatorFakes()
    fakes.cluster.secret(secret, values)
    await fakes.reconcile()
    _, reason, message = fakes.conditions()["SecretsReady"]
    assert reason == "SecretValueInvalid"
    assert message.startswith(f"{origin} of Secret {KEY.namespace}/{secret} ")
    assert "hush" not in message


async def test_a_newline_at_the_end_is_a_warning() -> None:
    """
    It is trimmed, and the condition and an event name the key.

    A newline in a key that is not read is no matter.
    """
    fakes = OperatorFakes()
    fakes.cluster.secret("s3", {"accessKeyId": "user", "secretAccessKey": "word \r\n"})
    fakes.cluster.secret("postgres", {**CLUSTER_APP, "pgpass": "a\n"})
    fakes.database.logins.add(CLUSTER_APP["uri"])
    await fakes.until_ready()
    message = (
        f"all Secrets exist; key secretAccessKey of Secret {KEY.namespace}/s3 ends with a newline,"
        " which is ignored: remove it"
    )
    assert fakes.conditions()["SecretsReady"] == ("True", "SecretValueTrimmed", message)
    assert [warning for warning in fakes.cluster.warnings if message in warning]
    assert service(fakes)[env.STORE_SECRET_ACCESS_KEY] == "word "
    fakes.cluster.secret("s3", {"accessKeyId": "user", "secretAccessKey": "word "})
    await fakes.until_ready()
    assert fakes.conditions()["SecretsReady"][1] == "Provisioned"


async def test_any_character_reaches_the_service() -> None:
    """In the access key and in the password of the database."""
    strange = " a@b:c/%#d ü\"'\\"
    fakes = OperatorFakes()
    fakes.cluster.secret("s3", {"accessKeyId": strange, "secretAccessKey": strange})
    values = {**CLUSTER_APP, "uri": "", "password": strange}
    fakes.cluster.secret("postgres", values)
    url = (
        "postgresql://app:%20a%40b%3Ac%2F%25%23d%20%C3%BC%22%27%5C@cluster-rw.clinic-a.svc:5432/app"
    )
    fakes.database.logins.add(url)
    await fakes.until_ready()
    assert service(fakes)[env.STORE_SECRET_ACCESS_KEY] == strange
    assert password_of(service(fakes)[env.DATABASE_URL]) == strange


def test_a_refreshed_secret_is_noticed_within_a_minute() -> None:
    """By default: the longest time between two checks, and the age of a cached Secret."""
    settings = Settings(service_image="a")
    assert settings.external_check_seconds + TTL_SECONDS <= 60


async def test_a_refreshed_secret_reaches_the_pods() -> None:
    """As External Secrets rewrites it: the same object with other values, in every form."""
    fakes = OperatorFakes()
    fakes.cluster.secret("postgres", CLUSTER_APP)
    new = {**CLUSTER_APP, "uri": CLUSTER_APP["uri"].replace("word", "new-word")}
    fakes.database.logins |= {CLUSTER_APP["uri"], new["uri"]}
    await fakes.until_ready()
    before = fakes.settings_digests()
    fakes.cluster.secret("postgres", new)
    fakes.cluster.secret("rabbitmq", USER_SECRETS["rabbitmq"])
    await fakes.until_ready()
    assert service(fakes)[env.DATABASE_URL] == new["uri"]
    assert fakes.settings_digests() != before


async def test_pods_may_reach_every_host_of_the_database() -> None:
    """The NetworkPolicies of API, relay and migration have the ports of all hosts."""
    url = "postgresql://app:word@a.x:5432,b.x:6432/app?target_session_attrs=read-write"
    fakes = OperatorFakes()
    fakes.cluster.secret("postgres", {"url": url})
    fakes.database.logins.add(url)
    await fakes.until_ready()
    for name in ("clinic-api", "clinic-relay", "clinic-migrate"):
        egress = fakes.cluster.get("NetworkPolicy", name)["spec"]["egress"]
        ports = {port["port"] for rule in egress for port in rule.get("ports", ())}
        assert {5432, 6432} <= ports
    assert fakes.conditions()["DatabaseReady"][2].startswith("database app on a.x:5432,b.x:6432")


async def test_hosts_may_be_parameters_of_the_address() -> None:
    """The service gets them before the path, where every part of it reads them."""
    wanted = "postgresql://app:word@a.x:5432,b.x:5432/app"
    fakes = OperatorFakes()
    fakes.cluster.secret("postgres", {"url": "postgresql://app:word@/app?host=a.x,b.x"})
    fakes.database.logins.add(wanted)
    await fakes.until_ready()
    assert service(fakes)[env.DATABASE_URL] == wanted
