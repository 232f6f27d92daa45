"""
Requests and limits of every container.

Each container has a request and a limit of CPU and of memory. A ResourceQuota for one of them
refuses pods that do not set it (Kubernetes docs, "Resource Quotas").
"""

from collections.abc import Mapping
from typing import Final

from healthingest_operator.api.manifest import Manifest
from healthingest_operator.api.v1alpha1 import PodPart

Resources = Mapping[str, Mapping[str, str]]

# Memory for the server, and for validating two files at once that need the maximum.
OF_API: Final[Resources] = {
    "requests": {"cpu": "100m", "memory": "256Mi"},
    "limits": {"cpu": "2", "memory": "768Mi"},
}
OF_BACKGROUND: Final[Resources] = {
    "requests": {"cpu": "25m", "memory": "128Mi"},
    "limits": {"cpu": "1", "memory": "256Mi"},
}
"""Defaults of relay and janitor."""
OF_MIGRATION: Final[Resources] = {
    "requests": {"cpu": "50m", "memory": "128Mi"},
    "limits": {"cpu": "1", "memory": "256Mi"},
}


def container_resources(wanted: PodPart, defaults: Resources) -> Manifest:
    """
    Return *wanted*, with *defaults* for the resources that it does not name.

    A named resource gets no default, because a default limit could be below the user's request.
    """
    named = {name for part in wanted.values() for name in part}
    return {
        part: {name: value for name, value in defaults.get(part, {}).items() if name not in named}
        | dict(wanted.get(part, {}))
        for part in {**defaults, **wanted}
    }
