"""Another database or bucket than before is not taken without a word."""

import pytest

from healthingest_contract import environment as env
from healthingest_operator.reconcile.identity import database_place
from healthingest_operator.reconcile.outcome import ReconcileMode
from healthingest_operator.resources import bucket
from healthingest_operator.resources.erasure_key import fingerprint_of
from healthingest_operator.resources.pods import DIGEST_ANNOTATION
from support.operator_fakes import KEY, USER_SECRETS, OperatorFakes, erasure_key

FORMER = "postgres:5432/clinic"
OTHER = "other:5432/clinic"


def address(place: str) -> str:
    """Of a prepared database."""
    return f"postgresql://clinic:word@{place}"


def use_database(fakes: OperatorFakes, place: str) -> None:
    """Let the Secret have this address, of a login that works."""
    fakes.database.logins.add(address(place))
    fakes.cluster.secret("postgres", {"url": address(place)})


def confirm(fakes: OperatorFakes, what: str, place: str) -> None:
    """As a person does."""
    metadata = fakes.cluster.get("HealthIngest", KEY.name)["metadata"]
    metadata.setdefault("annotations", {})[f"healthingest.dev/confirm-{what}"] = place


def pods_use(fakes: OperatorFakes) -> str:
    """The address in the service's own Secret."""
    import base64  # noqa: PLC0415 - here alone

    return base64.b64decode(
        fakes.cluster.get("Secret", "clinic-service")["data"][env.DATABASE_URL]
    ).decode()


def digest_of(fakes: OperatorFakes) -> str:
    """The digest of what the API's pods read."""
    template = fakes.cluster.get("Deployment", "clinic-api")["spec"]["template"]
    return str(template["metadata"]["annotations"][DIGEST_ANNOTATION])


@pytest.fixture(name="fakes")
async def _world() -> OperatorFakes:
    """One that is ready, with a prepared database."""
    fakes = OperatorFakes()
    use_database(fakes, FORMER)
    await fakes.until_ready()
    return fakes


async def test_the_first_installation_leaves_its_mark(fakes: OperatorFakes) -> None:
    """In database, bucket and status, without anybody's help; at rest nothing is written."""
    status = fakes.cluster.get("HealthIngest", KEY.name)["status"]
    assert fakes.database.installations == {FORMER: {str(KEY): "uid-1"}}
    assert status["database"] == {"installation": "uid-1"}
    tags = fakes.store.buckets["clinic-data"].tags
    assert tags == {
        bucket.OWNER_TAG: str(KEY),
        bucket.INSTALLATION_TAG: "uid-1",
        bucket.ERASURE_KEY_TAG: fingerprint_of(erasure_key(0)),
    }
    assert status["objectStore"]["place"] == "s3:7070/clinic-data"
    await fakes.reconcile()
    fakes.forget_writes()
    await fakes.reconcile()
    assert fakes.all_writes() == []


async def test_a_database_that_the_operator_makes_is_marked_too() -> None:
    """With an administrator's address."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    (mark,) = fakes.database.installations.values()
    assert mark == {str(KEY): "uid-1"}


async def test_an_upgrade_needs_no_hands(fakes: OperatorFakes) -> None:
    """A version without marks has left none, neither outside nor in the status."""
    fakes.database.installations.clear()
    fakes.store.buckets["clinic-data"] = bucket.Observed(tags={bucket.OWNER_TAG: str(KEY)})
    status = fakes.cluster.get("HealthIngest", KEY.name)["status"]
    del status["database"], status["objectStore"]["place"], status["objectStore"]["installation"]
    fakes.store.full = True
    await fakes.until_ready()
    assert fakes.database.installations == {FORMER: {str(KEY): "uid-1"}}
    assert fakes.store.buckets["clinic-data"].installation == "uid-1"


@pytest.mark.parametrize("mark", [{}, {"other/clinic": "uid-9"}, {str(KEY): "uid-9"}])
async def test_another_database_waits_until_it_is_confirmed(
    fakes: OperatorFakes, mark: dict[str, str]
) -> None:
    """
    An empty one, another HealthIngest's, one of a namesake elsewhere.

    Pods keep the address of before.
    """
    fakes.database.installations[OTHER] = dict(mark)
    use_database(fakes, OTHER)
    for _ in range(3):
        await fakes.reconcile()
    status, reason, message = fakes.conditions()["DatabaseReady"]
    assert (status, reason) == ("False", "DatabaseReplaced")
    assert f"healthingest.dev/confirm-database={OTHER}" in message
    assert fakes.conditions()["Ready"][:2] == ("False", "DatabaseReplaced")
    assert "Stalled" in fakes.conditions()
    assert pods_use(fakes) == address(FORMER)
    assert fakes.database.installations[OTHER] == mark
    confirm(fakes, "database", "third:5432/clinic")
    await fakes.reconcile()
    assert fakes.conditions()["DatabaseReady"][1] == "DatabaseReplaced", (
        "a confirmation is for one place"
    )
    confirm(fakes, "database", OTHER)
    await fakes.until_ready()
    assert pods_use(fakes) == address(OTHER)
    assert str(KEY) in fakes.database.installations[OTHER]
    use_database(fakes, FORMER)
    await fakes.reconcile()
    assert fakes.conditions()["DatabaseReady"][1] == "DatabaseReplaced", (
        "the way back is another change"
    )


async def test_a_new_database_is_migrated() -> None:
    """Under the address and login of the lost one; the pods start again with it."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    before = fakes.cluster.names("Job"), digest_of(fakes)
    (place,) = fakes.database.places
    fakes.database.places.clear()
    fakes.database.installations.clear()
    fakes.database.logins.clear()
    await fakes.reconcile(ReconcileMode.FULL)
    assert fakes.conditions()["DatabaseReady"][1] == "DatabaseReplaced"
    confirm(fakes, "database", place)
    await fakes.until_ready()
    after = fakes.cluster.names("Job"), digest_of(fakes)
    assert len(set(after[0]) - set(before[0])) == 1
    assert after[1] != before[1]
    await fakes.reconcile()
    assert (fakes.cluster.names("Job"), digest_of(fakes)) == after


async def test_nothing_is_made_on_another_server_until_it_is_confirmed() -> None:
    """With `adminUrl` the operator makes no second database without a confirmation."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    (made,) = fakes.database.places
    place = made.replace("postgres:", "other:")
    admin = USER_SECRETS["postgres"]["adminUrl"].replace("@postgres:", "@other:")
    fakes.cluster.secret("postgres", {"adminUrl": admin})
    await fakes.reconcile(ReconcileMode.FULL)
    assert fakes.conditions()["DatabaseReady"][1] == "DatabaseReplaced"
    assert fakes.database.places == {made}
    confirm(fakes, "database", place)
    await fakes.until_ready()
    assert fakes.database.places == {made, place}


async def test_an_emptied_database_waits(fakes: OperatorFakes) -> None:
    """Under the address of before; a restored dump has the mark again."""
    mark = fakes.database.installations.pop(FORMER)
    await fakes.reconcile()
    assert fakes.conditions()["DatabaseReady"][1] == "DatabaseReplaced"
    fakes.database.installations[FORMER] = mark
    await fakes.until_ready()


async def test_the_same_database_under_another_address_is_known(fakes: OperatorFakes) -> None:
    """A restored backup, a promoted standby, another name of the host."""
    fakes.database.installations[OTHER] = fakes.database.installations[FORMER]
    use_database(fakes, OTHER)
    await fakes.until_ready()
    assert pods_use(fakes) == address(OTHER)


async def test_a_namesake_that_is_made_anew_knows_its_database() -> None:
    """Another uid and no status: the mark of before goes on."""
    fakes = OperatorFakes()
    fakes.database.installations[FORMER] = {str(KEY): "uid-of-before"}
    use_database(fakes, FORMER)
    await fakes.until_ready()
    assert fakes.cluster.get("HealthIngest", KEY.name)["status"]["database"] == {
        "installation": "uid-of-before"
    }


async def test_without_the_right_to_make_a_table_all_goes_on(fakes: OperatorFakes) -> None:
    """It is said, and nothing is remembered that is not there."""
    fakes.database.installations.clear()
    fakes.database.locked = True
    del fakes.cluster.get("HealthIngest", KEY.name)["status"]["database"]
    await fakes.reconcile()
    status, _, message = fakes.conditions()["DatabaseReady"]
    assert status == "True"
    assert "may not create a table" in message
    assert "database" not in fakes.cluster.get("HealthIngest", KEY.name)["status"]


def move_store(fakes: OperatorFakes, found: bucket.Observed | None) -> bucket.Observed:
    """
    Let the spec name another store, where the bucket is as *found*.

    Returns the one of before.
    """
    before = fakes.store.buckets.pop("clinic-data")
    if found is not None:
        fakes.store.buckets["clinic-data"] = found
    live = fakes.cluster.get("HealthIngest", KEY.name)
    live["spec"]["objectStore"]["endpoint"] = "http://other:7070"
    live["metadata"]["generation"] += 1
    return before


@pytest.mark.parametrize(
    "found", [None, bucket.Observed(), bucket.Observed(tags={bucket.OWNER_TAG: str(KEY)})]
)
async def test_another_store_waits_until_it_is_confirmed(
    fakes: OperatorFakes, found: bucket.Observed | None
) -> None:
    """
    Without the bucket, with one of others, with a namesake's.

    Nothing is made there, and pods keep the endpoint.
    """
    move_store(fakes, found)
    for _ in range(3):
        await fakes.reconcile()
    _, reason, message = fakes.conditions()["BucketReady"]
    assert reason == "ObjectStoreReplaced"
    assert "healthingest.dev/confirm-bucket=other:7070/clinic-data" in message
    assert fakes.store.buckets.get("clinic-data") == found
    config = fakes.cluster.get("ConfigMap", "clinic-config")["data"]
    assert config[env.STORE_ENDPOINT] == "http://s3:7070"
    confirm(fakes, "bucket", "other:7070/clinic-data")
    await fakes.until_ready()
    config = fakes.cluster.get("ConfigMap", "clinic-config")["data"]
    assert config[env.STORE_ENDPOINT] == "http://other:7070"
    assert fakes.store.buckets["clinic-data"].installation not in {None, "uid-1"}, (
        "the way back is another change"
    )


async def test_a_bucket_that_was_moved_with_its_tags_is_known(fakes: OperatorFakes) -> None:
    """It bears the mark."""
    fakes.store.buckets["clinic-data"] = move_store(fakes, None)
    await fakes.until_ready()
    assert (
        fakes.cluster.get("HealthIngest", KEY.name)["status"]["objectStore"]["place"]
        == "other:7070/clinic-data"
    )


async def test_a_bucket_with_objects_of_others_waits(fakes: OperatorFakes) -> None:
    """
    An empty one is taken; one with objects is, once it is confirmed.

    So is one that was this HealthIngest's.
    """
    fakes = OperatorFakes()
    fakes.store.buckets["clinic-data"] = bucket.Observed(tags={"cost": "7"})
    fakes.store.full = True
    await fakes.reconcile()
    _, reason, message = fakes.conditions()["BucketReady"]
    assert reason == "ResourceConflict"
    assert "healthingest.dev/confirm-bucket=s3:7070/clinic-data" in message
    assert fakes.store.writes == []
    confirm(fakes, "bucket", "s3:7070/clinic-data")
    await fakes.until_ready()
    assert fakes.store.buckets["clinic-data"].tags["cost"] == "7"
    for tags, full in (({"cost": "7"}, False), ({bucket.FORMER_TAG: str(KEY)}, True)):
        fakes = OperatorFakes()
        fakes.store.buckets["clinic-data"] = bucket.Observed(tags=tags)
        fakes.store.full = full
        await fakes.until_ready()


async def test_what_changed_in_its_place_is_healed(fakes: OperatorFakes) -> None:
    """A bucket that went or lost its tags, under the endpoint of before."""
    await fakes.reconcile()
    del fakes.store.buckets["clinic-data"]
    await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    assert fakes.conditions()["BucketReady"][0] == "True"
    assert fakes.store.buckets["clinic-data"].installation == "uid-1"


def test_a_place_has_no_login() -> None:
    """It stands in messages and annotations."""
    assert (
        database_place("postgresql://a:hush@[::1]:5432/clinic%20a?sslmode=require")
        == "[::1]:5432/clinic a"
    )
