"""The Job that migrates the database to the service's version before the rollout of its pods."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from healthingest_contract import environment as env
from healthingest_operator.api.healthingest import HealthIngest
from healthingest_operator.api.manifest import Manifest, ManifestView
from healthingest_operator.resources.comparison import fingerprint
from healthingest_operator.resources.container_resources import (
    OF_MIGRATION,
    container_resources,
)
from healthingest_operator.resources.names import MIGRATE, metadata
from healthingest_operator.resources.pods import Build, Container, pod_metadata, pod_spec

_DEADLINE_SECONDS: Final = 600
KEPT_FAILURES: Final = 3
"""Number of failed Jobs that are kept with pods and logs until one succeeds."""


def migration_job(owner: HealthIngest, build: Build) -> Manifest:
    """
    Return the Job.

    Jobs are immutable, so another image, database or pod gives another name.
    """
    resources = container_resources(owner.spec.migration.resources, OF_MIGRATION)
    container = Container(MIGRATE, env.MIGRATE_SECRETS, {"resources": resources})
    pod = pod_spec(
        owner,
        build.image,
        [container],
        {"restartPolicy": "Never", "terminationGracePeriodSeconds": 30},
    )
    template = {"metadata": pod_metadata(owner, MIGRATE, {}), "spec": pod}
    name = f"{owner.key.name}-migrate-{fingerprint([template, build.migrate_digest])[:10]}"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(owner, name, MIGRATE),
        "spec": {
            "backoffLimit": 3,
            "activeDeadlineSeconds": _DEADLINE_SECONDS,
            "template": template,
        },
    }


@dataclass(frozen=True, slots=True)
class Attempts:
    """The migration Jobs of a HealthIngest: those for the wanted version, and others."""

    current: tuple[ManifestView, ...]
    """The Jobs for the wanted version, in the order of their numbers."""
    others: tuple[ManifestView, ...]

    @property
    def success(self) -> ManifestView | None:
        """A Job that has succeeded; None: there is none."""
        return next((job for job in self.current if succeeded(job)), None)

    @property
    def is_of_another_database(self) -> bool:
        """Whether only Jobs for other versions or databases have succeeded."""
        return self.success is None and any(succeeded(job) for job in self.others)

    @property
    def superfluous(self) -> tuple[ManifestView, ...]:
        """Running Jobs for other versions, and failed Jobs beyond the number that is kept."""
        failed = [job for job in (*self.others, *self.current) if failed_since(job)]
        failed.sort(key=lambda job: failed_since(job) or "")
        running = [job for job in self.others if not failed_since(job) and not succeeded(job)]
        return (*running, *failed[: -KEPT_FAILURES or None])


def attempts(jobs: Iterable[ManifestView], name: str) -> Attempts:
    """Return the migration Jobs among *jobs*; current ones are named *name* or *name*-NUMBER."""
    numbered = [(_number(job["metadata"]["name"], name), job) for job in jobs if _migrates(job)]
    numbered.sort(key=lambda entry: entry[0])
    return Attempts(
        tuple(job for number, job in numbered if number),
        tuple(job for number, job in numbered if not number),
    )


def next_attempt(job: ManifestView, before: Attempts) -> Manifest:
    """Return *job* with the next free name."""
    name = job["metadata"]["name"]
    last = max((_number(found["metadata"]["name"], name) for found in before.current), default=0)
    return {**job, "metadata": {**job["metadata"], "name": f"{name}-{last + 1}" if last else name}}


def _migrates(job: ManifestView) -> bool:
    return f"-{MIGRATE}-" in str(job["metadata"]["name"])


def _number(found: str, name: str) -> int:
    """Return the number of the attempt in a Job's name, from 1; 0: another name."""
    if found == name:
        return 1
    number = found.removeprefix(f"{name}-")
    return int(number) if number != found and number.isdecimal() else 0


def succeeded(job: ManifestView | None) -> bool:
    """Whether the Job has succeeded."""
    return _condition(job, "Complete") is not None


def failed_since(job: ManifestView | None) -> str | None:
    """Return the time when the Job failed, RFC 3339; None: it has not failed."""
    condition = _condition(job, "Failed")
    return None if condition is None else str(condition.get("lastTransitionTime", ""))


def _condition(job: ManifestView | None, kind: str) -> ManifestView | None:
    conditions = ((job or {}).get("status") or {}).get("conditions") or []
    return next(
        (entry for entry in conditions if entry["type"] == kind and entry["status"] == "True"), None
    )
