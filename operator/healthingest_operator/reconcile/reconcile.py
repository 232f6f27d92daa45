"""
One reconciliation of one HealthIngest: observe → plan → act → status.

It can be repeated, and it can be cancelled at any point.
"""

from healthingest_operator.api.healthingest import HealthIngest, InvalidSpecError, Key, parse
from healthingest_operator.reconcile import steps
from healthingest_operator.reconcile.change_detection import ChangeDetector
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.reconcile.ports import Ports
from healthingest_operator.reconcile.result import (
    ReconcileResult,
    build_result,
    without_own_secrets,
)
from healthingest_operator.reconcile.state import PreviousStatus, ReconcileState
from healthingest_operator.reconcile.status_report import StatusReport


async def reconcile(ports: Ports, key: Key, mode: ReconcileMode = ReconcileMode.FULL) -> Outcome:
    """
    Reconcile one HealthIngest as far as possible now, and write its status.

    An external check first compares fingerprints. If they differ, it compares Secrets, bucket,
    broker and database in full, and continues as a full reconciliation when one of them differs.

    Raises:
        ClusterError: the Kubernetes API failed; the reconciliation stopped at an unknown step.
    """
    if mode is ReconcileMode.EXTERNAL_CHECK and await _detector(ports).is_unchanged(key):
        return Outcome.UNCHANGED
    record = ports.records.of(key)
    record.discard_fingerprint()
    body = await ports.cluster.health_ingest(key)
    if body is None or body["metadata"].get("deletionTimestamp"):
        return Outcome.GONE
    report = StatusReport(ports.cluster, ports.clock)
    try:
        owner = parse(body)
    except InvalidSpecError as error:
        await report.invalid(body, str(error))
        return Outcome.INVALID
    if owner.spec.paused:
        await report.paused(body)
        return Outcome.PAUSED
    previous = PreviousStatus(body.get("status") or {}, owner.generation)
    fingerprint = await _detector(ports).fingerprint(owner, previous.status)
    result = await _run_steps(ports, owner, previous, mode)
    if result is None:
        record.set_fingerprint(owner, fingerprint)
        return Outcome.READY
    await report.write(body, result.updates, result.fields)
    if result.is_settled:
        record.set_fingerprint(owner, fingerprint)
    return result.outcome


def _detector(ports: Ports) -> ChangeDetector:
    return ChangeDetector(
        ports.cluster,
        ports.store,
        ports.broker,
        ports.database,
        ports.cache,
        ports.clock,
        ports.records,
    )


async def _run_steps(
    ports: Ports, owner: HealthIngest, previous: PreviousStatus, mode: ReconcileMode
) -> ReconcileResult | None:
    """Return the result; None: an external check found no change."""
    state = ReconcileState(ports, owner, previous)
    await steps.read_user_secrets(state)
    try:
        await steps.prepare_own_secrets(state)
    except DependencyError as error:
        return without_own_secrets(error)
    await steps.reconcile_dependencies(state)
    await steps.promote_credentials(state)
    if mode is ReconcileMode.EXTERNAL_CHECK and steps.children_are_unaffected(state):
        return None
    await steps.observe_children(state)
    await steps.roll_out_workload(state)
    await steps.advance_rotation(state)
    return build_result(state)
