"""The step that creates and updates the children."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from healthingest_contract import environment as env
from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.reconcile.errors import ClusterError, DependencyError
from healthingest_operator.reconcile.rollout_gate import dependencies_hold
from healthingest_operator.reconcile.route import ensure_route
from healthingest_operator.reconcile.state import ReconcileState
from healthingest_operator.reconcile.workload import (
    Inputs,
    MigrationContext,
    WorkloadResult,
    roll_out,
)
from healthingest_operator.resources import names
from healthingest_operator.resources.bucket import Capability
from healthingest_operator.resources.children import foundations
from healthingest_operator.resources.configuration import Surroundings, configuration, service_url
from healthingest_operator.resources.kept_store import keep_store
from healthingest_operator.resources.network_policy import endpoint_of, ports_of
from healthingest_operator.status.conditions import condition_false

_REASONS: Final = {403: Reason.PERMISSION_DENIED, 409: Reason.FIELD_CONFLICT}
_REQUEST_ERRORS: Final = frozenset({400, 403, 404, 409, 413, 422})
"""HTTP statuses that reject the request itself, so that a retry would not help."""


async def roll_out_children(state: ReconcileState) -> WorkloadResult:
    """
    Create, update and remove children.

    Raises:
        ClusterError: the Kubernetes API is not available.
    """
    try:
        return await _roll_out(state)
    except DependencyError as error:
        return _failed(state, error.reason, error.message)
    except ClusterError as error:
        if error.status not in _REQUEST_ERRORS:
            raise
        return _failed(state, _REASONS.get(error.status, Reason.REQUEST_REFUSED), str(error))


async def _roll_out(state: ReconcileState) -> WorkloadResult:
    owner = state.owner
    children = state.children
    secrets = state.own.service
    rolled_out = state.previous.rolled_out
    schemas = await _schemas(state)
    config = _config(state)
    ports = ports_of(owner, secrets)
    if not state.dependencies.bucket.update.is_true:
        config, ports = keep_store(
            children.get("ConfigMap", names.config_map(owner.key)), config, ports
        )
    await children.ensure(foundations(owner, config, ports))
    route = await ensure_route(children)
    inputs = Inputs(
        owner.spec.image or state.ports.service_image,
        config,
        secrets,
        schemas,
        state.user_secrets.tls,
        _database_installation(state),
    )
    migration = MigrationContext(
        state.ports.clock.now(), state.previous.condition(ConditionType.DATABASE_READY)
    )
    result = await roll_out(children, state.updates, inputs, rolled_out, migration)
    await children.prune(workload_known=result.known)
    if dependencies_hold(state.updates) or rolled_out is not None:
        await children.open_gates()
    return replace(result, updates=(*result.updates, *route))


def _failed(state: ReconcileState, reason: Reason, message: str) -> WorkloadResult:
    update = condition_false(ConditionType.WORKLOAD_AVAILABLE, reason, message)
    return WorkloadResult((update,), state.previous.rolled_out)


async def _schemas(state: ReconcileState) -> Mapping[str, str] | None:
    reference = state.owner.spec.schemas.config_map_ref
    if reference is None:
        return None
    namespace = state.owner.key.namespace
    found = await state.ports.cluster.read("v1", "ConfigMap", namespace, reference.name)
    if found is None:
        message = (
            f"ConfigMap {namespace}/{reference.name} with the schemas does not exist: create it"
        )
        raise DependencyError(Reason.WAITING_FOR_DEPENDENCIES, message)
    return dict(found.get("data") or {})


def _database_installation(state: ReconcileState) -> str | None:
    """Return the installation of the database now, or the last known one."""
    before = (state.previous.status.get("database") or {}).get("installation")
    return state.dependencies.database.installation or before


def _config(state: ReconcileState) -> dict[str, str]:
    missing = state.dependencies.bucket.missing
    if missing is None:
        store = state.previous.status.get("objectStore") or {}
        missing = frozenset(store.get("missingCapabilities", ()))
    surroundings = Surroundings(
        endpoint_of(state.own.service.get(env.BROKER_URL)),
        service_url(state.owner),
        Capability.ENCRYPTION not in missing,
    )
    return configuration(state.owner.spec, surroundings)
