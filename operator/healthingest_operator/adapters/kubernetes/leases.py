"""
The Lease of this installation.

Source: Kubernetes documentation, "Leases"; API group `coordination.k8s.io/v1`.
"""

import math
from datetime import UTC, datetime
from typing import Any, Final

from typing_extensions import override

from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster
from healthingest_operator.reconcile.errors import ClusterError
from healthingest_operator.reconcile.leader_election import DEFAULT_TIMES, Lease, Leases

_CONFLICT: Final = 409


class KubernetesLeases(Leases):
    """Implements the port `Leases`."""

    def __init__(
        self,
        cluster: KubernetesCluster,
        namespace: str,
        name: str,
        duration_seconds: float = DEFAULT_TIMES.lease_duration,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._duration_seconds = math.ceil(duration_seconds)

    @override
    async def read(self) -> Lease | None:
        found = await self._cluster.call(
            "GET", f"{self._folder}/{self._name}", missing_is_none=True
        )
        return None if found is None else _lease(found)

    @override
    async def take(self, before: Lease | None, holder: str) -> Lease | None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        renewal = before is not None and before.holder == holder
        metadata = {"name": self._name, "namespace": self._namespace}
        body: dict[str, Any] = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": self._duration_seconds,
                "acquireTime": before.acquired if renewal and before and before.acquired else now,
                "renewTime": now,
                "leaseTransitions": 0 if before is None else before.transitions + (not renewal),
            },
        }
        try:
            if before is None:
                made = await self._cluster.call("POST", self._folder, body=body)
            else:
                # With this resourceVersion the server refuses the write if another client wrote
                # meanwhile.
                metadata["resourceVersion"] = before.version
                made = await self._cluster.call("PUT", f"{self._folder}/{self._name}", body=body)
        except ClusterError as error:
            if error.status == _CONFLICT:
                return None
            raise
        return _lease(made or {})

    @property
    def _folder(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self._namespace}/leases"


def _lease(found: dict[str, Any]) -> Lease:
    spec = found.get("spec") or {}
    return Lease(
        holder=spec.get("holderIdentity") or "",
        version=found["metadata"]["resourceVersion"],
        transitions=spec.get("leaseTransitions") or 0,
        acquired=spec.get("acquireTime") or "",
    )
