"""Decides whether an operator works for a HealthIngest, and if not, why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from healthingest_operator.status.pod_failures import of_pods
from healthingest_plugin import faults
from healthingest_plugin.faults import Fault
from healthingest_plugin.model import (
    OPERATOR_LABEL,
    KubernetesObject,
    ObjectRef,
    OperatorView,
    Snapshot,
)

NAMESPACES_VARIABLE: Final = "HEALTHINGEST_OPERATOR_NAMESPACES"
LEASE_VARIABLE: Final = "HEALTHINGEST_OPERATOR_LEASE_NAME"
_LEASE_MARGIN: Final = timedelta(seconds=5)
"""For a renewal that is on its way."""
_DEFAULT_LEASE: Final = "healthingest-operator"


@dataclass(frozen=True, slots=True)
class OperatorFault:
    """Why no operator works for a HealthIngest; `where` is the object to look at."""

    fault: Fault
    message: str
    remedy: str
    where: ObjectRef | None = None


def operator_fault(snapshot: Snapshot) -> OperatorFault | None:
    """Return why no operator works for the HealthIngest; None: one does, or nothing is known."""
    view = snapshot.operator
    if view.deployments is None:
        return None
    if not view.deployments:
        return _made(faults.OPERATOR_MISSING, None, label=OPERATOR_LABEL)
    serving = [found for found in view.deployments if serves(found, snapshot.namespace)]
    if not serving:
        other = view.deployments[0]
        return _made(
            faults.NAMESPACE_NOT_WATCHED,
            ref_of(other),
            namespace=snapshot.namespace,
            where=_where(other),
            served=", ".join(served_namespaces(other)),
        )
    problems = [_of_deployment(found, view, snapshot) for found in serving]
    return None if None in problems else problems[0]


def serves(deployment: KubernetesObject, namespace: str) -> bool:
    """Whether this operator watches *namespace*."""
    served = served_namespaces(deployment)
    return not served or namespace in served


def served_namespaces(deployment: KubernetesObject) -> list[str]:
    """Return the namespaces that an operator watches; empty: all of them."""
    value = variable(deployment, NAMESPACES_VARIABLE) or ""
    return sorted({name.strip() for name in value.split(",") if name.strip()})


def variable(deployment: KubernetesObject, name: str) -> str | None:
    """Return an environment variable of a Deployment's containers."""
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        for entry in container.get("env") or ():
            if entry["name"] == name:
                return str(entry.get("value", ""))
    return None


def lease_key(deployment: KubernetesObject) -> tuple[str, str]:
    """Return namespace and name of the Lease by which this operator's pods elect a leader."""
    name = variable(deployment, LEASE_VARIABLE) or _DEFAULT_LEASE
    return str(deployment["metadata"]["namespace"]), name


def service_account(deployment: KubernetesObject) -> str:
    """Return `namespace/name` of the service account of an operator."""
    spec = deployment["spec"]["template"]["spec"]
    return f"{deployment['metadata']['namespace']}/{spec.get('serviceAccountName', 'default')}"


def ref_of(found: KubernetesObject) -> ObjectRef:
    """Return the reference of an object."""
    metadata = found["metadata"]
    return ObjectRef(str(found["kind"]), metadata["name"], metadata.get("namespace"))


def is_ready(pod: KubernetesObject) -> bool:
    """Whether a pod is ready and not terminating."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any((entry["type"], entry["status"]) == ("Ready", "True") for entry in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def pods_of(
    deployment: KubernetesObject, pods: Sequence[KubernetesObject]
) -> list[KubernetesObject]:
    """Return the pods that a Deployment's selector matches."""
    wanted = (deployment["spec"].get("selector") or {}).get("matchLabels") or {}
    namespace = deployment["metadata"].get("namespace")
    return [
        pod
        for pod in pods
        if pod["metadata"].get("namespace") == namespace
        and wanted.items() <= (pod["metadata"].get("labels") or {}).items()
    ]


def lease_state(lease: KubernetesObject | None, now: datetime) -> str | None:
    """Return why a Lease names no leader; None: it names one."""
    spec = (lease or {}).get("spec") or {}
    if not spec.get("holderIdentity"):
        return "has no holder"
    if not spec.get("renewTime"):
        return "was never renewed"
    renewed = datetime.fromisoformat(str(spec["renewTime"]))
    age = now - renewed
    if age > timedelta(seconds=spec.get("leaseDurationSeconds") or 0) + _LEASE_MARGIN:
        return f"was not renewed since {renewed:%Y-%m-%dT%H:%M:%SZ}"
    return None


def _of_deployment(
    deployment: KubernetesObject, view: OperatorView, snapshot: Snapshot
) -> OperatorFault | None:
    where = ref_of(deployment)
    name = _where(deployment)
    if not deployment["spec"].get("replicas", 1):
        scale = f"{where.command('scale')} --replicas=2"
        return _made(faults.OPERATOR_SCALED_TO_ZERO, where, where=name, command=scale)
    pods = pods_of(deployment, view.pods)
    if not any(is_ready(pod) for pod in pods):
        return _not_running(deployment, pods)
    key = lease_key(deployment)
    state = lease_state(view.leases.get(key), snapshot.now)
    if state is not None:
        lease = f"{key[0]}/{key[1]}"
        return _made(faults.OPERATOR_NOT_LEADING, where, where=name, lease=lease, state=state)
    if view.rights.get(service_account(deployment)) is False:
        return _made(faults.OPERATOR_LACKS_RIGHTS, where, where=name, namespace=snapshot.namespace)
    return None


def _not_running(deployment: KubernetesObject, pods: Sequence[KubernetesObject]) -> OperatorFault:
    failure = of_pods(pods)
    where = ref_of(pods[0] if failure is not None else deployment)
    why = "" if failure is None else f": {failure.reason.value}, {failure.message}"
    return _made(faults.OPERATOR_NOT_RUNNING, where, where=_where(deployment), why=why)


def _where(deployment: KubernetesObject) -> str:
    metadata = deployment["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"


def _made(fault: Fault, seen: ObjectRef | None, /, **values: object) -> OperatorFault:
    message, remedy = fault.texts(**values)
    return OperatorFault(fault, message, remedy, seen)
