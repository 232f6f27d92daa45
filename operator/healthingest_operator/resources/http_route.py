"""The HTTPRoute of the API; Gateway API reference, "HTTPRoute"."""

from typing import Final

from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.api.v1alpha1 import HttpRouteSpec
from healthingest_operator.resources.names import API, metadata
from healthingest_operator.resources.service import SERVICE_PORT

API_VERSION: Final = "gateway.networking.k8s.io/v1"
KIND: Final = "HTTPRoute"


def api_http_route(owner: HealthIngest, wanted: HttpRouteSpec) -> Manifest:
    """Return the HTTPRoute, which routes every path to the Service."""
    described = metadata(owner, owner.key.name, API)
    if wanted.annotations:
        described["annotations"] = dict(wanted.annotations)
    rule: Manifest = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [{"name": owner.key.name, "port": SERVICE_PORT}],
        "timeouts": _plain(wanted.timeouts.model_dump(mode="json", by_alias=True)),
    }
    spec: Manifest = {
        "parentRefs": [
            _plain(reference.model_dump(mode="json", by_alias=True))
            for reference in wanted.parent_refs
        ],
        "rules": [rule],
    }
    if wanted.hostnames:
        spec["hostnames"] = list(wanted.hostnames)
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": described, "spec": spec}


def _plain(values: Manifest) -> Manifest:
    return {name: value for name, value in values.items() if value is not None}
