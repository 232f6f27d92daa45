"""A control plane for benches: many HealthIngests, and the work of controllers and kubelet."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from healthingest_contract.conditions import API_GROUP, API_VERSION, KIND, PLURAL
from support.servers.apiserver import ApiServer
from support.servers.postgres import PostgresServer
from support.servers.rabbitmq import RabbitMQServer
from support.servers.versitygw import S3Server

CRD: Final = Path(__file__).parents[1] / "crds" / "healthingests.healthingest.dev.yaml"
RESOURCES: Final = f"/apis/{API_GROUP}/{API_VERSION}/{PLURAL}"
NAMESPACES: Final = 10
_AT_ONCE: Final = 16
_CRD_SECONDS: Final = 30.0
_MERGE: Final = {"Content-Type": "application/merge-patch+json"}
_WRITES: Final = ("POST", "PUT", "PATCH", "DELETE", "DELETECOLLECTION")
_NOT_THE_OPERATORS: Final = (
    "leases",
    "endpoints",
    "endpointslices",
    "flowschemas",
    "prioritylevelconfigurations",
)
"""The API server itself writes these."""


@asynccontextmanager
async def administrator(server: ApiServer) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client with all rights and a deadline for every request but watches."""
    trusted = ssl.create_default_context(cafile=str(server.certificate_authority))
    headers = {"Authorization": f"Bearer {server.token}"}
    async with httpx.AsyncClient(
        base_url=server.url, verify=trusted, headers=headers, timeout=60
    ) as client:
        yield client


def namespace_of(number: int) -> str:
    """Return the namespace of HealthIngest *number*."""
    return f"clinics-{number % NAMESPACES}"


def health_ingest(number: int, s3: S3Server) -> dict[str, Any]:
    """Return HealthIngest *number*, with its own bucket and virtual host."""
    name = f"clinic-{number}"
    return {
        "apiVersion": f"{API_GROUP}/{API_VERSION}",
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace_of(number)},
        "spec": {
            "objectStore": {
                "endpoint": s3.endpoint,
                "bucket": name,
                "credentialsSecretRef": {"name": "s3"},
            },
            "broker": {"adminSecretRef": {"name": "rabbitmq"}, "virtualHost": name},
            "database": {"secretRef": {"name": "postgres"}},
            "ingress": {"host": f"{name}.example"},
        },
    }


async def prepare(
    client: httpx.AsyncClient, rabbitmq: RabbitMQServer, s3: S3Server, postgres: PostgresServer
) -> None:
    """Create the CustomResourceDefinition, and the namespaces with their Secrets."""
    definition = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    (await client.post(path, json=definition)).raise_for_status()
    async with asyncio.timeout(_CRD_SECONDS):
        while True:
            if (await client.get(RESOURCES)).status_code == httpx.codes.OK:
                break
            await asyncio.sleep(0.1)
    secrets = {
        "s3": {"accessKeyId": s3.access_key_id, "secretAccessKey": s3.secret_access_key},
        "rabbitmq": {
            "managementUrl": rabbitmq.management_url,
            "amqpUrl": f"amqp://127.0.0.1:{rabbitmq.amqp_port}",
            "username": rabbitmq.username,
            "password": rabbitmq.password,
        },
        "postgres": {"url": postgres.url},
    }
    for number in range(NAMESPACES):
        namespace = namespace_of(number)
        body = {"metadata": {"name": namespace}}
        (await client.post("/api/v1/namespaces", json=body)).raise_for_status()
        for name, values in secrets.items():
            secret = {"metadata": {"name": name}, "stringData": values}
            (
                await client.post(f"/api/v1/namespaces/{namespace}/secrets", json=secret)
            ).raise_for_status()


async def create(client: httpx.AsyncClient, numbers: range, s3: S3Server) -> None:
    """Apply these HealthIngests, several at a time."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int) -> None:
        path = f"/apis/{API_GROUP}/{API_VERSION}/namespaces/{namespace_of(number)}/{PLURAL}"
        async with slots:
            (await client.post(path, json=health_ingest(number, s3))).raise_for_status()

    async with asyncio.TaskGroup() as group:
        for number in numbers:
            group.create_task(one(number))


async def delete(client: httpx.AsyncClient, numbers: range) -> None:
    """Delete these HealthIngests, all at once."""
    async with asyncio.TaskGroup() as group:
        for number in numbers:
            namespace = f"/apis/{API_GROUP}/{API_VERSION}/namespaces/{namespace_of(number)}"
            path = f"{namespace}/{PLURAL}/clinic-{number}"
            group.create_task(client.delete(path))


async def version(client: httpx.AsyncClient, path: str) -> str:
    """Return the present resource version, from which a watch misses nothing."""
    return str((await client.get(path, params={"limit": 1})).json()["metadata"]["resourceVersion"])


async def events(
    client: httpx.AsyncClient, path: str, since: str | None = None
) -> AsyncIterator[dict[str, Any]]:
    """
    Yield the existing objects, or the changes *since* a version, then further changes.

    A watch that ends is opened again.
    """
    params = {"watch": "true"} | ({"resourceVersion": since} if since else {})
    while True:
        try:
            async with client.stream("GET", path, params=params, timeout=None) as answer:
                async for line in answer.aiter_lines():
                    yield json.loads(line)
        except httpx.TransportError:
            await asyncio.sleep(0.2)


async def play_deployments(client: httpx.AsyncClient) -> None:
    """Set the status of every Deployment to available, because there are no nodes."""
    async for event in events(client, "/apis/apps/v1/deployments"):
        body = event["object"]
        status = event["object"].get("status") or {}
        if event["type"] not in {"ADDED", "MODIFIED"} or _current(body, status):
            continue
        wanted = body["spec"].get("replicas", 1)
        counts = dict.fromkeys(
            ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted
        )
        await _tell(
            client,
            "deployments",
            body,
            counts | {"observedGeneration": body["metadata"]["generation"]},
        )


async def play_jobs(client: httpx.AsyncClient) -> None:
    """Set the status of every Job to complete; the database is not migrated."""
    async for event in events(client, "/apis/batch/v1/jobs"):
        body = event["object"]
        if event["type"] != "ADDED" or (body.get("status") or {}).get("succeeded"):
            continue
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            {"type": kind, "status": "True", "lastProbeTime": now, "lastTransitionTime": now}
            for kind in ("SuccessCriteriaMet", "Complete")
        ]
        status = {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}
        await _tell(client, "jobs", body, status)


def _current(body: dict[str, Any], status: dict[str, Any]) -> bool:
    enough = status.get("availableReplicas", 0) == body["spec"].get("replicas", 1)
    return enough and status.get("observedGeneration") == body["metadata"]["generation"]


async def _tell(
    client: httpx.AsyncClient, plural: str, body: dict[str, Any], status: dict[str, Any]
) -> None:
    metadata = body["metadata"]
    group = "apps" if plural == "deployments" else "batch"
    path = f"/apis/{group}/v1/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}/status"
    (
        await client.patch(path, content=json.dumps({"status": status}), headers=_MERGE)
    ).raise_for_status()


async def requests(client: httpx.AsyncClient) -> dict[str, float]:
    """Return the number of answered requests by verb, without the API server's own."""
    found: dict[str, float] = {}
    for line in (await client.get("/metrics")).text.splitlines():
        if not line.startswith("apiserver_request_total{"):
            continue
        labels, _, value = line.partition("} ")
        parts = dict(
            part.split("=", 1) for part in labels.partition("{")[2].split(",") if "=" in part
        )
        verb = parts["verb"].strip('"')
        resource = parts["resource"].strip('"')
        if resource and resource not in _NOT_THE_OPERATORS:
            found[verb] = found.get(verb, 0.0) + float(value)
    return found


def writes(before: dict[str, float], after: dict[str, float]) -> int:
    """Return how many of the requests between two counts were writes."""
    return int(sum(after.get(verb, 0.0) - before.get(verb, 0.0) for verb in _WRITES))
