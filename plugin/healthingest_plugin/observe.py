"""Reads a HealthIngest and everything that belongs to it, as many requests at once as possible."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from healthingest_contract.conditions import API_GROUP, API_VERSION, KIND, ConditionType, Reason
from healthingest_operator.resources import http_route
from healthingest_operator.resources.names import (
    INSTANCE_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
)
from healthingest_plugin.errors import ApiError, NotFoundError, NotInstalledError
from healthingest_plugin.kubernetes_api import KubernetesApi, is_missing
from healthingest_plugin.model import (
    CHILD_KINDS,
    OPERATOR_LABEL,
    KubernetesObject,
    ObjectRef,
    OperatorView,
    ServiceView,
    Snapshot,
    healthingest_path,
    object_path,
)
from healthingest_plugin.operator_state import lease_key, serves, service_account

AT_ONCE: Final = 8
_FORBIDDEN: Final = 403
_NEAR_NAMES: Final = 3
_ADDRESS: Final = re.compile(r"([a-z0-9-]+(?:\.[a-z0-9-]+)*):\d+")
_IN_CLUSTER: Final = re.compile(
    r"^(?P<name>[a-z0-9-]+)(?:\.(?P<namespace>[a-z0-9-]+)(?P<svc>\.svc(?:\.[a-z0-9.-]+)?)?)?$"
)
_UNREACHED: Final = frozenset({Reason.NAME_NOT_FOUND.value, Reason.UNREACHABLE.value})
_DEPENDENCIES: Final = (
    ConditionType.BUCKET_READY.value,
    ConditionType.BROKER_READY.value,
    ConditionType.DATABASE_READY.value,
    ConditionType.CACHE_READY.value,
)
Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Reads:
    """Requests that run at once; what may not be read becomes a gap."""

    pool: ThreadPoolExecutor
    gaps: list[str] = field(default_factory=list)

    def all(self, reads: Mapping[str, Callable[[], Answer]]) -> dict[str, Answer | None]:
        """Return the answers by name, None for what is forbidden or does not exist."""
        pending = {name: self.pool.submit(read) for name, read in reads.items()}
        found: dict[str, Answer | None] = {}
        for name, future in pending.items():
            try:
                found[name] = future.result()
            except ApiError as error:
                if error.status == _FORBIDDEN:
                    self.gaps.append(f"you may not read {name}")
                elif not is_missing(error):
                    raise
                found[name] = None
        return found


def healthingest(api: KubernetesApi, namespace: str, name: str) -> dict[str, Any]:
    """
    Return a HealthIngest.

    Raises:
        NotFoundError: it does not exist; the message has the nearest names.
        NotInstalledError: its kind does not exist.
        ApiError: the request was refused, or got no answer.
    """
    try:
        return api.get(healthingest_path(namespace, name))
    except ApiError as error:
        if not is_missing(error):
            raise
    others = [item["metadata"]["name"] for item in healthingests(api, namespace)]
    near = difflib.get_close_matches(name, others, _NEAR_NAMES) or sorted(others)[:_NEAR_NAMES]
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    else:
        hint = (
            "the namespace has none: choose another with --namespace, or list all with kubectl"
            " healthingest status --all-namespaces"
        )
    message = f"HealthIngest {namespace}/{name} does not exist: {hint}"
    raise NotFoundError(message)


def healthingests(api: KubernetesApi, namespace: str | None) -> list[dict[str, Any]]:
    """
    Return the HealthIngests of a namespace, or of all.

    Raises:
        NotInstalledError: their kind does not exist.
        ApiError: the request was refused, or got no answer.
    """
    try:
        return api.items(f"{API_GROUP}/{API_VERSION}", KIND, namespace)
    except ApiError as error:
        if not is_missing(error):
            raise
        message = (
            f"this cluster has no kind {KIND} ({API_GROUP}/{API_VERSION}): install the chart"
            " healthingest-operator, or choose another cluster with --context"
        )
        raise NotInstalledError(message) from error


def snapshot(
    api: KubernetesApi, namespace: str, name: str, operator_namespace: str | None = None
) -> Snapshot:
    """
    Return a HealthIngest with its children, pods and operators.

    Raises what `healthingest` raises.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        reads = _Reads(pool)
        mine = {"labelSelector": f"{MANAGED_BY_LABEL}={MANAGED_BY},{INSTANCE_LABEL}={name}"}
        body = pool.submit(healthingest, api, namespace, name)
        space = pool.submit(_terminates, api, namespace)
        operators = pool.submit(_operators, api, operator_namespace)
        lists = reads.all(
            {
                # mypy: mypy cannot type a default of a lambda
                f"{kind}s": lambda version=version, kind=kind: api.items(  # type: ignore[misc]
                    version, kind, namespace, mine
                )
                for version, kind in CHILD_KINDS
            }
        )
        found = body.result()
        if not (found.get("spec") or {}).get("httpRoute"):
            # Roles of users often lack a kind that the cluster may not even have.
            reads.gaps = [gap for gap in reads.gaps if not gap.endswith(f" {http_route.KIND}s")]
        pods = lists.pop("Pods") or []
        view = _with_leases(api, reads, operators.result(), namespace)
        return Snapshot(
            found,
            api.now,
            tuple(child for group in lists.values() for child in group or ()),
            tuple(pods),
            view,
            _services(api, pool, found, view),
            space.result(),
            tuple(reads.gaps),
        )


def _terminates(api: KubernetesApi, namespace: str) -> bool:
    """Whether the namespace is being deleted; False also when it may not be read."""
    try:
        space = api.get(object_path("v1", "Namespace", None, namespace))
    except ApiError as error:
        if error.status == _FORBIDDEN or is_missing(error):
            return False
        raise
    return bool((space.get("status") or {}).get("phase") == "Terminating")


def _operators(api: KubernetesApi, namespace: str | None) -> OperatorView:
    """Return the operators of the cluster, or of *namespace*, with their pods."""
    query = {"labelSelector": OPERATOR_LABEL}
    try:
        deployments = api.items("apps/v1", "Deployment", namespace, query)
        pods = api.items("v1", "Pod", namespace, query)
    except ApiError as error:
        if error.status == _FORBIDDEN:
            return OperatorView()
        raise
    return OperatorView(tuple(deployments), tuple(pods))


def _with_leases(
    api: KubernetesApi, reads: _Reads, view: OperatorView, namespace: str
) -> OperatorView:
    """Return *view* with the Leases and rights of the operators that serve *namespace*."""
    serving = [found for found in view.deployments or () if serves(found, namespace)]
    if not serving:
        return view
    keys = {lease_key(found) for found in serving}
    leases = reads.all(
        {
            f"Lease {space}/{name}": lambda space=space, name=name: api.get(  # type: ignore[misc]
                object_path("coordination.k8s.io/v1", "Lease", space, name)
            )
            for space, name in keys
        }
    )
    by_key = {key: found for key in keys if (found := leases[f"Lease {key[0]}/{key[1]}"])}
    return OperatorView(view.deployments, view.pods, by_key, _rights(api, serving, namespace))


def _rights(
    api: KubernetesApi, serving: Iterable[KubernetesObject], namespace: str
) -> dict[str, bool]:
    """Return by service account whether it may watch HealthIngests; unknown ones are left out."""
    accounts = {service_account(found) for found in serving}
    answers = {account: _may_watch(api, account, namespace) for account in accounts}
    return {account: allowed for account, allowed in answers.items() if allowed is not None}


def _may_watch(api: KubernetesApi, account: str, namespace: str) -> bool | None:
    """Whether a service account may watch HealthIngests in *namespace*; None: you may not ask."""
    space, _, name = account.partition("/")
    attributes = {
        "namespace": namespace,
        "verb": "watch",
        "group": API_GROUP,
        "resource": "healthingests",
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{space}:{name}",
            "groups": [
                "system:serviceaccounts",
                f"system:serviceaccounts:{space}",
                "system:authenticated",
            ],
            "resourceAttributes": attributes,
        },
    }
    try:
        answer = api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    except ApiError as error:
        if error.status == _FORBIDDEN:
            return None
        raise
    return bool(answer["status"]["allowed"])


def _services(
    api: KubernetesApi, pool: ThreadPoolExecutor, body: KubernetesObject, view: OperatorView
) -> dict[str, ServiceView]:
    """Return the Services that addresses of unreachable dependencies name."""
    own = view.deployments[0]["metadata"]["namespace"] if view.deployments else None
    conditions = (body.get("status") or {}).get("conditions") or ()
    pending = {
        entry["type"]: pool.submit(_service, api, str(entry.get("message", "")), own)
        for entry in conditions
        if _is_unreached(entry)
    }
    found = {kind: future.result() for kind, future in pending.items()}
    return {kind: service for kind, service in found.items() if service is not None}


def _is_unreached(condition: KubernetesObject) -> bool:
    """Whether a condition says that a dependency cannot be reached."""
    return (
        condition["type"] in _DEPENDENCIES
        and condition["status"] == "False"
        and condition["reason"] in _UNREACHED
    )


def _service(api: KubernetesApi, message: str, own_namespace: str | None) -> ServiceView | None:
    """
    Return the Service that an address in *message* names; None: it names none, or is unknown.

    A name without a namespace is one in the namespace of the operator, which asks from there.
    """
    address = _ADDRESS.search(message)
    parts = _IN_CLUSTER.match(address[1]) if address else None
    if parts is None:
        return None
    namespace = parts["namespace"] or own_namespace
    if namespace is None:
        return None
    # `name.namespace` may as well be a host outside the cluster.
    is_certain = bool(parts["svc"]) or not parts["namespace"]
    try:
        if not is_certain:
            api.get(object_path("v1", "Namespace", None, namespace))
        return _endpoints(api, ObjectRef("Service", parts["name"], namespace))
    except ApiError as error:
        if error.status == _FORBIDDEN or is_missing(error):
            return None
        raise


def _endpoints(api: KubernetesApi, ref: ObjectRef) -> ServiceView:
    try:
        service = api.get(object_path("v1", "Service", ref.namespace, ref.name))
    except ApiError as error:
        if is_missing(error):
            return ServiceView(ref, exists=False)
        raise
    if service["spec"].get("type") == "ExternalName":
        return ServiceView(ref, exists=True, ready_endpoints=1)
    query = {"labelSelector": f"kubernetes.io/service-name={ref.name}"}
    slices = api.items("discovery.k8s.io/v1", "EndpointSlice", ref.namespace, query)
    ready = [
        endpoint
        for found in slices
        for endpoint in found.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
    ]
    return ServiceView(ref, exists=True, ready_endpoints=len(ready))
