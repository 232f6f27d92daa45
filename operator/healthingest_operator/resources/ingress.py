"""The Ingress of the API."""

from typing import Final

from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.api.v1alpha1 import IngressSpec
from healthingest_operator.resources.names import API, metadata
from healthingest_operator.resources.service import SERVICE_PORT

_ENVELOPE_BYTES: Final = 2**20
"""Upper bound of the bytes that multipart/form-data adds to a file."""


def api_ingress(owner: HealthIngest, wanted: IngressSpec) -> Manifest:
    """Return the Ingress; annotations let ingress-nginx stream files of the maximum size."""
    backend = {"service": {"name": owner.key.name, "port": {"number": SERVICE_PORT}}}
    rule = {
        "host": wanted.host,
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
    described = metadata(owner, owner.key.name, API)
    described["annotations"] = {
        "nginx.ingress.kubernetes.io/proxy-body-size": str(
            owner.spec.limits.max_file_size_bytes + _ENVELOPE_BYTES
        ),
        "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
        **wanted.annotations,
    }
    spec: Manifest = {"rules": [rule]}
    if wanted.class_name:
        spec["ingressClassName"] = wanted.class_name
    if wanted.tls_secret_name:
        spec["tls"] = [{"hosts": [wanted.host], "secretName": wanted.tls_secret_name}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": described,
        "spec": spec,
    }
