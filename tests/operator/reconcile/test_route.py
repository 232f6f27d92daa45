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


async def test_the_gateway_api_may_be_uninstalled_meanwhile() -> None:
    """The condition says so each time, nothing counts as healed, and other children are."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    want(fakes, ROUTE)
    await fakes.until_ready()
    fakes.cluster.unserved.add("HTTPRoute")
    del fakes.cluster.objects["HTTPRoute", KEY.namespace, "clinic"]
    for _ in range(2):
        await fakes.reconcile()
        found = conditions(fakes)
        assert found["RouteReady"]["reason"] == "GatewayApiMissing"
        assert found["Ready"]["status"] == "True"
        assert found["Drifted"]["status"] == "False"
    del fakes.cluster.objects["Service", KEY.namespace, "clinic"]
    await fakes.reconcile()
    assert fakes.cluster.names("Service") == ["clinic"]
    assert conditions(fakes)["Drifted"]["message"] == "healed: Service clinic was missing"


async def test_a_role_without_routes_fails_only_their_condition() -> None:
    """The message names the permission, and a HealthIngest without a route needs none."""
    fakes = OperatorFakes()
    fakes.cluster.denied.add("HTTPRoute")
    await fakes.until_ready()
    assert "RouteReady" not in conditions(fakes)
    want(fakes, ROUTE)
    await fakes.until_ready()
    found = conditions(fakes)
    assert found["Ready"]["status"] == "True"
    assert found["RouteReady"]["reason"] == "PermissionDenied"
    assert "list httproutes of gateway.networking.k8s.io" in found["RouteReady"]["message"]
    fakes.cluster.denied.clear()
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
