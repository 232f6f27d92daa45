"""The steps of a reconciliation, in their order; each one adds to `ReconcileState`."""

import asyncio
from functools import partial

from healthingest_contract import environment as env
from healthingest_contract.conditions import ConditionType
from healthingest_operator.reconcile import rollout
from healthingest_operator.reconcile.children import Children
from healthingest_operator.reconcile.credentials.erasure_key import reconcile_erasure_key
from healthingest_operator.reconcile.credentials.own_secrets import (
    Given,
    RotationClock,
    promote,
    secrets_condition,
    write_own_secrets,
)
from healthingest_operator.reconcile.credentials.revocation import Rotation, RotationContext
from healthingest_operator.reconcile.credentials.user_secrets import credentials
from healthingest_operator.reconcile.dependencies import (
    BrokerContext,
    BucketContext,
    check_cache,
    logins,
    reconcile_broker,
    reconcile_bucket,
    reconcile_database,
)
from healthingest_operator.reconcile.ownership import outranked
from healthingest_operator.reconcile.rollout_gate import dependencies_hold
from healthingest_operator.reconcile.state import Dependencies, ReconcileState
from healthingest_operator.reconcile.store_reader import check_reader
from healthingest_operator.resources.tls import has_tls_sources
from healthingest_operator.status.conditions import ConditionUpdate


async def read_user_secrets(state: ReconcileState) -> None:
    """Read the Secrets that the spec names."""
    state.user_secrets = await credentials(state.ports.cluster, state.owner)


async def prepare_own_secrets(state: ReconcileState) -> None:
    """
    Complete the operator's own Secrets, and begin a rotation if one is due.

    Raises:
        DependencyError: a Secret of this name belongs to another owner.
    """
    clock = RotationClock(
        state.ports.clock.now(),
        state.ports.rotation,
        was_ready=state.was_ready,
        had_pods=state.previous.rolled_out is not None,
    )
    state.erasure_key = await reconcile_erasure_key(
        state.ports,
        state.owner,
        state.user_secrets,
        state.previous.status.get("erasureKeyFingerprint"),
    )
    given = Given(state.user_secrets, state.erasure_key)
    state.own = await write_own_secrets(
        state.ports.cluster, state.owner, given, state.ports.generators, clock
    )


async def reconcile_dependencies(state: ReconcileState) -> None:
    """Complete bucket, broker and database, and check the cache, all concurrently."""
    ports = state.ports
    owner = state.owner
    own = state.own
    status = state.previous.status
    outranks = partial(outranked, ports.cluster, owner)
    bucket_context = BucketContext(
        own.next_service, status, outranks, state.erasure_key.fingerprint or ""
    )
    broker_context = BrokerContext(
        logins(own.service.get(env.BROKER_URL), own.next_service.get(env.BROKER_URL)),
        logins(own.consumer.get("url"), own.next_consumer.get("url")),
        outranks,
    )
    database_url = own.next_service.get(env.DATABASE_URL, "")
    installation = (status.get("database") or {}).get("installation")
    user = state.user_secrets
    async with asyncio.TaskGroup() as group:
        bucket = group.create_task(reconcile_bucket(ports.store, owner, user, bucket_context))
        broker = group.create_task(reconcile_broker(ports.broker, owner, user, broker_context))
        database = group.create_task(
            reconcile_database(ports.database, owner, user, database_url, installation)
        )
        cache = group.create_task(check_cache(ports.cache, user))
    reader = await check_reader(
        ports.store,
        user,
        own.next_service,
        status,
        bucket_is_ready=bucket.result().update.is_true,
    )
    state.dependencies = Dependencies(
        bucket.result(), broker.result(), database.result(), cache.result(), reader
    )


async def promote_credentials(state: ReconcileState) -> None:
    """Give the values that the dependencies have confirmed to the pods."""
    state.own = await promote(
        state.ports.cluster,
        state.owner,
        state.own,
        state.dependencies.confirmed,
        state.ports.clock.now(),
    )
    state.secrets = secrets_condition(state.user_secrets, state.own)


def children_are_unaffected(state: ReconcileState) -> bool:
    """Whether the children are up to date, because nothing outside the cluster has changed."""
    previous = state.previous
    optional = (state.dependencies.cache, _reader_condition(state))
    return (
        state.was_ready
        and previous.is_current
        and not previous.is_true(ConditionType.DRIFTED)
        and previous.left_behind == state.dependencies.broker.left_behind
        and not _depends_on_unwatched_objects(state)
        and not state.has_pending_changes
        and dependencies_hold(state.updates)
        and all(
            update is None or previous.is_true(update.type) == update.is_true for update in optional
        )
    )


def _reader_condition(state: ReconcileState) -> ConditionUpdate | None:
    reader = state.dependencies.reader
    return None if reader is None else reader.update


def _depends_on_unwatched_objects(state: ReconcileState) -> bool:
    """Whether objects that no watch reports may have changed what the children should be."""
    spec = state.owner.spec
    waits_for_route = spec.http_route is not None and not state.previous.is_true(
        ConditionType.ROUTE_READY
    )
    return (
        # ConfigMaps and Secrets with schemas, bundles and client certificates belong to the user.
        spec.schemas.config_map_ref is not None
        or has_tls_sources(spec)
        or waits_for_route  # for the Gateway API to be installed
    )


async def observe_children(state: ReconcileState) -> None:
    """List the children."""
    state.children = Children(state.ports.cluster, state.owner, state.was_ready)
    await state.children.observe()


async def roll_out_workload(state: ReconcileState) -> None:
    """Create and update the children, as far as rollout gate and migration allow."""
    state.workload = await rollout.roll_out_children(state)


async def advance_rotation(state: ReconcileState) -> None:
    """Revoke unused logins, and enter the next phase of a rotation."""
    ports = state.ports
    confirmed = state.dependencies.confirmed
    context = RotationContext(
        state.user_secrets,
        state.own,
        state.dependencies.broker.unused_users,
        is_complete=confirmed.broker and confirmed.database,
    )
    rotation = Rotation(ports.cluster, ports.broker, ports.database, ports.rotation)
    after, state.secrets = await rotation.advance(
        state.children, state.workload, context, ports.clock.now()
    )
    state.phase_changed = after != state.own
