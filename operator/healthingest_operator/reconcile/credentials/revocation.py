"""The end of a rotation: revoke unused logins and begin the next phase."""

from dataclasses import dataclass
from datetime import datetime

from healthingest_contract import environment as env
from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.reconcile.children import Children
from healthingest_operator.reconcile.credentials.own_secrets import (
    OwnSecrets,
    enter_phase,
    secrets_condition,
)
from healthingest_operator.reconcile.credentials.rotation import Phase, Policy, Progress, next_state
from healthingest_operator.reconcile.credentials.user_secrets import Credentials, DatabaseAccess
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import Broker, BrokerAccess, Cluster, Database
from healthingest_operator.reconcile.workload import WorkloadResult
from healthingest_operator.resources import names
from healthingest_operator.resources.pods import DIGEST_ANNOTATION
from healthingest_operator.resources.secrets import user_of
from healthingest_operator.resources.signing_keys import keys_of
from healthingest_operator.status.conditions import ConditionUpdate, condition_true


@dataclass(frozen=True, slots=True)
class RotationContext:
    """
    The credentials of one reconciliation.

    `found` are those of the user, `own` those of the operator. `unused_users` are broker users of
    the operator that no Secret names. `is_complete`: broker and database were reachable; otherwise
    the unused users are unknown and cannot be revoked.
    """

    found: Credentials
    own: OwnSecrets
    unused_users: tuple[str, ...]
    is_complete: bool


class Rotation:
    """Revokes unused logins and enters the next phase."""

    def __init__(
        self, cluster: Cluster, broker: Broker, database: Database, policy: Policy
    ) -> None:
        self._cluster = cluster
        self._broker = broker
        self._database = database
        self._policy = policy

    async def advance(
        self, children: Children, result: WorkloadResult, context: RotationContext, now: datetime
    ) -> tuple[OwnSecrets, ConditionUpdate]:
        """
        Revoke the old logins and enter the next phase, if all pods have the new ones.

        Returns the Secrets and the condition `SecretsReady`.
        """
        found = context.found
        own = context.own
        if (
            own.state.phase is Phase.INTRODUCED
            or not context.is_complete
            or not pods_are_current(children, result)
        ):
            return own, secrets_condition(found, own)
        try:
            consumers_revoked = await self._revoke_users(children.owner, context, now)
            if own.state.phase is Phase.PROMOTED:
                await self._revoke_database(children.owner, found, own)
        except DependencyError as error:
            # Uploads continue, so Ready stays True.
            message = f"old credentials are still valid: {error.message}"
            return own, condition_true(
                ConditionType.SECRETS_READY, message, Reason.CREDENTIALS_ROTATING
            )
        progress = Progress(
            now,
            pods_are_current=True,
            consumers_revoked=consumers_revoked,
            signing_keys=len(keys_of(own.service[env.IDENTITY_SIGNING_KEYS])),
        )
        state, action = next_state(own.state, progress)
        if state != own.state:
            own = await enter_phase(self._cluster, children.owner, own, state, action)
        return own, secrets_condition(found, own)

    async def _revoke_users(
        self, owner: HealthIngest, context: RotationContext, now: datetime
    ) -> bool:
        """
        Remove the relay's old user at once, and the consumers' old user after the grace period.

        Returns whether no unused user remains.
        """
        access = context.found.broker
        waiting = False
        for user in context.unused_users:
            is_consumer = user in names.consumer_users(owner.spec.broker.virtual_host)
            if is_consumer and now - context.own.consumer_made < self._policy.consumer_grace:
                waiting = True
            elif isinstance(access, BrokerAccess):
                await self._broker.remove_user(access, user)
        return not waiting

    async def _revoke_database(
        self, owner: HealthIngest, found: Credentials, own: OwnSecrets
    ) -> None:
        access = found.database
        users = names.database_users(owner.key)
        current = user_of(own.service.get(env.DATABASE_URL))
        if isinstance(access, DatabaseAccess) and access.admin_url is not None and current in users:
            other = users[1 - users.index(current)]
            await self._database.revoke(access.admin_url, other, tls=access.tls)


def pods_are_current(children: Children, result: WorkloadResult) -> bool:
    """Whether the workload is rolled out and no older pod exists, not even a terminating one."""
    if not result.known or not all(update.is_true for update in result.updates):
        return False
    digests = {}
    for (kind, _), child in children.live.items():
        if kind == "Deployment":
            template = child["spec"]["template"]["metadata"]
            digests[template["labels"][names.COMPONENT_LABEL]] = template["annotations"][
                DIGEST_ANNOTATION
            ]
    return all(
        _has(pod["metadata"], digests)
        or (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
        for (kind, _), pod in children.live.items()
        if kind == "Pod"
    )


def _has(metadata: dict[str, dict[str, str]], digests: dict[str, str]) -> bool:
    component = (metadata.get("labels") or {}).get(names.COMPONENT_LABEL, "")
    return (
        component not in digests
        or (metadata.get("annotations") or {}).get(DIGEST_ANNOTATION) == digests[component]
    )
