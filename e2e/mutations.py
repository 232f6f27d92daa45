"""Changes that people and programs make to children: each is a `kubectl delete` or `patch`."""

import json
from dataclasses import dataclass
from typing import Any, Final

import kubectl as k8s
from healthingest_contract import environment as env

NAME: Final = "clinic-scaled"
"""The HealthIngest whose children are changed: `examples/02-autoscaling.yaml`."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """
    One change of one child.

    *patch* None deletes it, a list is a JSON patch, an object is a merge patch.
    """

    kind: str
    name: str
    patch: list[dict[str, Any]] | dict[str, Any] | None = None

    def happen(self, namespace: str) -> None:
        """Make the change."""
        where = [self.kind, self.name, "--namespace", namespace]
        if self.patch is None:
            k8s.kubectl("delete", *where, "--cascade=background", "--wait=false")
        else:
            form = "json" if isinstance(self.patch, list) else "merge"
            k8s.kubectl("patch", *where, f"--type={form}", "--patch", json.dumps(self.patch))


def _replace(path: str, value: object) -> list[dict[str, Any]]:
    return [{"op": "replace", "path": path, "value": value}]


def _append(path: str, value: object) -> list[dict[str, Any]]:
    return [{"op": "add", "path": f"{path}/-", "value": value}]


def _remove(path: str) -> list[dict[str, Any]]:
    return [{"op": "remove", "path": path}]


_API = f"{NAME}-api"
_RELAY = f"{NAME}-relay"
_POD = "/spec/template/spec"
_FIRST = f"{_POD}/containers/0"
_LABELS = "/metadata/labels/app.kubernetes.io~1"

_CHILDREN: Final = (
    ("Deployment", _API),
    ("Deployment", _RELAY),
    ("Service", NAME),
    ("ConfigMap", f"{NAME}-config"),
    ("ServiceAccount", NAME),
    ("Ingress", NAME),
    ("NetworkPolicy", _API),
    ("NetworkPolicy", _RELAY),
    ("NetworkPolicy", f"{NAME}-migrate"),
    ("PodDisruptionBudget", _API),
    ("HorizontalPodAutoscaler", _API),
)

_FIELDS: Final[dict[str, Mutation]] = {
    "image": Mutation("Deployment", _RELAY, _replace(f"{_FIRST}/image", "nowhere.example/other:1")),
    "image of the API": Mutation(
        "Deployment", _API, _replace(f"{_FIRST}/image", "nowhere.example/other:1")
    ),
    "replicas": Mutation("Deployment", _RELAY, _replace("/spec/replicas", 0)),
    "variable": Mutation("Deployment", _RELAY, _replace(f"{_FIRST}/env/0/value", "1234")),
    "variables removed": Mutation("Deployment", _RELAY, _remove(f"{_FIRST}/env")),
    "source of the settings": Mutation(
        "Deployment", _API, _replace(f"{_FIRST}/envFrom/0/configMapRef/name", "other")
    ),
    "arguments": Mutation("Deployment", _RELAY, _append(f"{_FIRST}/args", "--other")),
    "container removed": Mutation("Deployment", _RELAY, _remove(f"{_POD}/containers/1")),
    "port of a container": Mutation(
        "Deployment", _API, _replace(f"{_FIRST}/ports/0/containerPort", 8888)
    ),
    "liveness probe": Mutation(
        "Deployment", _API, _replace(f"{_FIRST}/livenessProbe/httpGet/path", "/other")
    ),
    "readiness probe": Mutation("Deployment", _API, _remove(f"{_FIRST}/readinessProbe")),
    "readiness gates": Mutation("Deployment", _API, _remove(f"{_POD}/readinessGates")),
    "memory limit": Mutation(
        "Deployment", _API, _replace(f"{_FIRST}/resources/limits/memory", "2Gi")
    ),
    "writable root": Mutation(
        "Deployment",
        _API,
        _replace(f"{_FIRST}/securityContext/readOnlyRootFilesystem", value=False),
    ),
    "mounted token": Mutation(
        "Deployment", _RELAY, _replace(f"{_POD}/automountServiceAccountToken", value=True)
    ),
    "mark of the wish": Mutation(
        "Service", NAME, {"metadata": {"annotations": {"healthingest.dev/desired": "x"}}}
    ),
    "label of the pods": Mutation(
        "Deployment",
        _RELAY,
        _replace("/spec/template/metadata/labels/app.kubernetes.io~1managed-by", "other"),
    ),
    "grace period": Mutation(
        "Deployment", _API, _replace(f"{_POD}/terminationGracePeriodSeconds", 99)
    ),
    "strategy": Mutation(
        "Deployment", _API, _replace("/spec/strategy/rollingUpdate/maxUnavailable", 1)
    ),
    "label of the operator": Mutation("Deployment", _RELAY, _remove(f"{_LABELS}managed-by")),
    "label of the instance": Mutation("Service", NAME, _replace(f"{_LABELS}instance", "other")),
    "label of a policy": Mutation("NetworkPolicy", _API, _remove(f"{_LABELS}component")),
    "owner of a Deployment": Mutation("Deployment", _RELAY, _remove("/metadata/ownerReferences")),
    "owner of a ConfigMap": Mutation(
        "ConfigMap", f"{NAME}-config", _remove("/metadata/ownerReferences")
    ),
    "setting": Mutation(
        "ConfigMap", f"{NAME}-config", {"data": {env.LIMITS_UPLOADS: "9999/minute"}}
    ),
    "all settings": Mutation("ConfigMap", f"{NAME}-config", _remove("/data")),
    "token of the account": Mutation(
        "ServiceAccount", NAME, {"automountServiceAccountToken": True}
    ),
    "selector of the Service": Mutation(
        "Service", NAME, {"spec": {"selector": {"app.kubernetes.io/component": "x"}}}
    ),
    "port of the Service": Mutation("Service", NAME, _replace("/spec/ports/0/port", 81)),
    "target of the Service": Mutation(
        "Service", NAME, _replace("/spec/ports/0/targetPort", "other")
    ),
    "type of the Service": Mutation("Service", NAME, _replace("/spec/type", "NodePort")),
    "host": Mutation("Ingress", NAME, _replace("/spec/rules/0/host", "other.example")),
    "further host": Mutation("Ingress", NAME, _append("/spec/rules", {"host": "other.example"})),
    "backend": Mutation(
        "Ingress", NAME, _replace("/spec/rules/0/http/paths/0/backend/service/name", "other")
    ),
    "annotation of the Ingress": Mutation(
        "Ingress",
        NAME,
        {"metadata": {"annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "1"}}},
    ),
    "who may come in": Mutation("NetworkPolicy", _API, _append("/spec/ingress", {})),
    "where it may go": Mutation("NetworkPolicy", _RELAY, _append("/spec/egress", {})),
    "port of a policy": Mutation(
        "NetworkPolicy", _API, _replace("/spec/ingress/0/ports/0/port", 1)
    ),
    "pods of a policy": Mutation(
        "NetworkPolicy",
        f"{NAME}-migrate",
        _replace("/spec/podSelector", {"matchLabels": {"a": "b"}}),
    ),
    "types of a policy": Mutation(
        "NetworkPolicy", f"{NAME}-migrate", _replace("/spec/policyTypes", ["Egress"])
    ),
    "disruptions": Mutation("PodDisruptionBudget", _API, _replace("/spec/maxUnavailable", 2)),
    "eviction policy": Mutation(
        "PodDisruptionBudget", _API, _remove("/spec/unhealthyPodEvictionPolicy")
    ),
    "least replicas": Mutation("HorizontalPodAutoscaler", _API, _replace("/spec/minReplicas", 2)),
    "most replicas": Mutation("HorizontalPodAutoscaler", _API, _replace("/spec/maxReplicas", 20)),
    "target of the autoscaler": Mutation(
        "HorizontalPodAutoscaler",
        _API,
        _replace("/spec/metrics/0/resource/target/averageUtilization", 95),
    ),
    "metric": Mutation(
        "HorizontalPodAutoscaler",
        _API,
        _append(
            "/spec/metrics",
            {
                "type": "Resource",
                "resource": {
                    "name": "memory",
                    "target": {"type": "Utilization", "averageUtilization": 50},
                },
            },
        ),
    ),
}

MUTATIONS: Final[dict[str, Mutation]] = {
    **{f"{kind} {name} deleted": Mutation(kind, name) for kind, name in _CHILDREN},
    **_FIELDS,
}

UNTOLD: Final = {"mark of the wish"}
"""
The operator needs this annotation to distinguish drift from a changed spec.

Without it, a change cannot be recognised as drift.
"""
