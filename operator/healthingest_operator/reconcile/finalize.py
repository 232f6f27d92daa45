"""
The end of a HealthIngest: it always comes.

What holds data stays unless its policy says otherwise, and even then while it is not empty. What
cannot be reached is tried again until a deadline; then it is left behind, and an event names it. A
Secret that is gone from a namespace which goes too will not come back: nothing is waited for.
Children go by their owner references. Where the operator's Role went with the namespace, Secrets
cannot be read: the deadline holds for that as well.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_contract.database_address import read_database_address
from healthingest_contract.topology import dead_letter_queue
from healthingest_operator.api.healthingest import HealthIngest, InvalidSpecError, parse
from healthingest_operator.api.v1alpha1 import DeletionPolicy
from healthingest_operator.reconcile.credentials.user_secrets import (
    Credentials,
    DatabaseAccess,
    credentials,
)
from healthingest_operator.reconcile.errors import ClusterError, DependencyError
from healthingest_operator.reconcile.ports import Ports
from healthingest_operator.reconcile.status_report import StatusReport
from healthingest_operator.resources import bucket, names, topology
from healthingest_operator.status.conditions import condition_false
from healthingest_operator.status.summary import StatusFields

_FORBIDDEN: Final = 403


@dataclass(slots=True)
class _Remains:
    """What went wrong (`unclear`: may go better next time) and what stays for good reasons."""

    unclear: list[tuple[Reason, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FinalizeResult:
    """Whether the HealthIngest may go now, and what it leaves behind if so."""

    may_remove_finalizer: bool
    left_behind: tuple[str, ...] = ()


async def finalize(ports: Ports, body: Mapping[str, Any], deadline: timedelta) -> FinalizeResult:
    """
    Take away what lies outside the cluster.

    May be called again at any time, also after it has said yes.

    Raises:
        ClusterError: the Kubernetes API could not be used; it is to be called again.
    """
    try:
        owner = parse(body)
    except InvalidSpecError:
        message = "the spec is invalid: nothing was taken away"
        await ports.cluster.tell(body, "Warning", Reason.LEFT_BEHIND, message)
        return FinalizeResult(may_remove_finalizer=True, left_behind=(message,))
    remains = _Remains()
    await _leave(ports, owner, remains)
    since = datetime.fromisoformat(body["metadata"]["deletionTimestamp"])
    unclear = [message for _, message in remains.unclear]
    if ports.clock.now() - since < deadline and await _may_get_better(ports, owner, remains):
        waiting = f"tried again until {since + deadline:%H:%M:%S} UTC: {'; '.join(unclear)}"
        await _tell(ports, body, waiting)
        return FinalizeResult(may_remove_finalizer=False)
    left = (*unclear, *remains.kept)
    if left:
        await ports.cluster.tell(
            body, "Warning", Reason.LEFT_BEHIND, f"left behind: {'; '.join(left)}"
        )
    return FinalizeResult(may_remove_finalizer=True, left_behind=left)


async def _leave(ports: Ports, owner: HealthIngest, remains: _Remains) -> None:
    try:
        found = await credentials(ports.cluster, owner)
    except ClusterError as error:
        if error.status != _FORBIDDEN:
            raise
        message = (
            f"the operator may not read the Secrets of namespace {owner.key.namespace}: its"
            " Role there is gone; so "
            f"bucket {owner.spec.object_store.bucket} and virtual host"
            f" {owner.spec.broker.virtual_host} are as before"
        )
        remains.unclear.append((Reason.PERMISSION_DENIED, message))
        return
    await _attempt(remains, "broker", lambda: _leave_broker(ports, owner, found, remains))
    await _attempt(remains, "object store", lambda: _leave_bucket(ports, owner, found, remains))
    _leave_database(owner, found, remains)


async def _tell(ports: Ports, body: Mapping[str, Any], waiting: str) -> None:
    """A status that may not be written must not keep the deletion from its end."""
    try:
        await StatusReport(ports.cluster, ports.clock).write(
            body, [condition_false(ConditionType.READY, Reason.DELETING, waiting)], StatusFields()
        )
    except ClusterError as error:
        if error.status != _FORBIDDEN:
            raise


async def _may_get_better(ports: Ports, owner: HealthIngest, remains: _Remains) -> bool:
    """Whether it is worth while to try again: not for Secrets that went with their namespace."""
    reasons = {reason for reason, _ in remains.unclear}
    if reasons == {Reason.SECRET_NOT_FOUND}:
        try:
            return not await ports.cluster.is_going(owner.key.namespace)
        except ClusterError as error:
            if error.status != _FORBIDDEN:
                raise
    return bool(reasons)


def _leave_database(owner: HealthIngest, found: Credentials, remains: _Remains) -> None:
    """Accounts and the outbox: they stay, and whoever cleans up must know their name."""
    access = found.database
    if isinstance(access, DatabaseAccess) and access.admin_url is not None:
        name = names.database(owner.key)
        remains.kept.append(
            f"role and database {name} on {read_database_address(access.admin_url).place}"
        )


async def _attempt(remains: _Remains, what: str, work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except DependencyError as error:
        remains.unclear.append((error.reason, f"{what}: {error.message}"))


async def _leave_broker(
    ports: Ports, owner: HealthIngest, found: Credentials, remains: _Remains
) -> None:
    """Users go, messages stay; a virtual host of another owner is none of our business."""
    if isinstance(found.broker, DependencyError):
        raise found.broker
    access, wanted = found.broker, owner.spec.broker
    users = [*names.relay_users(wanted.virtual_host), *names.consumer_users(wanted.virtual_host)]
    observed = await ports.broker.observe(access, wanted.virtual_host, users)
    if observed.virtual_host is None or observed.owner != names.owner_mark(owner.key):
        return
    for user in users:
        if user in observed.users:
            await ports.broker.remove_user(access, user)
    if wanted.deletion_policy is DeletionPolicy.DELETE and not _holds_messages(owner, observed):
        await ports.broker.remove_virtual_host(access, wanted.virtual_host)
        return
    if wanted.deletion_policy is DeletionPolicy.DELETE:
        remains.kept.append(f"virtual host {wanted.virtual_host} has messages, or queues of others")
    await ports.broker.ensure(
        access, wanted.virtual_host, topology.without_owner(observed, wanted.virtual_host)
    )


def _holds_messages(owner: HealthIngest, observed: topology.Observed) -> bool:
    """A count that the broker does not know yet is not zero."""
    queues = owner.spec.broker.queues
    ours = {name for queue in queues for name in (queue.name, dead_letter_queue(queue.name))}
    return any(
        name not in ours or queue.get("messages", 1) != 0 for name, queue in observed.queues.items()
    )


async def _leave_bucket(
    ports: Ports, owner: HealthIngest, found: Credentials, remains: _Remains
) -> None:
    if isinstance(found.store_admin, DependencyError):
        raise found.store_admin
    access = found.store_admin
    observed = await ports.store.observe(access)
    if observed is None or observed.owner != names.owner_mark(owner.key):
        return
    if owner.spec.object_store.deletion_policy is DeletionPolicy.DELETE:
        if await ports.store.remove(access):
            return
        remains.kept.append(f"bucket {access.bucket} has objects")
    tags = bucket.released(observed.tags, names.owner_mark(owner.key))
    await ports.store.carry_out(access, bucket.Step(bucket.Capability.TAGGING, tags))
