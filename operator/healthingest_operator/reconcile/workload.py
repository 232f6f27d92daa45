"""The workload: migrate the database, roll out behind the rollout gate, report availability."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from healthingest_contract import environment as env
from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.api.manifest import Manifest, ManifestView
from healthingest_operator.api.v1alpha1 import HealthIngestSpec
from healthingest_operator.reconcile.children import Children, availability
from healthingest_operator.reconcile.failures import why_no_pod
from healthingest_operator.reconcile.rollout_gate import may_roll_out
from healthingest_operator.resources import comparison, migration
from healthingest_operator.resources.children import workload
from healthingest_operator.resources.pods import Build, mounted_secrets
from healthingest_operator.resources.secrets import digest
from healthingest_operator.resources.tls import dependencies_of
from healthingest_operator.status.conditions import ConditionUpdate, condition_false

RETRY_MIGRATION_AFTER: Final = timedelta(seconds=60)
_MIGRATION: Final = "migration of the database: "
"""Prefix of a message about a failed migration, which is kept until more is known."""


@dataclass(frozen=True, slots=True)
class WorkloadResult:
    """
    Conditions that replace those of the same type, and the fingerprint that passed the gate.

    `known`: the desired workload was computed and applied, so all other workload objects can be
    pruned.
    """

    updates: tuple[ConditionUpdate, ...]
    rolled_out: str | None
    known: bool = False


@dataclass(frozen=True, slots=True)
class Inputs:
    """
    The inputs of the pods.

    `schemas` is the content of the allowed schemas. `tls` has a fingerprint of the certificates of
    each dependency. `replaced_database` names the installation of a database that replaced the
    first one. A change of them rolls the pods, too, and another database is migrated.
    """

    image: str
    config: Mapping[str, str]
    secrets: Mapping[str, str]
    schemas: Mapping[str, str] | None
    tls: Mapping[str, str]
    replaced_database: str | None = None


@dataclass(frozen=True, slots=True)
class MigrationContext:
    """
    The time, and the previous condition `DatabaseReady`.

    The condition keeps the cause of a failed migration.
    """

    now: datetime
    before: ManifestView | None = None


def build(inputs: Inputs) -> Build:
    """Return the image and a digest of the settings and Secrets of each pod."""
    relay = env.RELAY_SECRETS | env.JANITOR_SECRETS
    # A database may be replaced under the same address and login.
    replaced = [inputs.replaced_database] if inputs.replaced_database else []
    return Build(
        inputs.image,
        digest(
            inputs.secrets,
            env.API_SECRETS,
            inputs.config,
            inputs.schemas,
            _tls(inputs, env.API_SECRETS),
            *replaced,
        ),
        digest(inputs.secrets, relay, inputs.config, _tls(inputs, relay), *replaced),
        digest(inputs.secrets, env.MIGRATE_SECRETS, *replaced),
    )


def _tls(inputs: Inputs, secrets: frozenset[str]) -> list[str]:
    return [inputs.tls[dependency] for dependency in dependencies_of(secrets)]


def complete(spec: HealthIngestSpec, secrets: Mapping[str, str]) -> bool:
    """Whether *secrets* has every file that the pods need to start."""
    return set(secrets) >= set(mounted_secrets(spec, env.SECRET_NAMES) - {env.CACHE_URL})


async def roll_out(
    children: Children,
    updates: tuple[ConditionUpdate, ...],
    inputs: Inputs,
    rolled_out: str | None,
    migration_context: MigrationContext,
) -> WorkloadResult:
    """Roll out the workload, as far as rollout gate and migration allow."""
    owner = children.owner
    if not complete(owner.spec, inputs.secrets):
        return _held(children, "waits for the dependencies", rolled_out)
    made = build(inputs)
    wanted = workload(owner, made)
    fingerprint = _fingerprint(wanted)
    job = comparison.stamped(migration.migration_job(owner, made))
    success = migration.attempts(children.all("Job"), job["metadata"]["name"]).success
    children.wanted.add(("Job", (success or job)["metadata"]["name"]))
    if not may_roll_out(updates, fingerprint, rolled_out):
        return _held(children, "waits for the dependencies", rolled_out)
    # Without its Job it runs again: after a restored backup of an earlier version, a person deletes
    # the Job.
    if fingerprint != rolled_out or success is None:
        update = await _migrate(children, job, migration_context)
        if update is not None:
            return WorkloadResult(
                (update, *_held(children, "waits for the migration", None).updates), rolled_out
            )
    await children.ensure(wanted)
    names = [item["metadata"]["name"] for item in wanted if item["kind"] == "Deployment"]
    found = availability([children.live["Deployment", name] for name in names], children.all("Pod"))
    return WorkloadResult((found,), fingerprint, known=True)


def _held(children: Children, why: str, rolled_out: str | None) -> WorkloadResult:
    running = children.get("Deployment", f"{children.owner.key.name}-api") is not None
    message = f"the current version keeps running; the change {why}" if running else why
    update = condition_false(
        ConditionType.WORKLOAD_AVAILABLE, Reason.WAITING_FOR_DEPENDENCIES, message
    )
    return WorkloadResult((update,), rolled_out)


async def _migrate(
    children: Children, job: ManifestView, migration_context: MigrationContext
) -> ConditionUpdate | None:
    """
    Run the migration Job; return None once a Job has succeeded.

    After a failure a new Job gets another name, because the failed Job is kept with its pods and
    logs.
    """
    attempts = migration.attempts(children.all("Job"), job["metadata"]["name"])
    for superfluous in attempts.superfluous:
        await children.cluster.delete(superfluous)
    if attempts.success is not None:
        return None
    live = attempts.current[-1] if attempts.current else None
    failed = migration.failed_since(live)
    if live is None or (
        failed and migration_context.now - datetime.fromisoformat(failed) > RETRY_MIGRATION_AFTER
    ):
        following = migration.next_attempt(job, attempts)
        await children.ensure([following])
        live = children.get("Job", following["metadata"]["name"]) or following
    failure = await why_no_pod(children, live)
    if failure is not None:
        reason = (
            Reason.MIGRATION_FAILED if failure.reason is Reason.CRASH_LOOPING else failure.reason
        )
        return condition_false(
            ConditionType.DATABASE_READY, reason, f"{_MIGRATION}{failure.message}"
        )
    return _without_evidence(live, migration_context, failed=bool(failed))


def _without_evidence(
    job: ManifestView, migration_context: MigrationContext, *, failed: bool
) -> ConditionUpdate:
    """
    Return the condition if neither pods nor events explain the state of the Job.

    After a failure the previous message is kept.
    """
    name = job["metadata"]["name"]
    before = migration_context.before or {}
    if before.get("status") == "False" and before["message"].startswith(_MIGRATION):
        return condition_false(
            ConditionType.DATABASE_READY, Reason(before["reason"]), before["message"]
        )
    if failed:
        message = (
            f"{_MIGRATION}Job {name} failed: see its events and the logs of its pods; it is retried"
        )
        return condition_false(ConditionType.DATABASE_READY, Reason.MIGRATION_FAILED, message)
    return condition_false(
        ConditionType.DATABASE_READY, Reason.MIGRATION_RUNNING, f"Job {name} migrates the database"
    )


def _fingerprint(wanted: list[Manifest]) -> str:
    """Return a fingerprint of the pod templates; replicas may change without the rollout gate."""
    return comparison.fingerprint(
        [item["spec"]["template"] for item in wanted if item["kind"] == "Deployment"]
    )
