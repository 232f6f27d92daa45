"""A child of each kind with a name that no version wants; none of them runs or opens anything."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from healthingest_operator.resources import names
from healthingest_operator.resources.children import KINDS

_NOBODY: Final = {"matchLabels": {"app": "nobody"}}
_POD: Final = {"containers": [{"name": "nothing", "image": "nothing"}]}
_NOWHERE: Final = {"service": {"name": "nobody", "port": {"number": 80}}}
_USE: Final = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
_CONTENTS: Final[dict[str, dict[str, Any]]] = {
    "Service": {"ports": [{"port": 80}]},
    "NetworkPolicy": {"podSelector": _NOBODY},
    "PodDisruptionBudget": {"selector": _NOBODY, "maxUnavailable": 1},
    "Job": {"suspend": True, "template": {"spec": {"restartPolicy": "Never", **_POD}}},
    "Deployment": {
        "replicas": 0,
        "selector": _NOBODY,
        "template": {"metadata": {"labels": _NOBODY["matchLabels"]}, "spec": _POD},
    },
    "HorizontalPodAutoscaler": {
        "maxReplicas": 1,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nobody"},
        "metrics": [{"type": "Resource", "resource": _USE}],
    },
    "Ingress": {"defaultBackend": _NOWHERE},
}


def superfluous_children(owner: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """
    As another version of the operator would have left them.

    *owner* is the HealthIngest as the API server has it.
    """
    metadata = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]} | {
        name: metadata[name] for name in ("name", "uid")
    }
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.INSTANCE_LABEL: metadata["name"]}
    for version, kind in KINDS:
        described = {
            "name": f"{metadata['name']}-formerly",
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [reference],
        }
        child: dict[str, Any] = {"apiVersion": version, "kind": kind, "metadata": described}
        yield child | ({"spec": _CONTENTS[kind]} if kind in _CONTENTS else {})
