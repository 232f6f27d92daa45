"""
Secrets in a reconciliation.

Those that are named are read, those that are made are kept, and nothing tells them.
"""

import json

import pytest

from healthingest_contract import environment as env
from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.outcome import ReconcileMode
from healthingest_operator.resources.secrets import decode
from support.operator_fakes import KEY, SIGNING_KEY, USER_SECRETS, OperatorFakes

UNREACHABLE = DependencyError(Reason.UNREACHABLE, "no answer")


async def test_an_external_check_sees_a_changed_secret() -> None:
    """A rotated password reaches the pods without anybody touching the HealthIngest."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    await fakes.reconcile()
    fakes.cluster.secret("s3", {"accessKeyId": "user", "secretAccessKey": "rotated"})
    fakes.clock.advance(15)  # Secrets are shared for a while
    await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    assert (
        decode(fakes.cluster.get("Secret", "clinic-service"))[env.STORE_SECRET_ACCESS_KEY]
        == "rotated"
    )


@pytest.mark.parametrize("name", ["s3", "rabbitmq", "postgres"])
async def test_a_missing_secret_is_named_and_heals(name: str) -> None:
    """The message says which Secret; once it is there, the next reconciliation goes on."""
    fakes = OperatorFakes()
    fakes.cluster.objects.pop(("Secret", KEY.namespace, name))
    await fakes.reconcile()
    status, reason, message = fakes.conditions()["SecretsReady"]
    assert (status, reason) == ("False", "SecretNotFound")
    assert f"{KEY.namespace}/{name}" in message
    assert fakes.conditions()["Reconciling"][0] == "True"
    fakes.cluster.secret(name, USER_SECRETS[name])
    await fakes.until_ready()


@pytest.mark.parametrize(
    ("name", "key"), [("s3", "secretAccessKey"), ("rabbitmq", "amqpUrl"), ("postgres", "adminUrl")]
)
async def test_a_missing_key_is_named(name: str, key: str) -> None:
    """The message says which key of which Secret; only people can mend it, so it is Stalled."""
    fakes = OperatorFakes()
    fakes.cluster.secret(
        name, {other: value for other, value in USER_SECRETS[name].items() if other != key}
    )
    await fakes.reconcile()
    _, reason, message = fakes.conditions()["SecretsReady"]
    assert reason == "SecretKeyMissing"
    assert key in message
    assert fakes.conditions()["Stalled"][0] == "True"


async def test_a_login_in_the_amqp_address_is_refused() -> None:
    """`amqpUrl` is handed to everybody: a password in it would be too."""
    fakes = OperatorFakes()
    fakes.cluster.secret(
        "rabbitmq", USER_SECRETS["rabbitmq"] | {"amqpUrl": "amqp://u:hush-hush@rabbitmq:5672"}
    )
    await fakes.reconcile()
    _, reason, message = fakes.conditions()["SecretsReady"]
    assert reason == "SecretValueInvalid"
    assert "hush-hush" not in message


@pytest.mark.parametrize("name", ["s3", "rabbitmq", "postgres"])
async def test_a_secret_that_goes_changes_no_child(name: str) -> None:
    """What pods read and where they may go stays as it was."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.forget_writes()
    fakes.cluster.objects.pop(("Secret", KEY.namespace, name))
    await fakes.reconcile()
    assert fakes.all_writes() == ["status"]


async def test_a_lost_secret_is_made_anew_and_known_to_the_broker() -> None:
    """New passwords are written first and told to the broker afterwards."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    before = decode(fakes.cluster.get("Secret", "clinic-consumer"))["password"]
    fakes.cluster.objects.pop(("Secret", KEY.namespace, "clinic-consumer"))
    await fakes.reconcile()
    assert decode(fakes.cluster.get("Secret", "clinic-consumer"))["password"] != before
    assert "user clinic.consumer" in fakes.broker.writes


async def test_secrets_are_kept() -> None:
    """Passwords and signing key are made once, whatever else changes."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    before = decode(fakes.cluster.get("Secret", "clinic-service"))
    fakes.cluster.secret("s3", {"accessKeyId": "user", "secretAccessKey": "rotated"})
    await fakes.until_ready()
    after = decode(fakes.cluster.get("Secret", "clinic-service"))
    assert after.pop(env.STORE_SECRET_ACCESS_KEY) == "rotated"
    before.pop(env.STORE_SECRET_ACCESS_KEY)
    assert before == after


async def test_a_rotated_secret_rolls_the_pods() -> None:
    """The template's digest changes with what the pods read, and only for those that read it."""
    fakes = OperatorFakes()
    await fakes.until_ready()

    before = fakes.settings_digests()
    fakes.cluster.secret("rabbitmq", USER_SECRETS["rabbitmq"] | {"amqpUrl": "amqp://other:5672"})
    await fakes.until_ready()
    assert before[1] != fakes.settings_digests()[1]


async def test_no_secret_reaches_status_or_events() -> None:
    """Neither the user's secrets nor the made ones."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.broker.fault = UNREACHABLE
    await fakes.reconcile()
    made = decode(fakes.cluster.get("Secret", "clinic-service")) | decode(
        fakes.cluster.get("Secret", "clinic-consumer")
    )
    told = json.dumps([fakes.cluster.get("HealthIngest", KEY.name)["status"], fakes.cluster.events])
    for secret in (
        "store-secret",
        "broker-secret",
        "database-secret",
        made["password"],
        SIGNING_KEY[28:32],
    ):
        assert secret not in told
    assert made[env.DATABASE_URL] not in told


async def test_secrets_stay_out_of_everything_but_secrets() -> None:
    """No ConfigMap, Deployment or Job bears one."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    made = decode(fakes.cluster.get("Secret", "clinic-service"))
    others = [found for (kind, _, _), found in fakes.cluster.objects.items() if kind != "Secret"]
    for value in made.values():
        assert json.dumps(value)[1:-1] not in json.dumps(others) or value == "user"
