"""
Deletion of the external resources of a HealthIngest, which ends within a deadline.

Data is kept unless its deletion policy is `Delete` and it is empty. If a system cannot be reached,
the deletion is retried until the deadline. After that its resources are left behind, and an event
names them. If the Secrets were deleted with the namespace, the deletion does not wait for them. If
the operator's Role was deleted with the namespace, the Secrets are unreadable, and the deadline
also applies. Children are deleted by the garbage collector, through their owner references.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_contract.database_address import read_database_address
from healthingest_contract.topology import dead_letter_queue
from healthingest_operator.api.healthingest import HealthIngest, InvalidSpecError, parse
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.api.v1alpha1 import DeletionPolicy
from healthingest_operator.reconcile.credentials.user_secrets import (
    Credentials,
    DatabaseAccess,
    credentials,
)
from healthingest_operator.reconcile.errors import ClusterError, DependencyError
from healthingest_operator.reconcile.ports import BrokerAccess, Ports
from healthingest_operator.reconcile.status_report import StatusReport
from healthingest_operator.resources import bucket, names, topology
from healthingest_operator.status.conditions import condition_false
from healthingest_operator.status.summary import StatusFields

_FORBIDDEN: Final = 403


@dataclass(slots=True)
class _Leftovers:
    """Resources that are not removed: `unreachable` ones are retried, `kept` ones are not."""

    unreachable: list[tuple[Reason, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FinalizeResult:
    """Whether the finalizer may be removed now, and which resources are then left behind."""

    may_remove_finalizer: bool
    left_behind: tuple[str, ...] = ()


async def finalize(ports: Ports, body: ManifestView, deadline: timedelta) -> FinalizeResult:
    """
    Remove the resources outside the cluster.

    It may be called again at any time, also after it has succeeded.

    Raises:
        ClusterError: the Kubernetes API failed; call it again.
    """
    try:
        owner = parse(body)
    except InvalidSpecError:
        message = "the spec is invalid: nothing outside the cluster was removed"
        await ports.cluster.emit_event(body, "Warning", Reason.LEFT_BEHIND, message)
        return FinalizeResult(may_remove_finalizer=True, left_behind=(message,))
    leftovers = _Leftovers()
    await _remove_external(ports, owner, leftovers)
    since = datetime.fromisoformat(body["metadata"]["deletionTimestamp"])
    unreachable = [message for _, message in leftovers.unreachable]
    if ports.clock.now() - since < deadline and await _may_succeed_later(ports, owner, leftovers):
        waiting = f"retried until {since + deadline:%H:%M:%S} UTC: {'; '.join(unreachable)}"
        await _report_waiting(ports, body, waiting)
        return FinalizeResult(may_remove_finalizer=False)
    left_behind = (*unreachable, *leftovers.kept)
    if left_behind:
        await ports.cluster.emit_event(
            body, "Warning", Reason.LEFT_BEHIND, f"left behind: {'; '.join(left_behind)}"
        )
    return FinalizeResult(may_remove_finalizer=True, left_behind=left_behind)


async def _remove_external(ports: Ports, owner: HealthIngest, leftovers: _Leftovers) -> None:
    try:
        found = await credentials(ports.cluster, owner)
    except ClusterError as error:
        if error.status != _FORBIDDEN:
            raise
        message = (
            f"the operator may not read the Secrets of namespace {owner.key.namespace}: its"
            f" Role there does not exist; bucket {owner.spec.object_store.bucket} and virtual host"
            f" {owner.spec.broker.virtual_host} are unchanged"
        )
        leftovers.unreachable.append((Reason.PERMISSION_DENIED, message))
        return
    await _attempt(
        leftovers, "broker", lambda: _remove_broker_resources(ports, owner, found, leftovers)
    )
    await _attempt(
        leftovers, "object store", lambda: _remove_bucket(ports, owner, found, leftovers)
    )
    _name_database(owner, found, leftovers)
    await _name_erasure_key(ports, owner, leftovers)


async def _report_waiting(ports: Ports, body: ManifestView, waiting: str) -> None:
    """Write the status; if the right to do so is missing, the deletion continues."""
    try:
        await StatusReport(ports.cluster, ports.clock).write(
            body, [condition_false(ConditionType.READY, Reason.DELETING, waiting)], StatusFields()
        )
    except ClusterError as error:
        if error.status != _FORBIDDEN:
            raise


async def _may_succeed_later(ports: Ports, owner: HealthIngest, leftovers: _Leftovers) -> bool:
    """Whether a retry can succeed; not if the Secrets were deleted with their namespace."""
    reasons = {reason for reason, _ in leftovers.unreachable}
    if reasons == {Reason.SECRET_NOT_FOUND}:
        try:
            return not await ports.cluster.is_terminating(owner.key.namespace)
        except ClusterError as error:
            if error.status != _FORBIDDEN:
                raise
    return bool(reasons)


def _name_database(owner: HealthIngest, found: Credentials, leftovers: _Leftovers) -> None:
    """Report the database, which is kept, so that a person can remove it."""
    access = found.database
    if isinstance(access, DatabaseAccess) and access.admin_url is not None:
        name = names.database(owner.key)
        leftovers.kept.append(
            f"role and database {name} on {read_database_address(access.admin_url).place}"
        )


async def _name_erasure_key(ports: Ports, owner: HealthIngest, leftovers: _Leftovers) -> None:
    """Report the Secret with the erasure key, which the data needs as long as it exists."""
    name = names.erasure_key_secret(owner.key)
    if await ports.cluster.version("v1", "Secret", owner.key.namespace, name) is not None:
        leftovers.kept.append(f"Secret {name} with the erasure key")


async def _attempt(leftovers: _Leftovers, what: str, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except DependencyError as error:
        leftovers.unreachable.append((error.reason, f"{what}: {error.message}"))


async def _remove_broker_resources(
    ports: Ports, owner: HealthIngest, found: Credentials, leftovers: _Leftovers
) -> None:
    """
    Remove the users, and the virtual host if its deletion policy and its content permit it.

    A prepared virtual host belongs to others: nothing of it is removed.
    """
    if owner.spec.broker.user_secret_ref is not None:
        return
    access = found.broker
    if isinstance(access, DependencyError):
        raise access
    if not isinstance(access, BrokerAccess):
        return
    wanted = owner.spec.broker
    users = [*names.relay_users(wanted.virtual_host), *names.consumer_users(wanted.virtual_host)]
    observed = await ports.broker.observe(access, wanted.virtual_host, users)
    if observed.virtual_host is None or observed.owner != names.owner_id(owner.key):
        return
    for user in users:
        if user in observed.users:
            await ports.broker.remove_user(access, user)
    await _remove_virtual_host(ports, owner, access, observed, leftovers)


async def _remove_virtual_host(
    ports: Ports,
    owner: HealthIngest,
    access: BrokerAccess,
    observed: topology.Observed,
    leftovers: _Leftovers,
) -> None:
    """Remove the virtual host, or the mark of its owner if it is kept."""
    wanted = owner.spec.broker
    if wanted.deletion_policy is DeletionPolicy.DELETE:
        if not _holds_messages(owner, observed):
            await ports.broker.remove_virtual_host(access, wanted.virtual_host)
            return
        leftovers.kept.append(
            f"virtual host {wanted.virtual_host} has messages, or queues of others"
        )
    await ports.broker.ensure(
        access, wanted.virtual_host, topology.without_owner(observed, wanted.virtual_host)
    )


def _holds_messages(owner: HealthIngest, observed: topology.Observed) -> bool:
    """Whether queues hold messages or belong to others; an unknown count is not zero."""
    queues = owner.spec.broker.queues
    ours = {name for queue in queues for name in (queue.name, dead_letter_queue(queue.name))}
    return any(
        name not in ours or queue.get("messages", 1) != 0 for name, queue in observed.queues.items()
    )


async def _remove_bucket(
    ports: Ports, owner: HealthIngest, found: Credentials, leftovers: _Leftovers
) -> None:
    if isinstance(found.store_admin, DependencyError):
        raise found.store_admin
    access = found.store_admin
    observed = await ports.store.observe(access)
    if observed is None or observed.owner != names.owner_id(owner.key):
        return
    if owner.spec.object_store.deletion_policy is DeletionPolicy.DELETE:
        if await ports.store.remove(access):
            return
        leftovers.kept.append(f"bucket {access.bucket} has objects")
    tags = bucket.released(observed.tags, names.owner_id(owner.key))
    await ports.store.carry_out(access, bucket.Step(bucket.Capability.TAGGING, tags))
