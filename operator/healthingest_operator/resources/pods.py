"""
What all pods of a HealthIngest have in common.

PodSecurity `restricted`, a read-only root, mounts of their own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from healthingest_contract import environment as env
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.resources.configuration import SECRETS_FOLDER
from healthingest_operator.resources.names import config_map, service_secret

USER_ID: Final = 10001
TEMPORARY_BYTES: Final = "64Mi"
DIGEST_ANNOTATION: Final = "healthingest.dev/settings"
"""Digest of a pod's settings and secrets; a change of it rolls the pods."""


@dataclass(frozen=True, slots=True)
class Build:
    """
    What pods are made of, beside the spec.

    Digests are of the settings and secrets that each pod reads.
    """

    image: str
    api_digest: str
    relay_digest: str
    migrate_digest: str


@dataclass(frozen=True, slots=True)
class Container:
    """
    One process of the service.

    `secrets` is what it may read, `extra` further fields of the container.
    """

    command: str
    secrets: frozenset[str]
    extra: Manifest
    mounts: tuple[Manifest, ...] = ()
    environment: tuple[dict[str, str], ...] = ()


def pod_spec(
    owner: HealthIngest, image: str, containers: Iterable[Container], more: Manifest
) -> Manifest:
    """Return a pod of these containers; *more* are further fields and volumes."""
    chosen = list(containers)
    wanted = owner.spec
    volumes = [
        {"name": "tmp", "emptyDir": {"sizeLimit": TEMPORARY_BYTES}},
        *(_secret_volume(owner, container) for container in chosen),
        *more.get("volumes", ()),
    ]
    spec: Manifest = {
        "serviceAccountName": owner.key.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(owner, image, container) for container in chosen],
        **more,
        "volumes": volumes,
    }
    placement = {
        "nodeSelector": dict(wanted.node_selector),
        "tolerations": [dict(toleration) for toleration in wanted.tolerations],
        "imagePullSecrets": [{"name": secret.name} for secret in wanted.image_pull_secrets],
    }
    return spec | {name: value for name, value in placement.items() if value}


def _container(owner: HealthIngest, image: str, container: Container) -> Manifest:
    return {
        "name": container.command,
        "image": image,
        "imagePullPolicy": owner.spec.image_pull_policy,
        "args": [container.command],
        # The status of a pod that ended badly then has the end of its log: the operator names its
        # last event.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "envFrom": [{"configMapRef": {"name": config_map(owner.key)}}],
        "env": list(container.environment),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
            {"name": f"secrets-{container.command}", "mountPath": SECRETS_FOLDER, "readOnly": True},
            *container.mounts,
        ],
        **container.extra,
    }


def _secret_volume(owner: HealthIngest, container: Container) -> Manifest:
    """Mount only the container's own files; the cache and its file are optional."""
    names = container.secrets if owner.spec.cache else container.secrets - {env.CACHE_URL}
    items = [{"key": name, "path": name} for name in sorted(names)]
    source = {"secretName": service_secret(owner.key), "defaultMode": 0o440, "items": items}
    return {"name": f"secrets-{container.command}", "secret": source}


STARTUP_FAILURES: Final = 300
"""
At one a second.

A container may take five minutes to start on a node without a free processor.
"""


def probe(path: str, port: str, period_seconds: int, failures: int) -> Manifest:
    """An HTTP probe."""
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period_seconds,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }
