"""The Job that brings the database to the service's version, before its pods are rolled out."""

from collections.abc import Mapping
from typing import Any, Final

from healthingest_contract import environment as env
from healthingest_operator.model.spec import HealthIngest
from healthingest_operator.resources.comparison import fingerprint
from healthingest_operator.resources.names import MIGRATE, labels, metadata
from healthingest_operator.resources.pods import Build, Container, pod_spec

_RESOURCES: Final = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
_DEADLINE_SECONDS: Final = 600


def migration_job(owner: HealthIngest, build: Build) -> dict[str, Any]:
    """A Job is immutable: another image, database or pod gives another name."""
    container = Container(MIGRATE, env.MIGRATE_SECRETS, {"resources": _RESOURCES})
    pod = pod_spec(owner, build.image, [container], {"restartPolicy": "Never", "terminationGracePeriodSeconds": 30})
    name = f"{owner.key.name}-migrate-{fingerprint([pod, build.migrate_digest])[:10]}"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(owner, name, MIGRATE),
        "spec": {
            "backoffLimit": 3,
            "activeDeadlineSeconds": _DEADLINE_SECONDS,
            "template": {"metadata": {"labels": labels(owner.key, MIGRATE)}, "spec": pod},
        },
    }


def succeeded(job: Mapping[str, Any] | None) -> bool:
    """Whether the Job has done its work."""
    return _condition(job, "Complete") is not None


def failed_since(job: Mapping[str, Any] | None) -> str | None:
    """When the Job gave up, RFC 3339; None while it may still succeed."""
    condition = _condition(job, "Failed")
    return None if condition is None else str(condition.get("lastTransitionTime", ""))


def _condition(job: Mapping[str, Any] | None, kind: str) -> Mapping[str, Any] | None:
    conditions = ((job or {}).get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] == kind and entry["status"] == "True"), None)
