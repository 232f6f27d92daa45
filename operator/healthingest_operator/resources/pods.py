"""
The common part of all pods of a HealthIngest.

Pods satisfy PodSecurity level `restricted` and have a read-only root file system.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from healthingest_contract import environment as env
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.api.v1alpha1 import HealthIngestSpec, ProxySpec
from healthingest_operator.resources.comparison import fingerprint
from healthingest_operator.resources.configuration import SECRETS_FOLDER
from healthingest_operator.resources.names import MIGRATE, config_map, labels, service_secret
from healthingest_operator.resources.secrets import (
    MAIL_LOGIN,
    STORE_KEYS,
    has_client_secrets,
    has_mail_login,
)
from healthingest_operator.resources.security import (
    container_security_context,
    pod_security_context,
    secret_mode,
)
from healthingest_operator.resources.service_account import account_name
from healthingest_operator.resources.tls import (
    TLS_FOLDER,
    dependencies_of,
    tls_files,
    tls_volume,
)
from healthingest_operator.resources.web_identity import (
    web_identity_environment,
    web_identity_mounts,
    web_identity_volumes,
)

TEMPORARY_BYTES: Final = "64Mi"
DIGEST_ANNOTATION: Final = "healthingest.dev/settings"
"""Annotation with the digest of a pod's settings and secrets; a change of it replaces the pods."""
ACCOUNT_ANNOTATION: Final = "healthingest.dev/service-account"
"""Annotation with a fingerprint of the ServiceAccount's annotations, from which pods get keys."""


@dataclass(frozen=True, slots=True)
class Build:
    """The image of the pods, and the digests of the settings and secrets that each pod reads."""

    image: str
    api_digest: str
    relay_digest: str
    migrate_digest: str


@dataclass(frozen=True, slots=True)
class Container:
    """
    A container of a pod.

    `secrets` names the values that it may read; `extra` has further fields of the container.
    """

    command: str
    secrets: frozenset[str]
    extra: Manifest
    mounts: tuple[Manifest, ...] = ()
    environment: tuple[dict[str, str], ...] = ()


def pod_spec(
    owner: HealthIngest, image: str, containers: Iterable[Container], more: Manifest
) -> Manifest:
    """Return the spec of a pod with these containers; *more* has further fields and volumes."""
    chosen = list(containers)
    wanted = owner.spec
    volumes = [
        {"name": "tmp", "emptyDir": {"sizeLimit": TEMPORARY_BYTES}},
        *(_secret_volume(owner, container) for container in chosen),
        *(volume for container in chosen if (volume := _tls_volume(owner, container))),
        *web_identity_volumes(wanted, needs_store=any(map(_needs_store, chosen))),
        *more.get("volumes", ()),
    ]
    spec: Manifest = {
        "serviceAccountName": account_name(owner),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security_context(wanted),
        "containers": [_container(owner, image, container) for container in chosen],
        **more,
        "volumes": volumes,
    }
    placement = {
        "nodeSelector": dict(wanted.node_selector),
        "tolerations": [dict(toleration) for toleration in wanted.tolerations],
        "imagePullSecrets": [{"name": secret.name} for secret in wanted.image_pull_secrets],
        "priorityClassName": wanted.priority_class_name,
        "runtimeClassName": wanted.runtime_class_name,
        "hostAliases": [dict(alias) for alias in wanted.host_aliases],
    }
    return spec | {name: value for name, value in placement.items() if value}


def pod_metadata(owner: HealthIngest, component: str, own: Mapping[str, str]) -> Manifest:
    """Return the metadata of a pod template; *own* has the operator's annotations."""
    found: Manifest = {"labels": {**owner.spec.pod_labels, **labels(owner.key, component)}}
    annotations = {**owner.spec.pod_annotations, **own, **_identity(owner, component)}
    return found | {"annotations": annotations} if annotations else found


def _identity(owner: HealthIngest, component: str) -> dict[str, str]:
    """
    Return an annotation that changes with those of the ServiceAccount.

    An admission webhook reads them only when a pod is created, so a change must replace the pods.
    """
    account = dict(owner.spec.service_account.annotations)
    has_keys = owner.spec.object_store.credentials_secret_ref is not None
    if has_keys or component == MIGRATE or not account:
        return {}
    return {ACCOUNT_ANNOTATION: fingerprint(account)}


def _container(owner: HealthIngest, image: str, container: Container) -> Manifest:
    extra = [dict(entry) for entry in owner.spec.extra_env]
    return {
        "name": container.command,
        "image": image,
        "imagePullPolicy": owner.spec.image_pull_policy,
        "args": [container.command],
        # The status of a failed container then has the end of its log, in which the operator finds
        # the last event.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "envFrom": [{"configMapRef": {"name": config_map(owner.key)}}],
        "env": _last_of_each_name(
            [
                *container.environment,
                *_tls_environment(owner, container),
                *(web_identity_environment(owner) if _needs_store(container) else ()),
                *_proxy(owner.spec.proxy),
                *extra,
            ]
        ),
        "securityContext": container_security_context(owner.spec),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
            {"name": f"secrets-{container.command}", "mountPath": SECRETS_FOLDER, "readOnly": True},
            *_tls_mounts(owner, container),
            *(web_identity_mounts(owner.spec) if _needs_store(container) else ()),
            *container.mounts,
        ],
        **container.extra,
    }


def _last_of_each_name(entries: Iterable[Manifest]) -> list[Manifest]:
    """
    Return the entries that take effect: of one name the last one, as in a container.

    The name is the key of the list, and server-side apply refuses a second entry of a name.
    """
    found: dict[str, Manifest] = {}
    for entry in entries:
        found.pop(entry["name"], None)
        found[entry["name"]] = entry
    return list(found.values())


def _needs_store(container: Container) -> bool:
    return env.STORE_ACCESS_KEY_ID in container.secrets


def _proxy(wanted: ProxySpec | None) -> list[Manifest]:
    """Return the variables of a forward proxy, which HTTP clients read by convention."""
    if wanted is None:
        return []
    values = {
        "HTTP_PROXY": wanted.http_proxy,
        "HTTPS_PROXY": wanted.https_proxy,
        "NO_PROXY": ",".join(wanted.no_proxy),
    }
    return [{"name": name, "value": value} for name, value in values.items() if value]


def _secret_volume(owner: HealthIngest, container: Container) -> Manifest:
    """Return the volume with the container's own values."""
    names = mounted_secrets(owner.spec, container.secrets)
    items = [{"key": name, "path": name} for name in sorted(names)]
    source = {
        "secretName": service_secret(owner.key),
        "defaultMode": secret_mode(owner.spec),
        "items": items,
    }
    return {"name": f"secrets-{container.command}", "secret": source}


def mounted_secrets(spec: HealthIngestSpec, names: frozenset[str]) -> frozenset[str]:
    """Return *names* without those of optional parts that the spec does not have."""
    absent = set() if spec.cache else {env.CACHE_URL}
    if not has_mail_login(spec):
        absent |= {*MAIL_LOGIN}
    if not has_client_secrets(spec):
        absent |= {env.OIDC_CLIENT_SECRETS}
    if spec.object_store.credentials_secret_ref is None:
        absent |= {*STORE_KEYS}
    return names - absent


def _tls_volume(owner: HealthIngest, container: Container) -> Manifest | None:
    """Return the volume with the certificates for the container's dependencies, if any."""
    name = f"tls-{container.command}"
    return tls_volume(owner.spec, name, dependencies_of(container.secrets))


def _tls_environment(owner: HealthIngest, container: Container) -> list[dict[str, str]]:
    """
    Return the variables with the paths of the mounted files.

    They are not in the ConfigMap, which changes before the pods do: a pod that restarts meanwhile
    would look for files that it has not mounted.
    """
    files = tls_files(owner.spec, dependencies_of(container.secrets))
    return [{"name": name, "value": path} for name, path in files.items()]


def _tls_mounts(owner: HealthIngest, container: Container) -> list[Manifest]:
    volume = _tls_volume(owner, container)
    if volume is None:
        return []
    return [{"name": volume["name"], "mountPath": TLS_FOLDER, "readOnly": True}]


STARTUP_FAILURES: Final = 300
"""
Number of failed probes, one a second, before a container is restarted.

A container may take five minutes to start on a node without a free CPU.
"""


def probe(path: str, port: str, period_seconds: int, failures: int) -> Manifest:
    """Return an HTTP probe."""
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period_seconds,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }
