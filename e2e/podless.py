"""
HealthIngests that start no pods, so that many fit on a small node.

The operator's work is the same. Each has a bucket, a virtual host with users and queues, Secrets
and all children but the Deployments, which wait for the migration: a quota of no pods refuses its
pod. All share one database.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import install
import kubectl as k8s

PARTS = ("SecretsReady", "BucketReady", "BrokerReady", "TopologyReady")


def namespace(name: str) -> None:
    """Create a namespace in which no pod is allowed, with the Secrets that a manifest names."""
    k8s.remove_namespace(name)
    k8s.namespace(name)
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-pods", "namespace": name},
    }
    k8s.apply(quota | {"spec": {"hard": {"pods": "0"}}})
    install.user_secrets(name)
    address = f"postgres.{install.DEPENDENCIES}.svc:5432/admin"
    k8s.kubectl("delete", "secret", "postgres", "--namespace", name)
    k8s.secret(
        "postgres", name, {"url": f"postgresql://admin:{install.passwords()['postgres']}@{address}"}
    )


def make(space: str, names: Iterable[str], policy: str = "Retain") -> None:
    """Apply one HealthIngest for each name, all at once; *policy* is the deletion policy."""
    items = [_manifest(space, name, policy) for name in names]
    k8s.apply({"apiVersion": "v1", "kind": "List", "items": items})


def _manifest(space: str, name: str, policy: str) -> dict[str, Any]:
    store = {
        "endpoint": f"http://s3.{install.DEPENDENCIES}.svc:7070",
        "bucket": f"{space}-{name}",
        "credentialsSecretRef": {"name": "s3"},
        "deletionPolicy": policy,
    }
    spec = {
        "objectStore": store,
        "broker": {"adminSecretRef": {"name": "rabbitmq"}, "deletionPolicy": policy},
        "database": {"secretRef": {"name": "postgres"}},
    }
    metadata = {"name": name, "namespace": space}
    return {
        "apiVersion": "healthingest.dev/v1alpha1",
        "kind": "HealthIngest",
        "metadata": metadata,
        "spec": spec,
    }


def is_made(body: Mapping[str, Any] | None) -> bool:
    """Whether its external resources exist, and the quota refuses the pod of its Job."""
    held = all(k8s.condition(body, kind).get("status") == "True" for kind in PARTS)
    return held and k8s.condition(body, "DatabaseReady").get("reason") in {
        "MigrationRunning",
        "QuotaExceeded",
    }


def mutate(space: str, name: str) -> None:
    """Change the target port of its Service to a port that does not exist."""
    patch = [{"op": "replace", "path": "/spec/ports/0/targetPort", "value": "nowhere"}]
    k8s.kubectl(
        "patch", "service", name, "--namespace", space, "--type=json", "--patch", json.dumps(patch)
    )


def is_healed(space: str, name: str) -> bool:
    """Whether the Service has the API's target port again."""
    found = k8s.get("service", name, space)
    return bool(found and found["spec"]["ports"][0]["targetPort"] == "http")
