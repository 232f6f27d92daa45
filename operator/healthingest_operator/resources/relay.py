"""The relay's Deployment: a pod with relay and janitor."""

from typing import Final

from healthingest_contract import environment as env
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.resources.configuration import JANITOR_METRICS_PORT, METRICS_PORT
from healthingest_operator.resources.container_resources import (
    OF_BACKGROUND,
    container_resources,
)
from healthingest_operator.resources.deployment import STRATEGY
from healthingest_operator.resources.names import RELAY, metadata, selector
from healthingest_operator.resources.pods import (
    DIGEST_ANNOTATION,
    STARTUP_FAILURES,
    Build,
    Container,
    pod_metadata,
    pod_spec,
    probe,
)

_READINESS: Final = probe("/health/ready", f"metrics-{RELAY}", 5, 2)
"""
Readiness of the relay: whether messages are announced.

It is ready from the start until announcing fails for a while, so that no rollout waits for the
broker. A new relay can thus take over even if the broker accepts only one connection.
"""


def relay_deployment(owner: HealthIngest, build: Build) -> Manifest:
    """
    Return the Deployment of one pod.

    Two pods during a rollout are harmless, because rows of the outbox are claimed under a lock.
    """
    containers = [
        _container(
            RELAY,
            env.RELAY_SECRETS,
            METRICS_PORT,
            {
                "readinessProbe": _READINESS,
                "resources": container_resources(owner.spec.relay.resources, OF_BACKGROUND),
            },
        ),
        _container(
            "janitor",
            env.JANITOR_SECRETS,
            JANITOR_METRICS_PORT,
            {"resources": container_resources(owner.spec.janitor.resources, OF_BACKGROUND)},
        ),
    ]
    template = {
        "metadata": pod_metadata(owner, RELAY, {DIGEST_ANNOTATION: build.relay_digest}),
        "spec": pod_spec(owner, build.image, containers, {"terminationGracePeriodSeconds": 30}),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(owner, f"{owner.key.name}-relay", RELAY),
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 300,
            "strategy": STRATEGY,
            "selector": {"matchLabels": selector(owner.key, RELAY)},
            "template": template,
        },
    }


def _container(
    command: str, secrets: frozenset[str], metrics_port: int, more: Manifest
) -> Container:
    port = f"metrics-{command}"
    extra = {
        "ports": [{"name": port, "containerPort": metrics_port, "protocol": "TCP"}],
        "startupProbe": probe("/health/live", port, 1, STARTUP_FAILURES),
        "livenessProbe": probe("/health/live", port, 10, 3),
        **more,
    }
    return Container(
        command,
        secrets,
        extra,
        environment=({"name": env.SERVER_METRICS_PORT, "value": str(metrics_port)},),
    )
