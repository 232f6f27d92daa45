"""The Ingress of the API."""

from typing import Final

from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.api.v1alpha1 import IngressSpec
from healthingest_operator.resources.names import API, metadata
from healthingest_operator.resources.service import SERVICE_PORT

_REQUEST_SECONDS: Final = 900
"""Longest silence of a slow client or of the API that a proxy must accept."""
_ENVELOPE_BYTES: Final = 2**20
"""Upper bound of the bytes that multipart/form-data adds to a file."""


def api_ingress(owner: HealthIngest, wanted: IngressSpec) -> Manifest:
    """
    Return the Ingress.

    Annotations let ingress-nginx and NGINX's own controller stream files of the maximum size; other
    controllers ignore them. Traefik, HAProxy and Envoy have no limit of the body by default.
    """
    backend = {"service": {"name": owner.key.name, "port": {"number": SERVICE_PORT}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    hosts = [(wanted.host, wanted.tls_secret_name)]
    hosts += [(more.host, more.tls_secret_name) for more in wanted.additional_hosts]
    described = metadata(owner, owner.key.name, API)
    body_bytes = str(owner.spec.limits.max_file_size_bytes + _ENVELOPE_BYTES)
    described["annotations"] = {
        "nginx.ingress.kubernetes.io/proxy-body-size": body_bytes,
        "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": str(_REQUEST_SECONDS),
        "nginx.ingress.kubernetes.io/proxy-send-timeout": str(_REQUEST_SECONDS),
        "nginx.org/client-max-body-size": body_bytes,
        "nginx.org/proxy-read-timeout": f"{_REQUEST_SECONDS}s",
        "nginx.org/proxy-send-timeout": f"{_REQUEST_SECONDS}s",
        **wanted.annotations,
    }
    spec: Manifest = {"rules": [{"host": host, "http": {"paths": paths}} for host, _ in hosts]}
    if wanted.class_name:
        spec["ingressClassName"] = wanted.class_name
    certificates = [{"hosts": [host], "secretName": secret} for host, secret in hosts if secret]
    if certificates:
        spec["tls"] = certificates
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": described,
        "spec": spec,
    }
