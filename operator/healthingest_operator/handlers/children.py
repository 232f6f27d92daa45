"""Watch events of children: each enqueues the HealthIngest that owns the child."""

from collections.abc import Sequence
from typing import Final

from healthingest_contract.conditions import KIND
from healthingest_operator.api.healthingest import Key
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.reconcile.queue import KeyedQueue, Lane
from healthingest_operator.resources.names import INSTANCE_LABEL, MANAGED_BY, MANAGED_BY_LABEL

DEBOUNCE_SECONDS: Final = 0.5
"""Delay before a reconciliation, because a rollout causes many events at once."""

WATCHED: Final = (
    ("", "v1", "configmaps"),
    ("", "v1", "serviceaccounts"),
    ("", "v1", "services"),
    ("", "v1", "pods"),
    ("apps", "v1", "deployments"),
    ("batch", "v1", "jobs"),
    ("autoscaling", "v2", "horizontalpodautoscalers"),
    ("networking.k8s.io", "v1", "ingresses"),
    ("networking.k8s.io", "v1", "networkpolicies"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("gateway.networking.k8s.io", "v1", "httproutes"),
)
SELECTOR: Final = f"{MANAGED_BY_LABEL}={MANAGED_BY}"


def owners(namespace: str | None, metadata: ManifestView) -> set[Key]:
    """
    Return the keys of the HealthIngests that own an object, by its label and owner references.

    Both are read, because a user may have changed one of them.
    """
    labels = metadata.get("labels") or {}
    references = metadata.get("ownerReferences") or ()
    found = {reference["name"] for reference in references if reference["kind"] == KIND}
    found |= {labels[INSTANCE_LABEL]} if labels.get(INSTANCE_LABEL) else set()
    return {Key(namespace, name) for name in found} if namespace else set()


def paths(namespaces: Sequence[str]) -> list[str]:
    """Return the API paths of the children to watch; no *namespaces*: all namespaces."""
    places = [f"namespaces/{namespace}/" for namespace in namespaces] or [""]
    roots = [
        (f"/apis/{group}/{version}" if group else f"/api/{version}", plural)
        for group, version, plural in WATCHED
    ]
    return [f"{root}/{place}{plural}" for root, plural in roots for place in places]


def enqueue_owners(queue: KeyedQueue[Key], namespace: str | None, metadata: ManifestView) -> None:
    """Enqueue the HealthIngests that own a changed child."""
    for key in owners(namespace, metadata):
        queue.enqueue(key, Lane.CHILD, DEBOUNCE_SECONDS)
