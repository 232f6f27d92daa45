"""Children: whatever happens to one, its HealthIngest is looked at."""

from typing import Final

import kopf

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


def register(registry: kopf.OperatorRegistry, queue: KeyedQueue[Key]) -> None:
    """Add a handler of events of all kinds of children."""

    async def changed(namespace: str | None, labels: kopf.Labels, **_: object) -> None:
        if namespace and labels.get(INSTANCE_LABEL):
            queue.poke(Key(namespace, labels[INSTANCE_LABEL]), Lane.CHILD, DEBOUNCE_SECONDS)

    for group, version, plural in WATCHED:
        wanted = {MANAGED_BY_LABEL: MANAGED_BY}
        kopf.on.event(group, version, plural, id=f"changed-{plural}", labels=wanted, registry=registry)(changed)
