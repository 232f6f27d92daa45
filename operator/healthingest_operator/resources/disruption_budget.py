"""The PodDisruptionBudget of the API."""

from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.resources.names import API, metadata, selector


def api_disruption_budget(owner: HealthIngest) -> Manifest:
    """Return the PodDisruptionBudget: one pod at a time; unready pods do not block a drain."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(owner, f"{owner.key.name}-api", API),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(owner.key, API)},
        },
    }
