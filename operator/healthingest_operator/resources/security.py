"""
Security contexts of pods and containers, which satisfy PodSecurity level `restricted`.

A platform such as OpenShift assigns user ids and refuses pods that set other ids. Sources:
Kubernetes docs, "Pod Security Standards"; OpenShift docs, "Managing security context constraints".
"""

from typing import Final

from healthingest_operator.api.manifest import Manifest
from healthingest_operator.api.v1alpha1 import HealthIngestSpec, SecurityContextSpec

USER_ID: Final = 10001
_DEFAULT_IDS: Final[Manifest] = {
    "runAsUser": USER_ID,
    "runAsGroup": USER_ID,
    "fsGroup": USER_ID,
    "fsGroupChangePolicy": "OnRootMismatch",
}
_GROUP_READS: Final = 0o440
_ALL_READ: Final = 0o444


def pod_security_context(spec: HealthIngestSpec) -> Manifest:
    """Return the context of a pod, with the ids of the spec or else the default ids."""
    ids = _DEFAULT_IDS if spec.pod_security_context is None else _ids(spec.pod_security_context)
    return {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **ids}


def container_security_context(spec: HealthIngestSpec) -> Manifest:
    """Return the context of a container."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        **(_ids(spec.security_context) if spec.security_context else {}),
    }


def secret_mode(spec: HealthIngestSpec) -> int:
    """
    Return the mode of secret files.

    Without a volume group the files belong to root, so the process can read them only as "others".
    They are mounted into one container only.
    """
    has_group = "fsGroup" in pod_security_context(spec)
    return _GROUP_READS if has_group else _ALL_READ


def _ids(wanted: SecurityContextSpec) -> Manifest:
    return wanted.model_dump(mode="json", by_alias=True, exclude_none=True)
