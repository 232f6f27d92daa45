"""The state of one reconciliation: each step adds its part."""

from dataclasses import dataclass, field

from healthingest_contract.conditions import ConditionType
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.reconcile.broker_result import BrokerResult
from healthingest_operator.reconcile.children import Children
from healthingest_operator.reconcile.credentials.erasure_key import ErasureKey
from healthingest_operator.reconcile.credentials.own_secrets import Confirmed, OwnSecrets
from healthingest_operator.reconcile.credentials.user_secrets import Credentials
from healthingest_operator.reconcile.dependencies import BucketResult, DatabaseResult
from healthingest_operator.reconcile.ports import Ports
from healthingest_operator.reconcile.store_reader import ReaderResult
from healthingest_operator.reconcile.workload import WorkloadResult
from healthingest_operator.status.conditions import Condition, ConditionUpdate


@dataclass(frozen=True, slots=True)
class PreviousStatus:
    """The status before this reconciliation, of a HealthIngest that now has *generation*."""

    status: ManifestView
    generation: int

    def condition(self, kind: ConditionType) -> Condition | None:
        """Return a condition; None: it was not reported."""
        entries = self.status.get("conditions") or ()
        return next((entry for entry in entries if entry["type"] == kind), None)

    def is_true(self, kind: ConditionType) -> bool:
        """Whether a condition was True."""
        condition = self.condition(kind)
        return condition is not None and condition["status"] == "True"

    @property
    def is_current(self) -> bool:
        """Whether the status was written for this generation."""
        return bool(self.status.get("observedGeneration") == self.generation)

    @property
    def left_behind(self) -> tuple[str, ...]:
        """The resources that an earlier reconciliation could not remove."""
        return tuple(self.status.get("leftBehind") or ())

    @property
    def rolled_out(self) -> str | None:
        """The fingerprint of the workload that passed the rollout gate."""
        return self.status.get("workload")


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The results of all external systems."""

    bucket: BucketResult
    broker: BrokerResult
    database: DatabaseResult
    cache: ConditionUpdate | None
    reader: ReaderResult | None = None

    @property
    def updates(self) -> tuple[ConditionUpdate, ...]:
        """The conditions of all dependencies."""
        cache = () if self.cache is None else (self.cache,)
        reader = () if self.reader is None else (self.reader.update,)
        return (self.bucket.update, *self.broker.updates, self.database.update, *cache, *reader)

    @property
    def confirmed(self) -> Confirmed:
        """The external systems that accept the next values of the Secrets."""
        return Confirmed(
            self.bucket.update.is_true,
            all(update.is_true for update in self.broker.updates),
            self.database.update.is_true,
            self.reader is None or self.reader.update.is_true,
        )


@dataclass(slots=True)
class ReconcileState:
    """
    The observations and changes of one reconciliation.

    The comment of a field without a default names the step that sets it.
    """

    ports: Ports
    owner: HealthIngest
    previous: PreviousStatus
    user_secrets: Credentials = field(init=False)  # read_user_secrets
    erasure_key: ErasureKey = field(init=False)  # prepare_own_secrets
    own: OwnSecrets = field(init=False)  # prepare_own_secrets, promote_credentials
    dependencies: Dependencies = field(init=False)  # reconcile_dependencies
    secrets: ConditionUpdate = field(init=False)  # promote_credentials, advance_rotation
    children: Children = field(init=False)  # observe_children
    workload: WorkloadResult = field(init=False)  # roll_out_workload
    phase_changed: bool = False  # advance_rotation

    @property
    def updates(self) -> tuple[ConditionUpdate, ...]:
        """The conditions of Secrets and dependencies."""
        return (self.secrets, *self.dependencies.updates)

    @property
    def was_ready(self) -> bool:
        """Whether it was Ready before."""
        return self.previous.is_true(ConditionType.READY)

    @property
    def has_pending_changes(self) -> bool:
        """Whether Secrets or dependencies were changed, or a rotation is in progress."""
        broker = self.dependencies.broker
        return bool(
            self.erasure_key.written
            or self.own.written
            or self.own.rotating
            or broker.unused_users
            or broker.changed
            or self.dependencies.bucket.changed
        )
