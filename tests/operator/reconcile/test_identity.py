"""Another database or bucket than before is not taken without a word."""

import pytest

from healthingest_contract import environment as env
from healthingest_operator.reconcile.identity import database_place
from healthingest_operator.reconcile.reconcile import Look
from healthingest_operator.resources import bucket
from support.operator_world import KEY, USER_SECRETS, FakeWorld

FORMER, OTHER = "postgres:5432/clinic", "other:5432/clinic"


def address(place: str) -> str:
    """Of a prepared database."""
    return f"postgresql://clinic:word@{place}"


def use_database(world: FakeWorld, place: str) -> None:
    """Let the Secret have this address, of a login that works."""
    world.database.logins.add(address(place))
    world.cluster.secret("postgres", {"url": address(place)})


def confirm(world: FakeWorld, what: str, place: str) -> None:
    """As a person does."""
    metadata = world.cluster.get("HealthIngest", KEY.name)["metadata"]
    metadata.setdefault("annotations", {})[f"healthingest.dev/confirm-{what}"] = place


def pods_use(world: FakeWorld) -> str:
    """The address in the service's own Secret."""
    import base64  # noqa: PLC0415 - here alone

    return base64.b64decode(
        world.cluster.get("Secret", "clinic-service")["data"][env.DATABASE_URL]
    ).decode()


@pytest.fixture(name="world")
async def _world() -> FakeWorld:
    """One that is ready, with a prepared database."""
    world = FakeWorld()
    use_database(world, FORMER)
    await world.until_ready()
    return world


async def test_the_first_installation_leaves_its_mark(world: FakeWorld) -> None:
    """In database, bucket and status, without anybody's help; at rest nothing is written."""
    status = world.cluster.get("HealthIngest", KEY.name)["status"]
    assert world.database.marks == {FORMER: {str(KEY): "uid-1"}}
    assert status["database"] == {"installation": "uid-1"}
    tags = world.store.buckets["clinic-data"].tags
    assert tags == {bucket.OWNER_TAG: str(KEY), bucket.INSTALLATION_TAG: "uid-1"}
    assert status["objectStore"]["place"] == "s3:7070/clinic-data"
    await world.converge()
    world.forget_writes()
    await world.converge()
    assert world.all_writes() == []


async def test_a_database_that_the_operator_makes_is_marked_too() -> None:
    """With an administrator's address."""
    world = FakeWorld()
    await world.until_ready()
    (mark,) = world.database.marks.values()
    assert mark == {str(KEY): "uid-1"}


async def test_an_upgrade_needs_no_hands(world: FakeWorld) -> None:
    """A version without marks has left none, neither outside nor in the status."""
    world.database.marks.clear()
    world.store.buckets["clinic-data"] = bucket.Observed(tags={bucket.OWNER_TAG: str(KEY)})
    status = world.cluster.get("HealthIngest", KEY.name)["status"]
    del status["database"], status["objectStore"]["place"], status["objectStore"]["installation"]
    world.store.full = True
    await world.until_ready()
    assert world.database.marks == {FORMER: {str(KEY): "uid-1"}}
    assert world.store.buckets["clinic-data"].installation == "uid-1"


@pytest.mark.parametrize("mark", [{}, {"other/clinic": "uid-9"}, {str(KEY): "uid-9"}])
async def test_another_database_waits_until_it_is_confirmed(
    world: FakeWorld, mark: dict[str, str]
) -> None:
    """
    An empty one, another HealthIngest's, one of a namesake elsewhere.

    Pods keep the address of before.
    """
    world.database.marks[OTHER] = dict(mark)
    use_database(world, OTHER)
    for _ in range(3):
        await world.converge()
    status, reason, message = world.conditions()["DatabaseReady"]
    assert (status, reason) == ("False", "DatabaseReplaced")
    assert f"healthingest.dev/confirm-database={OTHER}" in message
    assert world.conditions()["Ready"][:2] == ("False", "DatabaseReplaced")
    assert "Stalled" in world.conditions()
    assert pods_use(world) == address(FORMER)
    assert world.database.marks[OTHER] == mark
    confirm(world, "database", "third:5432/clinic")
    await world.converge()
    assert world.conditions()["DatabaseReady"][1] == "DatabaseReplaced", (
        "a confirmation is for one place"
    )
    confirm(world, "database", OTHER)
    await world.until_ready()
    assert pods_use(world) == address(OTHER)
    assert str(KEY) in world.database.marks[OTHER]
    use_database(world, FORMER)
    await world.converge()
    assert world.conditions()["DatabaseReady"][1] == "DatabaseReplaced", (
        "the way back is another change"
    )


async def test_nothing_is_made_on_another_server_until_it_is_confirmed() -> None:
    """With `adminUrl` the operator makes no second database without a confirmation."""
    world = FakeWorld()
    await world.until_ready()
    (made,) = world.database.places
    place = made.replace("postgres:", "other:")
    admin = USER_SECRETS["postgres"]["adminUrl"].replace("@postgres:", "@other:")
    world.cluster.secret("postgres", {"adminUrl": admin})
    await world.converge(Look.COMPLETE)
    assert world.conditions()["DatabaseReady"][1] == "DatabaseReplaced"
    assert world.database.places == {made}
    confirm(world, "database", place)
    await world.until_ready()
    assert world.database.places == {made, place}


async def test_an_emptied_database_waits(world: FakeWorld) -> None:
    """Under the address of before; a restored dump has the mark again."""
    mark = world.database.marks.pop(FORMER)
    await world.converge()
    assert world.conditions()["DatabaseReady"][1] == "DatabaseReplaced"
    world.database.marks[FORMER] = mark
    await world.until_ready()


async def test_the_same_database_under_another_address_is_known(world: FakeWorld) -> None:
    """A restored backup, a promoted standby, another name of the host."""
    world.database.marks[OTHER] = world.database.marks[FORMER]
    use_database(world, OTHER)
    await world.until_ready()
    assert pods_use(world) == address(OTHER)


async def test_a_namesake_that_is_made_anew_knows_its_database() -> None:
    """Another uid and no status: the mark of before goes on."""
    world = FakeWorld()
    world.database.marks[FORMER] = {str(KEY): "uid-of-before"}
    use_database(world, FORMER)
    await world.until_ready()
    assert world.cluster.get("HealthIngest", KEY.name)["status"]["database"] == {
        "installation": "uid-of-before"
    }


async def test_without_the_right_to_make_a_table_all_goes_on(world: FakeWorld) -> None:
    """It is said, and nothing is remembered that is not there."""
    world.database.marks.clear()
    world.database.locked = True
    del world.cluster.get("HealthIngest", KEY.name)["status"]["database"]
    await world.converge()
    status, _, message = world.conditions()["DatabaseReady"]
    assert status == "True"
    assert "may not create a table" in message
    assert "database" not in world.cluster.get("HealthIngest", KEY.name)["status"]


def move_store(world: FakeWorld, found: bucket.Observed | None) -> bucket.Observed:
    """
    Let the spec name another store, where the bucket is as *found*.

    Returns the one of before.
    """
    before = world.store.buckets.pop("clinic-data")
    if found is not None:
        world.store.buckets["clinic-data"] = found
    live = world.cluster.get("HealthIngest", KEY.name)
    live["spec"]["objectStore"]["endpoint"] = "http://other:7070"
    live["metadata"]["generation"] += 1
    return before


@pytest.mark.parametrize(
    "found", [None, bucket.Observed(), bucket.Observed(tags={bucket.OWNER_TAG: str(KEY)})]
)
async def test_another_store_waits_until_it_is_confirmed(
    world: FakeWorld, found: bucket.Observed | None
) -> None:
    """
    Without the bucket, with one of others, with a namesake's.

    Nothing is made there, and pods keep the endpoint.
    """
    move_store(world, found)
    for _ in range(3):
        await world.converge()
    _, reason, message = world.conditions()["BucketReady"]
    assert reason == "ObjectStoreReplaced"
    assert "healthingest.dev/confirm-bucket=other:7070/clinic-data" in message
    assert world.store.buckets.get("clinic-data") == found
    config = world.cluster.get("ConfigMap", "clinic-config")["data"]
    assert config[env.STORE_ENDPOINT] == "http://s3:7070"
    confirm(world, "bucket", "other:7070/clinic-data")
    await world.until_ready()
    config = world.cluster.get("ConfigMap", "clinic-config")["data"]
    assert config[env.STORE_ENDPOINT] == "http://other:7070"
    assert world.store.buckets["clinic-data"].installation not in {None, "uid-1"}, (
        "the way back is another change"
    )


async def test_a_bucket_that_was_moved_with_its_tags_is_known(world: FakeWorld) -> None:
    """It bears the mark."""
    world.store.buckets["clinic-data"] = move_store(world, None)
    await world.until_ready()
    assert (
        world.cluster.get("HealthIngest", KEY.name)["status"]["objectStore"]["place"]
        == "other:7070/clinic-data"
    )


async def test_a_bucket_with_objects_of_others_waits(world: FakeWorld) -> None:
    """
    An empty one is taken; one with objects is, once it is confirmed.

    So is one that was this HealthIngest's.
    """
    world = FakeWorld()
    world.store.buckets["clinic-data"] = bucket.Observed(tags={"cost": "7"})
    world.store.full = True
    await world.converge()
    _, reason, message = world.conditions()["BucketReady"]
    assert reason == "ResourceConflict"
    assert "healthingest.dev/confirm-bucket=s3:7070/clinic-data" in message
    assert world.store.writes == []
    confirm(world, "bucket", "s3:7070/clinic-data")
    await world.until_ready()
    assert world.store.buckets["clinic-data"].tags["cost"] == "7"
    for tags, full in (({"cost": "7"}, False), ({bucket.FORMER_TAG: str(KEY)}, True)):
        world = FakeWorld()
        world.store.buckets["clinic-data"] = bucket.Observed(tags=tags)
        world.store.full = full
        await world.until_ready()


async def test_what_changed_in_its_place_is_healed(world: FakeWorld) -> None:
    """A bucket that went or lost its tags, under the endpoint of before."""
    await world.converge()
    del world.store.buckets["clinic-data"]
    await world.converge(Look.GLANCE)
    assert world.conditions()["BucketReady"][0] == "True"
    assert world.store.buckets["clinic-data"].installation == "uid-1"


def test_a_place_has_no_login() -> None:
    """It stands in messages and annotations."""
    assert (
        database_place("postgresql://a:hush@[::1]:5432/clinic%20a?sslmode=require")
        == "[::1]:5432/clinic a"
    )
