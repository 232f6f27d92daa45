"""The HTTPRoute in the cluster, and the condition `RouteReady`."""

from typing import Any

from healthingest_operator.reconcile.outcome import ReconcileMode
from support.operator_fakes import KEY, OperatorFakes

ROUTE = {"parentRefs": [{"name": "public"}]}


def want(fakes: OperatorFakes, route: dict[str, Any] | None) -> None:
    """Change the spec."""
    live = fakes.cluster.get("HealthIngest", KEY.name)
    live["spec"].pop("httpRoute", None)
    live["spec"] |= {"httpRoute": route} if route else {}
    live["metadata"]["generation"] += 1


def conditions(fakes: OperatorFakes) -> dict[str, dict[str, Any]]:
    """Return the conditions by type."""
    found = fakes.cluster.get("HealthIngest", KEY.name)["status"]["conditions"]
    return {entry["type"]: entry for entry in found}


async def test_the_route_comes_and_goes_with_the_spec() -> None:
    """It is pruned like every other child, and its condition goes with it."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    assert "RouteReady" not in conditions(fakes)
    want(fakes, ROUTE)
    await fakes.until_ready()
    assert fakes.cluster.names("HTTPRoute") == ["clinic"]
    assert conditions(fakes)["RouteReady"]["status"] == "True"
    want(fakes, None)
    await fakes.until_ready()
    assert fakes.cluster.names("HTTPRoute") == []
    assert "RouteReady" not in conditions(fakes)


async def test_without_the_gateway_api_only_the_route_is_missing() -> None:
    """The workload is rolled out, and the route is created once the cluster has its kind."""
    fakes = OperatorFakes()
    fakes.cluster.unserved.add("HTTPRoute")
    await fakes.until_ready()
    want(fakes, ROUTE)
    await fakes.until_ready()
    found = conditions(fakes)
    assert found["Ready"]["status"] == "True"
    assert found["RouteReady"]["status"] == "False"
    assert found["RouteReady"]["reason"] == "GatewayApiMissing"
    assert "spec.httpRoute" in found["RouteReady"]["message"]
    fakes.cluster.unserved.clear()
    await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    assert conditions(fakes)["RouteReady"]["status"] == "True"


async def test_a_gateway_that_refuses_the_route_is_named() -> None:
    """Its controller writes the refusal into the status of the route."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    want(fakes, ROUTE)
    await fakes.until_ready()
    refusal = {"type": "Accepted", "status": "False", "reason": "NoMatchingListenerHostname"}
    fakes.cluster.get("HTTPRoute", "clinic")["status"] = {
        "parents": [{"parentRef": {"name": "public"}, "conditions": [refusal]}]
    }
    await fakes.until_ready()
    found = conditions(fakes)["RouteReady"]
    assert found["reason"] == "RouteNotAccepted"
    assert "public" in found["message"]
