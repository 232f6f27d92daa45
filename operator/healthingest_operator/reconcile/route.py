"""Applies the HTTPRoute of the API, and reports its condition, which never blocks the rollout."""

from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.reconcile.children import Children
from healthingest_operator.reconcile.errors import ClusterError
from healthingest_operator.resources.children import route
from healthingest_operator.status.conditions import ConditionUpdate, condition_false, condition_true

_NOT_FOUND: Final = 404
_REFUSALS: Final = frozenset({400, 403, 422})


async def ensure_route(children: Children) -> tuple[ConditionUpdate, ...]:
    """
    Apply the HTTPRoute of the spec and return its condition, or () if the spec has none.

    Raises:
        ClusterError: the Kubernetes API is not available.
        DependencyError: an HTTPRoute of this name belongs to another owner.
    """
    wanted = route(children.owner)
    if wanted is None:
        return ()
    if wanted["kind"] in children.forbidden:
        return (_forbidden(),)
    try:
        await children.ensure([wanted])
    except ClusterError as error:
        return (_refused(error),)
    live = children.get("HTTPRoute", wanted["metadata"]["name"]) or {}
    return (_accepted(live),)


def _forbidden() -> ConditionUpdate:
    message = (
        "the operator may not list httproutes of gateway.networking.k8s.io in this namespace:"
        " permit get, list, watch, create, patch and delete in its Role, or remove spec.httpRoute"
    )
    return condition_false(ConditionType.ROUTE_READY, Reason.PERMISSION_DENIED, message)


def _refused(error: ClusterError) -> ConditionUpdate:
    if error.status == _NOT_FOUND:
        message = (
            "the cluster has no HTTPRoute of gateway.networking.k8s.io/v1: install the Gateway API,"
            " or remove spec.httpRoute"
        )
        return condition_false(ConditionType.ROUTE_READY, Reason.GATEWAY_API_MISSING, message)
    if error.status in _REFUSALS:
        return condition_false(ConditionType.ROUTE_READY, Reason.REQUEST_REFUSED, str(error))
    raise error


def _accepted(live: ManifestView) -> ConditionUpdate:
    """Return the condition: true unless a Gateway has refused the route."""
    parents = (live.get("status") or {}).get("parents") or []
    refusing = [
        str((parent.get("parentRef") or {}).get("name"))
        for parent in parents
        for condition in parent.get("conditions") or []
        if condition.get("type") == "Accepted" and condition.get("status") == "False"
    ]
    if refusing:
        message = (
            f"not accepted by Gateway {', '.join(refusing)}: see its listeners and their"
            " allowedRoutes, and spec.httpRoute"
        )
        return condition_false(ConditionType.ROUTE_READY, Reason.ROUTE_NOT_ACCEPTED, message)
    return condition_true(ConditionType.ROUTE_READY, "the HTTPRoute exists")
