"""Children: whatever happens to one, its HealthIngest is looked at."""

from collections.abc import Mapping
from typing import Any, Final

import kopf

from healthingest_contract.conditions import KIND
from healthingest_operator.model.spec import Key
from healthingest_operator.reconcile.queue import KeyedQueue, Lane
from healthingest_operator.resources.names import INSTANCE_LABEL, MANAGED_BY, MANAGED_BY_LABEL

DEBOUNCE_SECONDS: Final = 0.5
"""A rollout tells a lot at once."""

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
)
SELECTOR: Final = f"{MANAGED_BY_LABEL}={MANAGED_BY}"


def owners(namespace: str | None, metadata: Mapping[str, Any]) -> set[Key]:
    """The HealthIngests that an object is of, by its label or its owners: people change the one or the other."""
    labels, references = metadata.get("labels") or {}, metadata.get("ownerReferences") or ()
    found = {reference["name"] for reference in references if reference["kind"] == KIND}
    found |= {labels[INSTANCE_LABEL]} if labels.get(INSTANCE_LABEL) else set()
    return {Key(namespace, name) for name in found} if namespace else set()


def register(registry: kopf.OperatorRegistry, queue: KeyedQueue[Key]) -> None:
    """Add a handler of events of all kinds of children."""

    async def changed(namespace: str | None, meta: kopf.Meta, **_: object) -> None:
        for key in owners(namespace, meta):
            queue.poke(key, Lane.CHILD, DEBOUNCE_SECONDS)

    for group, version, plural in WATCHED:
        wanted = {MANAGED_BY_LABEL: MANAGED_BY}
        kopf.on.event(group, version, plural, id=f"changed-{plural}", labels=wanted, registry=registry)(changed)
