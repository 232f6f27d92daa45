"""What the cluster says when a test fails: resources that are not ready, pods and warnings."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any, Final

import install
import kubectl as k8s

_WARNINGS: Final = 15
_FAILED: Final = (k8s.CommandError, subprocess.TimeoutExpired, OSError, ValueError)


def report() -> str:
    """Return a text about all namespaces of the tests, and never raise."""
    try:
        lines = [*_resources(), *_pods(), *_warnings()]
    except _FAILED as error:
        lines = [f"the cluster does not answer: {error}"]
    return "\n".join(lines) or "every HealthIngest and every pod is ready"


def _all(kind: str, *options: str) -> list[dict[str, Any]]:
    words = ("get", kind, "--all-namespaces", "--output", "json", *options)
    found: list[dict[str, Any]] = json.loads(k8s.kubectl(*words))["items"]
    return [entry for entry in found if entry["metadata"]["namespace"].startswith(install.PREFIX)]


def _called(body: Mapping[str, Any]) -> str:
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"


def _resources() -> Iterator[str]:
    for body in _all("healthingests"):
        if not k8s.is_ready(body):
            yield f"HealthIngest {_called(body)}, not ready:"
            for entry in (body.get("status") or {}).get("conditions", []):
                words = (entry["type"], entry["status"], entry["reason"], entry.get("message", ""))
                yield f"    {' '.join(words)}"


def _pods() -> Iterator[str]:
    for pod in _all("pods"):
        phase = pod["status"].get("phase", "Unknown")
        if phase != "Succeeded" and k8s.condition(pod, "Ready").get("status") != "True":
            states = [entry["state"] for entry in pod["status"].get("containerStatuses", [])]
            yield f"Pod {_called(pod)}, {phase}: {json.dumps(states)}"


def _warnings() -> Iterator[str]:
    found = _all("events", "--field-selector=type=Warning", "--sort-by=.lastTimestamp")
    for event in found[-_WARNINGS:]:
        about = event["involvedObject"]
        yield (
            f"Warning {event['metadata']['namespace']} {about['kind']}/{about['name']}"
            f" {event['reason']}: {event.get('message', '')}"
        )
