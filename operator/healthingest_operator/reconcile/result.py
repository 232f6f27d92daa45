"""The result of a reconciliation, for status, metrics and the work queue: pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.outcome import Outcome
from healthingest_operator.reconcile.state import ReconcileState
from healthingest_operator.resources import names
from healthingest_operator.resources.configuration import service_url
from healthingest_operator.status.conditions import (
    POLARITY,
    ConditionUpdate,
    condition_false,
    drift,
)
from healthingest_operator.status.summary import StatusFields

_IN_PROGRESS: Final = frozenset(
    {Reason.ROLLOUT_PROGRESSING, Reason.MIGRATION_RUNNING, Reason.WAITING_FOR_DEPENDENCIES}
)


@dataclass(frozen=True, slots=True)
class ReconcileResult:
    """Conditions and fields of the status, and the outcome."""

    updates: list[ConditionUpdate]
    fields: StatusFields
    outcome: Outcome
    is_settled: bool = False
    """Whether it is Ready, nothing was changed, and nothing is pending."""


def without_own_secrets(error: DependencyError) -> ReconcileResult:
    """Return the result when the operator's own Secrets cannot be written."""
    updates = [condition_false(ConditionType.SECRETS_READY, error.reason, error.message)]
    return ReconcileResult(updates, StatusFields(), _outcome(updates))


def build_result(state: ReconcileState) -> ReconcileResult:
    """Return the result of all steps."""
    replaced = {update.type for update in state.workload.updates}
    healed = _healed(state)
    updates = [
        *(update for update in state.updates if update.type not in replaced),
        *state.workload.updates,
        drift(healed, state.previous.condition(ConditionType.DRIFTED)),
    ]
    outcome = _outcome(updates)
    is_ready = outcome is Outcome.READY
    is_settled = is_ready and not healed and not _is_unfinished(state, updates)
    if is_ready and state.phase_changed:
        # A rotation has entered its next phase, and the next reconciliation continues it soon.
        outcome = Outcome.PROGRESSING
    return ReconcileResult(updates, _fields(state), outcome, is_settled)


def _is_unfinished(state: ReconcileState, updates: Sequence[ConditionUpdate]) -> bool:
    """Whether something remains to be done although the HealthIngest is ready."""
    # No watch reports that the Gateway API is installed, or that the store grants a right.
    waits = any(
        update.type in {ConditionType.ROUTE_READY, ConditionType.READER_READY}
        and not update.is_true
        for update in updates
    )
    left_behind = state.dependencies.broker.left_behind
    return waits or state.has_pending_changes or bool(left_behind)


def _outcome(updates: Sequence[ConditionUpdate]) -> Outcome:
    failing = [
        update
        for update in updates
        if not update.is_true and POLARITY[update.type].required_for_ready
    ]
    if not failing:
        return Outcome.READY
    reasons = {update.reason for update in failing}
    return Outcome.PROGRESSING if reasons <= _IN_PROGRESS else Outcome.FAILING


def _healed(state: ReconcileState) -> list[str]:
    """Return the objects that others had removed or changed; a change of the spec is not drift."""
    healed = [*state.erasure_key.healed, *state.own.healed, *state.children.healed]
    for kind, changed in (
        (ConditionType.TOPOLOGY_READY, state.dependencies.broker.changed),
        (ConditionType.BUCKET_READY, state.dependencies.bucket.changed),
    ):
        if state.previous.is_current and state.previous.is_true(kind):
            healed += [f"{title} was missing or changed" for title in changed]
    return healed


def _secrets(state: ReconcileState) -> dict[str, str]:
    """
    Return the names of the operator's Secrets.

    One for consumers needs an administrator of the broker, or keys of a reader of the bucket.
    """
    key = state.owner.key
    secrets = {
        "service": names.service_secret(key),
        "erasureKey": names.erasure_key_secret(key),
    }
    spec = state.owner.spec
    if spec.broker.user_secret_ref is None or spec.object_store.reader_secret_ref is not None:
        secrets["consumer"] = names.consumer_secret(key)
    return secrets


def _fields(state: ReconcileState) -> StatusFields:
    key = state.owner.key
    bucket = state.dependencies.bucket
    api = state.children.get("Deployment", f"{key.name}-api") or {}
    selector = names.selector(key, names.API)
    return StatusFields(
        selector=",".join(f"{name}={value}" for name, value in selector.items()),
        secrets=_secrets(state),
        url=service_url(state.owner),
        replicas=(api.get("status") or {}).get("replicas", 0),
        workload=state.workload.rolled_out,
        probed=bucket.probed,
        store=None
        if bucket.place is None
        else {"place": bucket.place, "installation": bucket.installation},
        missing_capabilities=sorted(bucket.missing) if bucket.missing is not None else None,
        database=state.dependencies.database.installation,
        reader_checked=None
        if state.dependencies.reader is None
        else state.dependencies.reader.checked,
        # The bucket then has the fingerprint, too, if it can have tags.
        erasure_key=state.erasure_key.fingerprint if bucket.update.is_true else None,
        left_behind=state.dependencies.broker.left_behind,
    )
