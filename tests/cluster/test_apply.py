"""Server-side apply on a real API server, as the fake one does it."""

from typing import Any

from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster
from healthingest_operator.api.healthingest import parse
from healthingest_operator.resources.configuration import config_map_object
from support.operator_fakes import manifest


def config_map(**values: str) -> dict[str, Any]:
    """Return the ConfigMap of a HealthIngest without its owner, which is not in this cluster."""
    body = manifest()
    body["metadata"] |= {"namespace": "default", "name": "applied"}
    found = config_map_object(parse(body), values)
    del found["metadata"]["ownerReferences"]
    return found


async def test_a_removed_setting_leaves_the_config_map(cluster: KubernetesCluster) -> None:
    """A key that is no longer applied goes; the others stay."""
    first = await cluster.apply(config_map(LOGINS="7/minute", WORKERS="3"))
    assert first["data"] == {"LOGINS": "7/minute", "WORKERS": "3"}
    second = await cluster.apply(config_map(WORKERS="3"))
    assert second["data"] == {"WORKERS": "3"}
    await cluster.delete(second)
