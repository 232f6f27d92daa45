"""The Service of the API."""

from typing import Final

from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.resources.names import API, metadata, selector

SERVICE_PORT: Final = 80


def api_service(owner: HealthIngest) -> Manifest:
    """Return the Service; it has the name of the HealthIngest."""
    wanted = owner.spec.service
    described = metadata(owner, owner.key.name, API)
    described["labels"] = {**wanted.labels, **described["labels"]}
    if wanted.annotations:
        described["annotations"] = dict(wanted.annotations)
    port = {
        "name": "http",
        "port": SERVICE_PORT,
        "targetPort": "http",
        "protocol": "TCP",
        # Service meshes and gateways read it; Kubernetes docs, "Service", "Application protocol".
        "appProtocol": "http",
    }
    spec: Manifest = {
        "type": wanted.type,
        "selector": selector(owner.key, API),
        "ports": [port],
    }
    if wanted.ip_family_policy:
        spec["ipFamilyPolicy"] = wanted.ip_family_policy
    return {"apiVersion": "v1", "kind": "Service", "metadata": described, "spec": spec}
