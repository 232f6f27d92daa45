"""The Service of the API."""

from typing import Final

from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.resources.names import API, metadata, selector

SERVICE_PORT: Final = 80


def api_service(owner: HealthIngest) -> Manifest:
    """Return the Service; it has the name of the HealthIngest."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(owner, owner.key.name, API),
        "spec": {
            "type": "ClusterIP",
            "selector": selector(owner.key, API),
            "ports": [
                {"name": "http", "port": SERVICE_PORT, "targetPort": "http", "protocol": "TCP"}
            ],
        },
    }
