"""What the plugin has read from the cluster: values without behaviour of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from healthingest_contract.conditions import API_GROUP, API_VERSION, KIND, PLURAL
from healthingest_operator.resources.children import KINDS, OPTIONAL_KINDS

KubernetesObject = Mapping[str, Any]
"""An object as the API server returns it."""

OPERATOR_LABEL: Final = "app.kubernetes.io/name=healthingest-operator"
"""The chart writes it on every object of a release."""

CHILD_KINDS: Final = (*KINDS, *OPTIONAL_KINDS, ("v1", "Pod"))

PLURALS: Final[Mapping[str, str]] = {
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "Pod": "pods",
    "Event": "events",
    "Namespace": "namespaces",
    "Deployment": "deployments",
    "ReplicaSet": "replicasets",
    "Job": "jobs",
    "Ingress": "ingresses",
    "HTTPRoute": "httproutes",
    "NetworkPolicy": "networkpolicies",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "EndpointSlice": "endpointslices",
    "Lease": "leases",
    KIND: PLURAL,
}


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object of the cluster, as kubectl names it."""

    kind: str
    name: str
    namespace: str | None = None

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name}"

    def command(self, verb: str = "describe") -> str:
        """Return the kubectl command that shows the object."""
        scope = f" --namespace {self.namespace}" if self.namespace else ""
        kind = f"{PLURAL}.{API_GROUP}" if self.kind == KIND else self.kind.lower()
        return f"kubectl {verb} {kind} {self.name}{scope}"


@dataclass(frozen=True, slots=True)
class OperatorView:
    """
    The operators of the cluster.

    `deployments` is None: they may not be read. `leases` are by namespace and name; `rights` say
    for a service account (`namespace/name`) whether it may do what it must in the namespace of the
    HealthIngest.
    """

    deployments: tuple[KubernetesObject, ...] | None = None
    pods: tuple[KubernetesObject, ...] = ()
    leases: Mapping[tuple[str, str], KubernetesObject] = field(default_factory=dict)
    rights: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A Service that an address names: whether it exists, and how many endpoints are ready."""

    ref: ObjectRef
    exists: bool
    ready_endpoints: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A HealthIngest and what belongs to it, at the time `now` of the API server."""

    body: KubernetesObject
    now: datetime
    children: tuple[KubernetesObject, ...] = ()
    pods: tuple[KubernetesObject, ...] = ()
    operator: OperatorView = field(default_factory=OperatorView)
    services: Mapping[str, ServiceView] = field(default_factory=dict)
    """By the condition type whose message names them."""
    namespace_terminates: bool = False
    gaps: tuple[str, ...] = ()
    """What could not be read."""

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.body["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @property
    def ref(self) -> ObjectRef:
        """The HealthIngest."""
        return ObjectRef(KIND, self.name, self.namespace)

    @property
    def status(self) -> KubernetesObject:
        """Its status; empty before the operator has written one."""
        return self.body.get("status") or {}

    @property
    def conditions(self) -> dict[str, KubernetesObject]:
        """Its conditions by type."""
        return {entry["type"]: entry for entry in self.status.get("conditions") or ()}

    @property
    def is_observed(self) -> bool:
        """Whether the status was written for the present generation."""
        return bool(
            self.status.get("observedGeneration") == self.body["metadata"].get("generation")
        )


def object_path(api_version: str, kind: str, namespace: str | None, name: str | None = None) -> str:
    """Return the path of an object, or of all objects of a kind, in the Kubernetes API."""
    root = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    scope = f"/namespaces/{namespace}" if namespace else ""
    tail = f"/{name}" if name else ""
    return f"{root}{scope}/{PLURALS[kind]}{tail}"


def healthingest_path(namespace: str | None, name: str | None = None) -> str:
    """Return the path of a HealthIngest, or of all of a namespace or of the cluster."""
    return object_path(f"{API_GROUP}/{API_VERSION}", KIND, namespace, name)
