"""The second half of a rotation: what nobody has any more is refused, and the next phase begins."""

from dataclasses import dataclass
from datetime import datetime

from healthingest_contract import environment as env
from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.reconcile.children import Children
from healthingest_operator.reconcile.credentials.own_secrets import (
    OwnSecrets,
    secrets_condition,
    step,
)
from healthingest_operator.reconcile.credentials.user_secrets import Credentials, DatabaseAccess
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import Broker, BrokerAccess, Cluster, Database
from healthingest_operator.reconcile.workload import WorkloadResult
from healthingest_operator.resources import names, rotation
from healthingest_operator.resources.pods import DIGEST_ANNOTATION
from healthingest_operator.resources.rotation import Phase
from healthingest_operator.resources.secrets import user_of
from healthingest_operator.status.conditions import ConditionUpdate, condition_true


@dataclass(frozen=True, slots=True)
class Hands:
    """
    Who has what.

    The user's Secrets, the operator's own, and users of the broker that nobody has any more.

    `seen`: broker and database were looked at; else nobody knows who is spare, or how to refuse
    him.
    """

    found: Credentials
    own: OwnSecrets
    spare_users: tuple[str, ...]
    seen: bool


class Rotation:
    """What is to be done at the end of a pass."""

    def __init__(
        self, cluster: Cluster, broker: Broker, database: Database, policy: rotation.Policy
    ) -> None:
        self._cluster = cluster
        self._broker = broker
        self._database = database
        self._policy = policy

    async def advance(
        self, children: Children, result: WorkloadResult, hands: Hands, now: datetime
    ) -> tuple[OwnSecrets, ConditionUpdate]:
        """
        Refuse the old logins and enter the next phase, if all pods are new ones.

        And how it stands.
        """
        found, own = hands.found, hands.own
        if (
            own.marks.phase is Phase.INTRODUCED
            or not hands.seen
            or not only_new_pods(children, result)
        ):
            return own, secrets_condition(found, own)
        try:
            consumers_done = await self._revoke_users(children.owner, hands, now)
            if own.marks.phase is Phase.PROMOTED:
                await self._revoke_database(children.owner, found, own)
        except DependencyError as error:
            # Uploads go on: that is no reason not to be Ready.
            message = f"old credentials are valid yet: {error.message}"
            return own, condition_true(
                ConditionType.SECRETS_READY, message, Reason.CREDENTIALS_ROTATING
            )
        keys = len(rotation.keys_of(own.service[env.IDENTITY_SIGNING_KEYS]))
        marks = rotation.following(own.marks, now, keys=keys, consumers_done=consumers_done)
        after = own if marks == own.marks else await step(self._cluster, children.owner, own, marks)
        return after, secrets_condition(found, after)

    async def _revoke_users(self, owner: HealthIngest, hands: Hands, now: datetime) -> bool:
        """
        The relay's old user at once, that of the consumers after its grace.

        Whether none is left.
        """
        access = hands.found.broker
        waiting = False
        for user in hands.spare_users:
            is_consumer = user in names.consumer_users(owner.spec.broker.virtual_host)
            if is_consumer and now - hands.own.consumer_made < self._policy.consumer_grace:
                waiting = True
            elif isinstance(access, BrokerAccess):
                await self._broker.remove(access, ("users", user))
        return not waiting

    async def _revoke_database(
        self, owner: HealthIngest, found: Credentials, own: OwnSecrets
    ) -> None:
        access = found.database
        users = names.database_users(owner.key)
        current = user_of(own.service.get(env.DATABASE_URL))
        if isinstance(access, DatabaseAccess) and access.admin_url is not None and current in users:
            await self._database.revoke(access.admin_url, users[1 - users.index(current)])


def only_new_pods(children: Children, result: WorkloadResult) -> bool:
    """Whether the workload is rolled out and no former pod exists, not even a terminating one."""
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
