"""What an external check sees, and what it saves."""

from collections.abc import Callable

import pytest

from healthingest_contract.conditions import Reason
from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.reconcile.reconcile import reconcile
from healthingest_operator.reconcile.records import Records
from healthingest_operator.reconcile.ttl_cache import TTL_SECONDS
from healthingest_operator.resources import bucket
from support.operator_fakes import KEY, USER_SECRETS, OperatorFakes, manifest


@pytest.fixture(name="fakes")
async def _world() -> OperatorFakes:
    """One that is ready, and was found so by an external check."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    for _ in range(2):
        await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    return fakes


async def test_what_is_as_it_was_is_not_looked_at_in_full(fakes: OperatorFakes) -> None:
    """
    No list of children, no look at the broker's things one by one.

    A full reconciliation leaves a fingerprint, too.
    """
    lists = fakes.cluster.lists
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.UNCHANGED
    assert fakes.cluster.lists == lists
    assert await fakes.reconcile() is Outcome.READY
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.UNCHANGED


async def test_a_new_process_looks_in_full(fakes: OperatorFakes) -> None:
    """Nothing is remembered elsewhere."""
    fakes.records = Records()
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.READY
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.UNCHANGED


def _remove_queue(fakes: OperatorFakes) -> None:
    del fakes.broker.things["queues", "clinic", "processing"]


def _remove_binding(fakes: OperatorFakes) -> None:
    fakes.broker.bindings.clear()


def _change_policy(fakes: OperatorFakes) -> None:
    fakes.broker.things["policies", "clinic", "healthingest-processing"]["priority"] = 1


def _remove_user(fakes: OperatorFakes) -> None:
    del fakes.broker.things["users", "clinic.relay"]


def _take_bucket(fakes: OperatorFakes) -> None:
    del fakes.store.buckets["clinic-data"]


def _change_bucket(fakes: OperatorFakes) -> None:
    fakes.store.buckets["clinic-data"] = bucket.Observed(tags={bucket.OWNER_TAG: str(KEY)})


def _remove_own_secret(fakes: OperatorFakes) -> None:
    del fakes.cluster.objects["Secret", KEY.namespace, "clinic-consumer"]


def _change_own_secret(fakes: OperatorFakes) -> None:
    fakes.cluster.get("Secret", "clinic-service")["data"].popitem()


@pytest.mark.parametrize(
    "break_something",
    [
        _remove_queue,
        _remove_binding,
        _change_policy,
        _remove_user,
        _take_bucket,
        _change_bucket,
        _remove_own_secret,
        _change_own_secret,
    ],
)
async def test_external_checks_alone_see_and_heal(
    fakes: OperatorFakes, break_something: Callable[[OperatorFakes], None]
) -> None:
    """
    Whatever it is, the next external check goes on to heal it, and says so.

    Later ones find all as it was.
    """
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.UNCHANGED
    break_something(fakes)
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is not Outcome.UNCHANGED
    for _ in range(4):
        fakes.cluster.settle()
        last = await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    assert last is Outcome.UNCHANGED
    new = OperatorFakes()
    await new.until_ready()
    assert set(fakes.broker.things) == set(new.broker.things)
    assert [fakes.cluster.names(kind) for kind in ("Secret", "Deployment")] == [
        new.cluster.names(kind) for kind in ("Secret", "Deployment")
    ]
    assert fakes.store.buckets == new.store.buckets


async def test_the_same_again_is_seen(fakes: OperatorFakes) -> None:
    """The fingerprint is of the state before a reconciliation has healed it."""
    _remove_binding(fakes)
    assert await fakes.reconcile() is Outcome.READY
    assert fakes.broker.bindings
    _remove_binding(fakes)
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.READY
    assert fakes.broker.bindings


async def test_what_a_pass_did_not_find_good_is_not_taken_for_good(fakes: OperatorFakes) -> None:
    """Outside all is as it was, but pods are missing."""
    fakes.cluster.get("Deployment", "clinic-api")["status"]["availableReplicas"] = 0
    assert await fakes.reconcile() is Outcome.PROGRESSING
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.PROGRESSING


async def test_a_changed_secret_is_seen_within_seconds(fakes: OperatorFakes) -> None:
    """It is shared with others for a moment, and no longer."""
    fakes.cluster.secret("s3", USER_SECRETS["s3"] | {"secretAccessKey": "another"})
    fakes.clock.advance(TTL_SECONDS * 1.25)
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.PROGRESSING
    assert fakes.store.writes[-1] == "probe clinic-data"


async def test_who_cannot_be_reached_is_said(fakes: OperatorFakes) -> None:
    """An external check that cannot read the state becomes a full one, which reports why."""
    fakes.broker.fault = DependencyError(Reason.UNREACHABLE, "no answer")
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.FAILING
    assert fakes.conditions()["BrokerReady"][:2] == ("False", "Unreachable")


async def test_each_login_of_one_database_server_is_tried() -> None:
    """A server's answer to one HealthIngest is never an answer for another, even when shared."""
    fakes = OperatorFakes(database={"secretRef": {"name": "own"}})
    other = Key(KEY.namespace, "other")
    fakes.cluster.put(
        manifest(
            database={"secretRef": {"name": "others"}},
            objectStore={
                "bucket": "other-data",
                "endpoint": "http://s3:7070",
                "credentialsSecretRef": {"name": "s3"},
            },
            broker={"adminSecretRef": {"name": "rabbitmq"}, "virtualHost": "other"},
        )
        | {
            "metadata": {
                "name": other.name,
                "namespace": other.namespace,
                "uid": "2",
                "generation": 1,
            }
        }
    )
    for secret in ("own", "others"):
        url = f"postgresql://{secret}:word@postgres:5432/{secret}"
        fakes.cluster.secret(secret, {"url": url})
        fakes.database.logins.add(url)
    for _ in range(6):
        await fakes.until_ready()
        await reconcile(fakes.ports, other, ReconcileMode.FULL)
    assert await reconcile(fakes.ports, other, ReconcileMode.EXTERNAL_CHECK) is Outcome.UNCHANGED
    fakes.database.logins = {url for url in fakes.database.logins if "//others:" not in url}
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.UNCHANGED
    assert await reconcile(fakes.ports, other, ReconcileMode.EXTERNAL_CHECK) is Outcome.FAILING


async def test_nothing_is_as_it_was_that_was_not_seen() -> None:
    """
    What is not ready, or could not be seen, leaves nothing behind.

    A discarded fingerprint leads to a full reconciliation.
    """
    fakes = OperatorFakes()
    await fakes.reconcile()
    assert fakes.records.of(KEY).fingerprint is None
    await fakes.until_ready()
    await fakes.reconcile()
    assert fakes.records.of(KEY).fingerprint is not None
    fakes.records.of(KEY).discard_fingerprint()
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.READY
