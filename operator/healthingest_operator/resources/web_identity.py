"""
The identity of pods without static keys: variables, projected token, and ports of token services.

The variables and paths are those of the AWS SDKs; see `healthingest_contract.pod_identity`.
"""

from typing import Final
from urllib.parse import urlsplit

from healthingest_contract import pod_identity
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.api.v1alpha1 import HealthIngestSpec
from healthingest_operator.resources.security import secret_mode

TOKEN_FOLDER: Final = "/var/run/secrets/web-identity"  # noqa: S105 - a path
_VOLUME: Final = "web-identity"
_FILE: Final = "token"
_HTTPS: Final = 443
_PORTS: Final = {"http": 80, "https": _HTTPS}


def web_identity_environment(owner: HealthIngest) -> list[dict[str, str]]:
    """
    Return the variables of a role with its token; empty: the spec names no role.

    Without a role, an admission webhook such as that of EKS may set the variables.
    """
    store = owner.spec.object_store
    role = store.web_identity
    if role is None:
        return []
    values = {
        pod_identity.ROLE_ARN: role.role_arn,
        pod_identity.TOKEN_FILE: f"{TOKEN_FOLDER}/{_FILE}",
        pod_identity.SESSION_NAME: owner.key.name,
        pod_identity.STS_ENDPOINT: role.sts_endpoint or store.endpoint or "",
        pod_identity.REGIONS[0]: store.region,
    }
    return [{"name": name, "value": value} for name, value in values.items() if value]


def web_identity_volumes(spec: HealthIngestSpec, *, needs_store: bool) -> list[Manifest]:
    """Return the volume with the projected token, if the spec names a role."""
    role = spec.object_store.web_identity
    if role is None or not needs_store:
        return []
    token = {
        "audience": role.audience,
        "expirationSeconds": pod_identity.TOKEN_SECONDS,
        "path": _FILE,
    }
    projected = {"defaultMode": secret_mode(spec), "sources": [{"serviceAccountToken": token}]}
    return [{"name": _VOLUME, "projected": projected}]


def web_identity_mounts(spec: HealthIngestSpec) -> list[Manifest]:
    """Return the mount of the token, if the spec names a role."""
    if spec.object_store.web_identity is None:
        return []
    return [{"name": _VOLUME, "mountPath": TOKEN_FOLDER, "readOnly": True}]


def token_service_ports(spec: HealthIngestSpec) -> tuple[int, ...]:
    """Return the ports of the token service; empty: pods have static keys."""
    store = spec.object_store
    if store.credentials_secret_ref is not None:
        return ()
    role = store.web_identity
    address = (role.sts_endpoint or store.endpoint) if role is not None else None
    if address is None:
        return (_HTTPS,)
    parts = urlsplit(address)
    return (parts.port or _PORTS[parts.scheme],)


def agent_egress(spec: HealthIngestSpec) -> list[Manifest]:
    """Return the rule for the endpoint of EKS Pod Identity, if the pods may have that identity."""
    store = spec.object_store
    if store.credentials_secret_ref is not None or store.web_identity is not None:
        return []
    return [
        {
            "to": [{"ipBlock": {"cidr": address}} for address in pod_identity.AGENT_ADDRESSES],
            "ports": [{"protocol": "TCP", "port": pod_identity.AGENT_PORT}],
        }
    ]
