"""
The operator's requests, from the audit log of the API server.

Source: Kubernetes documentation, "Auditing". A cluster writes the log only if it is configured to;
`AUDIT_LOG` names the file.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import install
import kubectl as k8s

Right = tuple[str, str, str]
"""API group, resource with its subresource, verb."""

USER: Final = f"system:serviceaccount:{install.OPERATOR}:{install.RELEASE}"
_DECISION: Final = "authorization.k8s.io/decision"
_CREATED: Final = 201


class AuditLog:
    """The part of the log that is written after its creation."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin = path.stat().st_size

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the operator's finished requests."""
        with self._path.open("rb") as file:
            file.seek(self._begin)
            for line in file:
                # most lines are about other clients
                if USER.encode() in line and line.endswith(b"\n"):
                    entry = json.loads(line)
                    if entry["user"]["username"] == USER:
                        yield entry


def opened() -> AuditLog | None:
    """Return the log that `AUDIT_LOG` names, from now on, or None without it."""
    named = os.environ.get("AUDIT_LOG", "")
    return AuditLog(Path(named)) if named else None


def used(entries: Iterable[Mapping[str, Any]]) -> set[Right]:
    """Return the rights that these requests needed."""
    found = set()
    for entry in entries:
        reference = entry.get("objectRef")
        if not reference or "resource" not in reference:  # e.g. the version of the server
            continue
        resource = "/".join(
            part for part in (reference["resource"], reference.get("subresource")) if part
        )
        group = reference.get("apiGroup", "")
        verb = entry["verb"]
        found.add((group, resource, verb))
        # applying an object that does not exist needs the right to create it
        if verb == "patch" and entry.get("responseStatus", {}).get("code") == _CREATED:
            found.add((group, resource, "create"))
    return found


def forbidden(entries: Iterable[Mapping[str, Any]]) -> set[Right]:
    """Return the rights that were missing."""
    return used(
        entry for entry in entries if (entry.get("annotations") or {}).get(_DECISION) == "forbid"
    )


def granted() -> set[Right]:
    """Return the rights that the chart has granted in this cluster, including named Leases."""
    roles = [
        k8s.get("clusterrole", f"{install.OPERATOR}:{install.RELEASE}", install.OPERATOR),
        k8s.get("role", f"{install.RELEASE}-lease", install.OPERATOR),
    ]
    return {
        (group, resource, verb)
        for role in roles
        for rule in (role or {})["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
