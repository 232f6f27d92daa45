"""The API's HorizontalPodAutoscaler."""

from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.api.v1alpha1 import AutoscalingSpec
from healthingest_operator.resources.names import API, metadata


def api_autoscaler(owner: HealthIngest, wanted: AutoscalingSpec) -> Manifest:
    """Return the HorizontalPodAutoscaler, which scales by CPU utilization."""
    target = {"type": "Utilization", "averageUtilization": wanted.target_cpu_utilization_percentage}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(owner, f"{owner.key.name}-api", API),
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": f"{owner.key.name}-api",
            },
            "minReplicas": wanted.min_replicas,
            "maxReplicas": wanted.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }
