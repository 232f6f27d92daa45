"""The API's Deployment."""

from typing import Final

from healthingest_contract import environment as env
from healthingest_contract.conditions import POD_READINESS_GATE
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest
from healthingest_operator.resources.configuration import (
    API_PORT,
    METRICS_PORT,
    PRE_STOP_SECONDS,
    SCHEMAS_FOLDER,
    SPOOL_FOLDER,
)
from healthingest_operator.resources.container_resources import OF_API, container_resources
from healthingest_operator.resources.names import API, metadata, selector
from healthingest_operator.resources.pods import (
    DIGEST_ANNOTATION,
    STARTUP_FAILURES,
    Build,
    Container,
    pod_metadata,
    pod_spec,
    probe,
)
from healthingest_operator.resources.spool import spool_volume

STRATEGY: Final = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def api_deployment(owner: HealthIngest, build: Build) -> Manifest:
    """Return the Deployment, without `replicas` if an autoscaler sets them."""
    spec: Manifest = {
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": 300,
        "strategy": STRATEGY,
        "selector": {"matchLabels": selector(owner.key, API)},
        "template": {
            "metadata": pod_metadata(owner, API, {DIGEST_ANNOTATION: build.api_digest}),
            "spec": pod_spec(owner, build.image, [_container(owner)], _pod(owner)),
        },
    }
    if owner.spec.autoscaling is None:
        spec["replicas"] = owner.spec.replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(owner, f"{owner.key.name}-api", API),
        "spec": spec,
    }


def _container(owner: HealthIngest) -> Container:
    mounts: list[Manifest] = [{"name": "spool", "mountPath": SPOOL_FOLDER}]
    if owner.spec.schemas.config_map_ref:
        mounts.append({"name": "schemas", "mountPath": SCHEMAS_FOLDER, "readOnly": True})
    extra = {
        "ports": [
            {"name": "http", "containerPort": API_PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ],
        "startupProbe": probe("/health/startup", "http", 1, STARTUP_FAILURES),
        "livenessProbe": probe("/health/live", "http", 10, 3),
        "readinessProbe": probe("/health/ready", "http", 2, 2),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "resources": container_resources(owner.spec.resources, OF_API),
    }
    return Container(API, env.API_SECRETS, extra, tuple(mounts))


def _pod(owner: HealthIngest) -> Manifest:
    volumes: list[Manifest] = [spool_volume(owner.spec)]
    schemas = owner.spec.schemas.config_map_ref
    if schemas:
        volumes.append({"name": "schemas", "configMap": {"name": schemas.name}})
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(owner.key, API)},
    }
    wanted = owner.spec
    found: Manifest = {
        "readinessGates": [{"conditionType": POD_READINESS_GATE}],
        "terminationGracePeriodSeconds": wanted.termination_grace_period_seconds,
        "topologySpreadConstraints": [
            dict(constraint) for constraint in wanted.topology_spread_constraints
        ]
        or [spread],
        "volumes": volumes,
    }
    return found | {"affinity": dict(wanted.affinity)} if wanted.affinity else found
