"""The HTTPRoute on a real API server, without and with the Gateway API."""

from uuid import uuid4

import pytest

from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster
from healthingest_operator.api.healthingest import parse
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.reconcile.errors import ClusterError
from healthingest_operator.resources.children import OPTIONAL_KINDS, route
from healthingest_operator.resources.comparison import difference
from support import gateway_api
from support.operator_fakes import manifest
from support.servers.apiserver import ApiServer

FULL = {
    "parentRefs": [
        {"name": "public", "namespace": "gateways", "sectionName": "https", "port": 443},
        {"name": "private"},
    ],
    "hostnames": ["a.example", "*.b.example"],
    "timeouts": {"request": "20m", "backendRequest": "1h30m"},
    "annotations": {"a": "b"},
}


def made(**wanted: object) -> Manifest:
    """Return the HTTPRoute without its owner, which is not in this cluster."""
    body = manifest(httpRoute={**FULL, **wanted})
    body["metadata"] |= {"namespace": "default", "name": f"route-{uuid4().hex[:8]}"}
    found = route(parse(body))
    assert found is not None
    del found["metadata"]["ownerReferences"]
    return found


async def test_a_cluster_without_the_kind_has_no_routes(cluster: KubernetesCluster) -> None:
    """Listing finds none, and applying is refused with the status that the condition expects."""
    ((version, kind),) = OPTIONAL_KINDS
    body = manifest()
    assert await cluster.children(version, kind, parse(body).key) == []
    with pytest.raises(ClusterError) as refused:
        await cluster.apply(made())
    assert refused.value.status == 404


async def test_the_route_is_valid_by_the_published_schema(
    with_crd: ApiServer, cluster: KubernetesCluster
) -> None:
    """The smallest and the fullest route are accepted, and nothing in them is dropped."""
    definition = gateway_api.published()
    if definition is None:
        pytest.skip("no sigs.k8s.io/gateway-api: `make servers` downloads it where Go is")
    with gateway_api.installed(with_crd, definition):
        for wanted in (made(timeouts={"request": "2h", "backendRequest": "1h"}), made(timeouts={})):
            assert difference(wanted, await cluster.apply(wanted)) is None
        with pytest.raises(ClusterError) as refused:
            await cluster.apply(made())
        assert refused.value.status == 422  # backendRequest exceeds request
