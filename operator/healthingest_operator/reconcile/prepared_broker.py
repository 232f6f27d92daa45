"""
Reconciles a broker with an ordinary user; its owner prepares virtual host and permissions.

The operator declares what the user may declare, and reports what is missing. It creates no user and
no policy, and removes nothing.
"""

from urllib.parse import urlsplit

from healthingest_contract.conditions import ConditionType
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.v1alpha1 import BrokerSpec
from healthingest_operator.reconcile.broker_result import BrokerResult, broker_not_ready
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import Broker, BrokerUser
from healthingest_operator.resources.prepared_topology import PreparedHost, declarations, lacking
from healthingest_operator.status import outside_causes as causes
from healthingest_operator.status.conditions import condition_false, condition_true


async def reconcile_prepared_broker(
    broker: Broker, owner: HealthIngest, user: BrokerUser
) -> BrokerResult:
    """Log in as *user*, and create the missing objects that it may create."""
    wanted = owner.spec.broker
    try:
        await broker.check_user(user)
    except DependencyError as error:
        return broker_not_ready(error)
    where = urlsplit(user.amqp_url).netloc
    ready = condition_true(ConditionType.BROKER_READY, f"broker {where} as user {user.username}")
    try:
        found = await broker.declare(user, wanted.virtual_host, declarations(wanted), create=True)
        _refuse_incomplete(wanted, user, found)
    except DependencyError as error:
        update = condition_false(ConditionType.TOPOLOGY_READY, error.reason, error.message)
        return BrokerResult((ready, update))
    update = condition_true(ConditionType.TOPOLOGY_READY, _summary(wanted, user, found))
    return BrokerResult((ready, update), changed=found.created)


def _refuse_incomplete(wanted: BrokerSpec, user: BrokerUser, found: PreparedHost) -> None:
    """
    Check that messages can be published and reach the queues.

    Raises:
        DependencyError: exchange, queue or permission is missing.
    """
    named = {"user": user.username, "host": wanted.virtual_host}
    if missing := lacking(wanted, found):
        raise DependencyError.of(
            causes.PREPARED_TOPOLOGY_INCOMPLETE, missing=", ".join(missing), **named
        )
    if not found.may_publish:
        raise DependencyError.of(causes.PREPARED_PUBLISH_DENIED, exchange=wanted.exchange, **named)


def _summary(wanted: BrokerSpec, user: BrokerUser, found: PreparedHost) -> str:
    text = f"virtual host {wanted.virtual_host}, prepared for user {user.username}"
    if not found.unchecked:
        return text
    count = len(found.unchecked)
    bindings = "binding" if count == 1 else "bindings"
    return (
        f"{text}; {count} {bindings} cannot be checked, because the user may not create bindings;"
        " the relay reports messages that reach no queue"
    )
