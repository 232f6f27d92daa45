"""
The Kubernetes API through aiohttp.

Objects are dictionaries, written by server-side apply; there are no models and no discovery.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
from typing_extensions import override

from healthingest_contract.conditions import (
    API_GROUP,
    API_VERSION,
    KIND,
    PLURAL,
    POD_READINESS_GATE,
)
from healthingest_operator.adapters.kubernetes.connection import JSON, Connection, connection
from healthingest_operator.api.healthingest import Key
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.reconcile.children import FIELD_MANAGER
from healthingest_operator.reconcile.errors import ClusterError
from healthingest_operator.reconcile.ports import Cluster
from healthingest_operator.resources.children import OPTIONAL_KINDS
from healthingest_operator.resources.names import INSTANCE_LABEL, MANAGED_BY, MANAGED_BY_LABEL

STATUS_MANAGER: Final = f"{FIELD_MANAGER}-status"
REPLICAS_MANAGER: Final = f"{FIELD_MANAGER}-replicas"
_PLURALS: Final = {
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "Pod": "pods",
    "Deployment": "deployments",
    "Job": "jobs",
    "Ingress": "ingresses",
    "HTTPRoute": "httproutes",
    "NetworkPolicy": "networkpolicies",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    KIND: PLURAL,
}
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_APPLY: Final = "application/apply-patch+yaml"
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_JSON_PATCH: Final = "application/json-patch+json"
_NOT_FOUND: Final = 404
_ENDING: Final = "NamespaceTerminating"
_FIRST_ERROR: Final = 400
_MESSAGE_CHARACTERS: Final = 400
_MOST_EVENTS: Final = 50
_EVENT_CHARACTERS: Final = 1024  # Kubernetes API reference, "Event"
_SILENCE_SECONDS: Final = 20.0
"""Seconds that a watch may last beyond the timeout that the server was asked for."""


@asynccontextmanager
async def kubernetes_cluster(timeout_seconds: float) -> AsyncIterator["KubernetesCluster"]:
    """Open a connection with the pod's service account, or by KUBECONFIG outside a cluster."""
    async with connection() as opened:
        yield KubernetesCluster(opened, timeout_seconds)


class KubernetesCluster(Cluster):
    """Implements the port `Cluster`."""

    def __init__(self, opened: Connection, timeout_seconds: float) -> None:
        self._connection = opened
        self._timeout_seconds = timeout_seconds

    @override
    async def health_ingest(self, key: Key) -> dict[str, Any] | None:
        return await self.read(f"{API_GROUP}/{API_VERSION}", KIND, key.namespace, key.name)

    @override
    async def read(
        self, api_version: str, kind: str, namespace: str, name: str
    ) -> dict[str, Any] | None:
        return await self.call(
            "GET", _path(api_version, kind, namespace, name), missing_is_none=True
        )

    @override
    async def version(self, api_version: str, kind: str, namespace: str, name: str) -> str | None:
        path = _path(api_version, kind, namespace, name)
        found = await self.call("GET", path, missing_is_none=True, accept=METADATA)
        return (
            None
            if found is None
            else f"{found['metadata']['uid']}/{found['metadata']['resourceVersion']}"
        )

    @override
    async def children(self, api_version: str, kind: str, key: Key) -> list[dict[str, Any]]:
        query = [("labelSelector", f"{MANAGED_BY_LABEL}={MANAGED_BY},{INSTANCE_LABEL}={key.name}")]
        found = await self.call(
            "GET",
            _path(api_version, kind, key.namespace),
            query=query,
            missing_is_none=(api_version, kind) in OPTIONAL_KINDS,
        )
        # The server omits these two fields in elements of a list.
        return [
            {"apiVersion": api_version, "kind": kind, **item}
            for item in (found or {}).get("items", [])
        ]

    @override
    async def events_about(self, about: ManifestView) -> list[dict[str, Any]]:
        metadata = about["metadata"]
        query = [
            ("fieldSelector", f"involvedObject.uid={metadata['uid']}"),
            ("limit", str(_MOST_EVENTS)),
        ]
        found = await self.call(
            "GET", f"/api/v1/namespaces/{metadata['namespace']}/events", query=query
        )
        return list((found or {}).get("items", []))

    @override
    async def apply(self, manifest: ManifestView) -> dict[str, Any]:
        return await self._apply(manifest, FIELD_MANAGER) or {}

    @override
    async def delete(self, manifest: ManifestView) -> None:
        metadata = manifest["metadata"]
        options = {"propagationPolicy": "Background", "preconditions": {"uid": metadata["uid"]}}
        path = _path(
            manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"]
        )
        await self.call("DELETE", path, body=options, missing_is_none=True)

    @override
    async def hand_over_replicas(self, manifest: ManifestView, replicas: int) -> None:
        metadata = manifest["metadata"]
        held = {
            "apiVersion": manifest["apiVersion"],
            "kind": manifest["kind"],
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "spec": {"replicas": replicas},
        }
        await self._apply(held, REPLICAS_MANAGER)

    @override
    async def set_fields(
        self, manifest: ManifestView, values: Sequence[tuple[str, object]]
    ) -> None:
        metadata = manifest["metadata"]
        path = _path(
            manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"]
        )
        operations = [
            {"op": "replace", "path": pointer, "value": value} for pointer, value in values
        ]
        await self.call(
            "PATCH",
            path,
            query=[("fieldManager", FIELD_MANAGER)],
            body=operations,
            content=_JSON_PATCH,
        )

    @override
    async def open_gate(self, pod: ManifestView) -> None:
        metadata = pod["metadata"]
        path = _path("v1", "Pod", metadata["namespace"], metadata["name"])
        condition = {"type": POD_READINESS_GATE, "status": "True", "reason": "DependenciesReady"}
        body = {"status": {"conditions": [condition]}}
        await self.call(
            "PATCH", f"{path}/status", body=body, content=_STRATEGIC, missing_is_none=True
        )

    @override
    async def write_status(self, key: Key, status: Mapping[str, Any]) -> None:
        written = {
            "apiVersion": f"{API_GROUP}/{API_VERSION}",
            "kind": KIND,
            "metadata": {"name": key.name, "namespace": key.namespace},
            "status": dict(status),
        }
        await self._apply(written, STATUS_MANAGER, "/status")

    @override
    async def is_terminating(self, namespace: str) -> bool:
        # A dry-run creation of an event needs no right to read namespaces.
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": "rehearsal.", "namespace": namespace},
            "involvedObject": {"namespace": namespace},
        }
        try:
            await self.call(
                "POST",
                f"/api/v1/namespaces/{namespace}/events",
                query=[("dryRun", "All")],
                body=event,
            )
        except ClusterError as error:
            if error.status == _NOT_FOUND:
                return True
            if _ENDING not in error.causes:
                raise
            return True
        return False

    @override
    async def emit_event(self, about: ManifestView, kind: str, reason: str, message: str) -> None:
        metadata = about["metadata"]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "generateName": f"{metadata['name']}.",
                "namespace": metadata["namespace"],
            },
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "type": kind,
            "reason": reason,
            "message": message[:_EVENT_CHARACTERS],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": FIELD_MANAGER},
        }
        # Events are optional: a namespace that is being deleted refuses them, and the
        # reconciliation must not fail because of that.
        with suppress(ClusterError):
            await self.call(
                "POST", f"/api/v1/namespaces/{metadata['namespace']}/events", body=event
            )

    async def _apply(
        self, manifest: ManifestView, manager: str, below: str = ""
    ) -> dict[str, Any] | None:
        metadata = manifest["metadata"]
        path = _path(
            manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"]
        )
        query = [("fieldManager", manager), ("force", "true")]
        return await self.call(
            "PATCH", f"{path}{below}", query=query, body=dict(manifest), content=_APPLY
        )

    async def call(  # noqa: PLR0913 - the parts of an HTTP request
        self,
        method: str,
        path: str,
        *,
        query: list[tuple[str, str]] | None = None,
        body: object = None,
        content: str = JSON,
        accept: str = JSON,
        missing_is_none: bool = False,
    ) -> dict[str, Any] | None:
        """
        Return the response of one request.

        None: the object does not exist, with *missing_is_none*. Raises `ClusterError`.
        """
        patience = aiohttp.ClientTimeout(total=self._timeout_seconds)
        try:
            async with self._connection.request(
                method,
                path,
                timeout=patience,
                query=query,
                body=body,
                content=content,
                accept=accept,
            ) as answer:
                status = answer.status
                text = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ClusterError(
                0, f"no answer from the Kubernetes API: {type(error).__name__}"
            ) from error
        if status == _NOT_FOUND and missing_is_none:
            return None
        if status >= _FIRST_ERROR:
            raise ClusterError(status, _refusal(method, path, status, text), _causes(text))
        found: dict[str, Any] = json.loads(text)
        return found

    async def stream(
        self, path: str, *, query: list[tuple[str, str]], accept: str, seconds: float
    ) -> AsyncIterator[dict[str, Any] | None]:
        """
        Yield the events of a watch that ends after about this number of seconds.

        The first one is None: the server has responded.

        Raises:
            ClusterError: the server refused, could not be reached, or interrupted the watch;
                `status` is that of the response.
        """
        patience = aiohttp.ClientTimeout(
            total=seconds + _SILENCE_SECONDS, sock_connect=self._timeout_seconds
        )
        try:
            async with self._connection.request(
                "GET", path, timeout=patience, query=query, accept=accept, watch=True
            ) as answer:
                if answer.status >= _FIRST_ERROR:
                    raise ClusterError(
                        answer.status, _refusal("GET", path, answer.status, await answer.read())
                    )
                yield None
                async for line in answer.content:
                    yield json.loads(line)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ClusterError(
                0, f"the watch of {path} was interrupted: {type(error).__name__}"
            ) from error


def _path(api_version: str, kind: str, namespace: str, name: str | None = None) -> str:
    root = "/api/v1" if api_version == "v1" else f"/apis/{api_version}"
    path = f"{root}/namespaces/{namespace}/{_PLURALS[kind]}"
    return path if name is None else f"{path}/{name}"


def _causes(text: bytes) -> frozenset[str]:
    """Return the machine-readable causes of a refusal; Kubernetes API reference, "Status"."""
    try:
        causes = (json.loads(text).get("details") or {}).get("causes") or []
        return frozenset(str(cause.get("reason")) for cause in causes)
    except (ValueError, AttributeError):
        return frozenset()


def _refusal(method: str, path: str, status: int, text: bytes) -> str:
    """Return a message with the server's text; for Secrets without it, as it may quote a value."""
    said = ""
    if "/secrets" not in path:
        try:
            said = str(json.loads(text).get("message", ""))[:_MESSAGE_CHARACTERS]
        except (ValueError, AttributeError):
            said = ""
    return f"the Kubernetes API refused {method} {path} ({status}): {said}"
