"""The operator's object store port on a real S3 server (versitygw)."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from healthingest_contract.conditions import Reason
from healthingest_operator.adapters.s3.store import PROBE_KEY, S3ObjectStore, s3_object_store
from healthingest_operator.api.v1alpha1 import ObjectLockSpec, ObjectStoreSpec, StoreSecretRef
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import StoreAccess
from healthingest_operator.resources import bucket
from support.servers.process import free_port
from support.servers.versitygw import S3Server
from support.servers.versitygw import s3_server as s3_server_process

SPEC = ObjectStoreSpec(bucket="bucket", credentials_secret_ref=StoreSecretRef(name="secret"))


@pytest.fixture(name="store")
async def _store() -> AsyncIterator[S3ObjectStore]:
    async with s3_object_store(10) as found:
        yield found


def access(server: S3Server) -> StoreAccess:
    """The server's own credentials."""
    return StoreAccess(
        server.endpoint,
        server.region,
        server.bucket,
        server.access_key_id,
        server.secret_access_key,
    )


async def test_a_bucket_is_made_completed_and_removed(
    store: S3ObjectStore, s3_gateway: S3Server
) -> None:
    """A second check finds everything that this store supports."""
    where = replace(access(s3_gateway), bucket=f"made-{free_port()}")
    assert await store.observe(where) is None
    await store.create(where)
    await store.create(where)
    observed = await store.observe(where)
    assert observed is not None
    done = [await store.carry_out(where, step) for step in bucket.plan(SPEC, "a/b", observed)]
    assert any(done)
    again = await store.observe(where)
    assert again is not None
    assert again.owner == "a/b"
    assert not {step.capability for step in bucket.plan(SPEC, "a/b", again)} & {
        bucket.Capability.TAGGING
    }
    assert await store.remove(where)
    assert await store.remove(where)
    assert await store.observe(where) is None


async def test_what_the_store_lacks_is_seen(store: S3ObjectStore, s3_server: S3Server) -> None:
    """Versitygw answers 501 to encryption settings, lifecycle and the block of public access."""
    observed = await store.observe(access(s3_server))
    assert observed is not None
    assert observed.missing >= {bucket.Capability.ENCRYPTION, bucket.Capability.LIFECYCLE}


async def test_a_bucket_is_created_with_its_lock(
    store: S3ObjectStore, s3_gateway: S3Server
) -> None:
    """The retention is set, and a later change of it has another fingerprint."""
    where = replace(access(s3_gateway), bucket=f"locked-{free_port()}")
    await store.create(where, object_lock=True)
    wanted = ObjectStoreSpec(
        bucket=where.bucket,
        credentials_secret_ref=StoreSecretRef(name="secret"),
        object_lock=ObjectLockSpec(mode="Governance", days=3),
    )
    observed = await store.observe(where, needs_object_lock=True)
    assert observed is not None
    assert observed.object_lock is not None
    assert observed.retention == {}
    (step,) = [
        step
        for step in bucket.plan(wanted, "a/b", observed)
        if step.capability is bucket.Capability.OBJECT_LOCK
    ]
    before = await store.fingerprint(where, needs_object_lock=True)
    assert await store.carry_out(where, step)
    assert await store.fingerprint(where, needs_object_lock=True) != before
    again = await store.observe(where, needs_object_lock=True)
    assert again is not None
    assert again.retention == {"Mode": "GOVERNANCE", "Days": 3}


async def test_keys_that_only_read_are_told_from_others(store: S3ObjectStore) -> None:
    """Without rights they are refused; nothing of the checks stays in the bucket."""
    with s3_server_process() as server:
        made = server.new_bucket()
        await _check_readers(store, access(made), access(made.new_user("reader-secret")))


async def _check_readers(store: S3ObjectStore, owner: StoreAccess, reader: StoreAccess) -> None:
    with pytest.raises(DependencyError) as raised:
        await store.may_write(reader, owner)
    assert raised.value.reason is Reason.PERMISSION_DENIED
    await allow(store, owner, reader, "s3:GetObject")
    assert not await store.may_write(reader, owner)
    await allow(store, owner, reader, "s3:GetObject", "s3:PutObject")
    assert await store.may_write(reader, owner)
    assert await store.may_write(owner, owner)
    async with store._clients.of(owner) as client:
        assert "Contents" not in await client.list_objects_v2(Bucket=owner.bucket)


async def allow(store: S3ObjectStore, owner: StoreAccess, user: StoreAccess, *actions: str) -> None:
    """Give *user* these rights on the objects of the bucket, and no others."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": [user.access_key_id]},
        "Action": actions,
        "Resource": f"arn:aws:s3:::{owner.bucket}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    async with store._clients.of(owner) as client:
        await client.put_bucket_policy(Bucket=owner.bucket, Policy=policy)


async def test_a_bucket_without_lock_is_seen(store: S3ObjectStore, s3_server: S3Server) -> None:
    """The store supports it, and this bucket does not have it."""
    observed = await store.observe(access(s3_server), needs_object_lock=True)
    assert observed is not None
    assert observed.object_lock is None
    assert bucket.Capability.OBJECT_LOCK not in observed.missing


async def test_the_probe_leaves_nothing_behind(store: S3ObjectStore, s3_server: S3Server) -> None:
    """The store verifies checksums; the bucket is empty afterwards, so it can be removed."""
    await store.check(access(s3_server))
    assert await store.probe(access(s3_server)) == frozenset()
    assert await store.remove(access(s3_server))


async def test_an_object_is_seen(store: S3ObjectStore, s3_server: S3Server) -> None:
    """The probe's own object does not count: it may remain where nothing may be removed."""
    where = access(s3_server)
    assert await store.is_empty(where)
    async with store._clients.of(where) as client:
        await client.put_object(Bucket=where.bucket, Key=PROBE_KEY, Body=b"")
        assert await store.is_empty(where)
        await client.put_object(Bucket=where.bucket, Key="raw/a", Body=b"")
    assert not await store.is_empty(where)


async def test_records_of_erasures_are_seen(store: S3ObjectStore, s3_server: S3Server) -> None:
    """Uploads are none."""
    where = access(s3_server)
    async with store._clients.of(where) as client:
        await client.put_object(Bucket=where.bucket, Key="raw/a", Body=b"")
        assert not await store.has_erasures(where)
        await client.put_object(Bucket=where.bucket, Key="erasures/1/2.json", Body=b"")
    assert await store.has_erasures(where)


async def test_a_mark_is_taken_off(store: S3ObjectStore, s3_server: S3Server) -> None:
    """A bucket without tags is a valid state, too."""
    where = access(s3_server)
    assert await store.carry_out(
        where, bucket.Step(bucket.Capability.TAGGING, {bucket.OWNER_TAG: "a/b"})
    )
    assert await store.carry_out(where, bucket.Step(bucket.Capability.TAGGING, {}))
    observed = await store.observe(where)
    assert observed is not None
    assert observed.tags == {}


@pytest.mark.parametrize(
    ("key_id", "secret", "reason"),
    [
        (None, "hush-hush", Reason.AUTHENTICATION_FAILED),
        ("nobody", None, Reason.AUTHENTICATION_FAILED),
    ],
)
async def test_wrong_credentials_have_a_name(
    store: S3ObjectStore,
    s3_server: S3Server,
    key_id: str | None,
    secret: str | None,
    reason: Reason,
) -> None:
    """Also for the first request, whose refusal has no body; no message contains the secret."""
    known = access(s3_server)
    wrong = replace(
        known,
        access_key_id=key_id or known.access_key_id,
        secret_access_key=secret or known.secret_access_key,
    )
    with pytest.raises(DependencyError) as raised:
        await store.observe(wrong)
    assert raised.value.reason is reason
    assert "hush" not in raised.value.message


async def test_nobody_there_is_unreachable(store: S3ObjectStore, s3_server: S3Server) -> None:
    """A closed port."""
    with pytest.raises(DependencyError) as raised:
        await store.observe(replace(access(s3_server), endpoint=f"http://127.0.0.1:{free_port()}"))
    assert raised.value.reason is Reason.UNREACHABLE
