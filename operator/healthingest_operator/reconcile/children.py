"""Children in the cluster: list them, compare them, apply those that differ, and prune."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from healthingest_contract.conditions import POD_READINESS_GATE, ConditionType, Reason
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest, ManifestView
from healthingest_operator.reconcile.errors import ClusterError, DependencyError
from healthingest_operator.reconcile.ports import Cluster
from healthingest_operator.resources import comparison, names
from healthingest_operator.resources.children import KINDS, OPTIONAL_KINDS
from healthingest_operator.status.conditions import ConditionUpdate, condition_false, condition_true
from healthingest_operator.status.pod_causes import SCALED_TO_ZERO
from healthingest_operator.status.pod_failures import Failure, of_pods, of_refusal, of_silent_relay

FIELD_MANAGER: Final = "healthingest-operator"

_LISTED: Final = (*KINDS, *OPTIONAL_KINDS, ("v1", "Pod"))
_FORBIDDEN: Final = 403
_RUNNING: Final = frozenset({"Deployment", "Job", "HorizontalPodAutoscaler"})
"""Kinds that are kept while the workload may not be rolled out."""


@dataclass(slots=True)
class Children:
    """The live children of a HealthIngest, and the changes of this reconciliation."""

    cluster: Cluster
    owner: HealthIngest
    expected: bool
    """Whether a missing child existed before; its absence is then drift."""
    live: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    healed: list[str] = field(default_factory=list)
    wanted: set[tuple[str, str]] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    """Optional kinds that the operator may not list; their objects are unknown."""

    async def observe(self) -> None:
        """List all kinds concurrently, without children of a deleted HealthIngest of this name."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._children(version, kind)) for version, kind in _LISTED]
        for (_, kind), task in zip(_LISTED, tasks, strict=True):
            for child in task.result():
                if kind == "Pod" or owned(child, self.owner) or orphaned(child, self.owner):
                    self.live[kind, child["metadata"]["name"]] = child

    async def _children(self, version: str, kind: str) -> list[Manifest]:
        try:
            return await self.cluster.children(version, kind, self.owner.key)
        except ClusterError as error:
            if error.status != _FORBIDDEN or (version, kind) not in OPTIONAL_KINDS:
                raise
            self.forbidden.add(kind)
            return []

    def get(self, kind: str, name: str) -> Manifest | None:
        """Return a live child; None: it does not exist."""
        return self.live.get((kind, name))

    def all(self, kind: str) -> list[Manifest]:
        """Return the live children of a kind."""
        return [child for (found, _), child in self.live.items() if found == kind]

    async def ensure(self, desired: Iterable[ManifestView]) -> None:
        """Apply the objects that differ, and record drift in `healed`."""
        for child in desired:
            kind = child["kind"]
            name = child["metadata"]["name"]
            self.wanted.add((kind, name))
            live = self.live.get((kind, name))
            drift = None
            if live is None:
                await self._check_free(child)
                if self.expected and kind != "Job":
                    drift = f"{kind} {name} was missing"
            else:
                path = comparison.difference(child, live)
                if path is None:
                    continue
                if comparison.has_same_desired_state(child, live):
                    drift = f"{kind} {name}: {path}"
                await self._hand_over_replicas(child, live)
                await self._correct_list_keys(child, live)
            applied = await self.cluster.apply(child)
            self.live[kind, name] = applied
            if drift is not None:
                self.healed.append(drift)
            if live is None:
                await self._first_replicas(child, applied)

    async def prune(self, *, workload_known: bool) -> None:
        """Delete children that are not in `wanted`."""
        for (kind, name), child in list(self.live.items()):
            kept = kind == "Pod" or (kind in _RUNNING and not workload_known)
            if not kept and (kind, name) not in self.wanted:
                await self.cluster.delete(child)
                del self.live[kind, name]

    async def open_gates(self) -> None:
        """Open the readiness gate of API pods."""
        for (kind, _), pod in self.live.items():
            labels = pod["metadata"].get("labels") or {}
            is_api = kind == "Pod" and labels.get(names.COMPONENT_LABEL) == names.API
            if is_api and not pod["metadata"].get("deletionTimestamp") and not _gate_is_open(pod):
                await self.cluster.open_gate(pod)

    async def _correct_list_keys(self, child: ManifestView, live: ManifestView) -> None:
        keys = comparison.rekeyed(child.get("spec"), live.get("spec"), "/spec")
        if keys:
            await self.cluster.set_fields(live, keys)

    async def _check_free(self, child: ManifestView) -> None:
        """Refuse to apply over an object of the same name with another owner."""
        metadata = child["metadata"]
        other = await self.cluster.read(
            child["apiVersion"], child["kind"], metadata["namespace"], metadata["name"]
        )
        if other is not None:
            refuse_foreign(other, self.owner)

    async def _first_replicas(self, child: ManifestView, applied: ManifestView) -> None:
        """Start with the autoscaler's minimum of replicas, because an autoscaler reacts late."""
        scaling = self.owner.spec.autoscaling
        if (
            scaling is not None
            and child["kind"] == "Deployment"
            and "replicas" not in child["spec"]
        ):
            await self.cluster.hand_over_replicas(applied, scaling.min_replicas)

    async def _hand_over_replicas(self, child: ManifestView, live: ManifestView) -> None:
        """
        Keep the number of replicas when the operator stops setting them.

        Server-side apply removes a field that its only manager no longer sends: one replica would
        remain.
        """
        if (
            child["kind"] == "Deployment"
            and "replicas" not in child["spec"]
            and _manages_replicas(live)
        ):
            await self.cluster.hand_over_replicas(live, live["spec"].get("replicas", 1))


def owned(child: ManifestView, owner: HealthIngest) -> bool:
    """Whether this HealthIngest, by its uid, is an owner of *child*."""
    references: Sequence[ManifestView] = child["metadata"].get("ownerReferences") or ()
    return any(reference.get("uid") == owner.uid for reference in references)


def orphaned(child: ManifestView, owner: HealthIngest) -> bool:
    """
    Whether *child* was created for a HealthIngest of this name and has no owner reference.

    The garbage collector would never delete such an object.
    """
    metadata = child["metadata"]
    labels = metadata.get("labels") or {}
    annotations = metadata.get("annotations") or {}
    ours = (
        labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY
        and labels.get(names.INSTANCE_LABEL) == owner.key.name
    )
    return ours and names.DESIRED_ANNOTATION in annotations and not metadata.get("ownerReferences")


def refuse_foreign(other: ManifestView, owner: HealthIngest) -> None:
    """
    Check that *other* belongs to *owner*.

    Raises:
        DependencyError: it has another owner, or belongs to a deleted HealthIngest of this name.
    """
    if owned(other, owner) or orphaned(other, owner):
        return
    metadata = other["metadata"]
    what = f"{other.get('kind', 'object')} {metadata['namespace']}/{metadata['name']}"
    labels = metadata.get("labels") or {}
    if (
        labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY
        and labels.get(names.INSTANCE_LABEL) == owner.key.name
    ):
        raise DependencyError(
            Reason.PROGRESSING,
            f"waits until {what} of a deleted HealthIngest of this name is removed",
        )
    message = (
        f"{what} exists and was not created by this operator: remove it, or give the"
        " HealthIngest another name"
    )
    raise DependencyError(Reason.RESOURCE_CONFLICT, message)


def availability(
    deployments: Sequence[ManifestView], pods: Sequence[ManifestView] = ()
) -> ConditionUpdate:
    """
    Return `WorkloadAvailable`: True if all Deployments are available and up to date.

    Otherwise it explains the cause, from their *pods*.
    """
    kind = ConditionType.WORKLOAD_AVAILABLE
    for deployment in deployments:
        if not deployment["spec"].get("replicas", 1):
            where = f"Deployment {deployment['metadata']['name']}"
            return condition_false(kind, SCALED_TO_ZERO.reason, SCALED_TO_ZERO.text(where=where))
        if not _is_complete(deployment):
            return _incomplete(deployment, pods)
    return condition_true(kind, "all pods are available", Reason.AVAILABLE)


def _is_complete(deployment: ManifestView) -> bool:
    """Whether all replicas are available and up to date, and no older pod remains."""
    status = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    updated = status.get("updatedReplicas", 0)
    is_current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    is_there = wanted <= updated and wanted <= status.get("availableReplicas", 0)
    is_alone = status.get("replicas", 0) <= updated
    return (
        is_current and is_there and is_alone and not _condition(deployment, "Progressing", "False")
    )


def _incomplete(deployment: ManifestView, pods: Sequence[ManifestView]) -> ConditionUpdate:
    kind = ConditionType.WORKLOAD_AVAILABLE
    name = deployment["metadata"]["name"]
    failure = _why(deployment, pods)
    if failure is not None:
        return condition_false(kind, failure.reason, f"Deployment {name}: {failure.message}")
    if _condition(deployment, "Progressing", "False"):
        message = f"Deployment {name}: pods do not become ready; see its pods' events and logs"
        return condition_false(kind, Reason.ROLLOUT_FAILED, message)
    status = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    updated = status.get("updatedReplicas", 0)
    available = status.get("availableReplicas", 0)
    message = f"Deployment {name}: {available} of {wanted} pods available, {updated} up to date"
    return condition_false(kind, Reason.ROLLOUT_PROGRESSING, message)


def _why(deployment: ManifestView, pods: Sequence[ManifestView]) -> Failure | None:
    """Return why pods are missing: from the Deployment's conditions, then from its pods."""
    refused = _condition(deployment, "ReplicaFailure", "True")
    if refused:
        return of_refusal(
            str(refused.get("message", "")), f"Deployment {deployment['metadata']['name']}"
        )
    wanted = (deployment["spec"].get("selector") or {}).get("matchLabels") or {}
    own = [pod for pod in pods if wanted.items() <= (pod["metadata"].get("labels") or {}).items()]
    relay = wanted.get(names.COMPONENT_LABEL) == names.RELAY
    return of_pods(own) or (of_silent_relay(own) if relay else None)


def _condition(found: ManifestView, kind: str, status: str) -> ManifestView:
    conditions = (found.get("status") or {}).get("conditions") or []
    return next(
        (entry for entry in conditions if (entry["type"], entry["status"]) == (kind, status)), {}
    )


def _gate_is_open(pod: ManifestView) -> bool:
    return bool(_condition(pod, POD_READINESS_GATE, "True"))


def _manages_replicas(live: ManifestView) -> bool:
    entries = live["metadata"].get("managedFields") or []
    return any(
        entry.get("manager") == FIELD_MANAGER
        and "f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {})
        for entry in entries
    )
