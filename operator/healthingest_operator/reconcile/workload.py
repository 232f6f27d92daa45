"""What runs: migrated first, rolled out behind the gate, then seen to be available."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from healthingest_contract import environment as env
from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.reconcile.children import Children, availability
from healthingest_operator.reconcile.gate import may_roll_out
from healthingest_operator.resources import comparison, migration
from healthingest_operator.resources.children import workload
from healthingest_operator.resources.pods import Build
from healthingest_operator.resources.secrets import digest
from healthingest_operator.status.conditions import Finding, bad

RETRY_MIGRATION_AFTER: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class WorkloadResult:
    """
    Findings that replace those of the same type, and the fingerprint of what passed the gate.

    `known`: what should run was worked out and applied, so that everything else that runs is superfluous.
    """

    findings: tuple[Finding, ...]
    rolled_out: str | None
    known: bool = False


@dataclass(frozen=True, slots=True)
class Inputs:
    """What pods are built of. `schemas` is the content of the allowed schemas, which rolls the pods too."""

    image: str
    config: Mapping[str, str]
    secrets: Mapping[str, str]
    schemas: Mapping[str, str] | None


def build(inputs: Inputs) -> Build:
    """Digests of what each pod reads."""
    relay = env.RELAY_SECRETS | env.JANITOR_SECRETS
    return Build(
        inputs.image,
        digest(inputs.secrets, env.API_SECRETS, inputs.config, inputs.schemas),
        digest(inputs.secrets, relay, inputs.config),
        digest(inputs.secrets, env.MIGRATE_SECRETS),
    )


def complete(secrets: Mapping[str, str]) -> bool:
    """Whether every file is there that pods cannot start without."""
    return set(secrets) >= set(env.SECRET_NAMES - {env.CACHE_URL})


async def roll_out(
    children: Children, findings: tuple[Finding, ...], inputs: Inputs, rolled_out: str | None, now: datetime
) -> WorkloadResult:
    """Bring the workload as far as the gate and the migration allow."""
    owner = children.owner
    if not complete(inputs.secrets):
        return _held(children, "waits for the dependencies", rolled_out)
    made = build(inputs)
    wanted = workload(owner, made)
    mark = _fingerprint(wanted)
    job = comparison.stamped(migration.migration_job(owner, made))
    children.wanted.add(("Job", job["metadata"]["name"]))
    if not may_roll_out(findings, mark, rolled_out):
        return _held(children, "waits for the dependencies", rolled_out)
    if mark != rolled_out:
        trouble = await _migrate(children, job, now)
        if trouble is not None:
            return WorkloadResult((trouble, *_held(children, "waits for the migration", None).findings), rolled_out)
    await children.ensure(wanted)
    names = [item["metadata"]["name"] for item in wanted if item["kind"] == "Deployment"]
    return WorkloadResult((availability([children.live["Deployment", name] for name in names]),), mark, known=True)


def _held(children: Children, why: str, rolled_out: str | None) -> WorkloadResult:
    running = children.get("Deployment", f"{children.owner.key.name}-api") is not None
    message = f"the running version stays; its change {why}" if running else why
    finding = bad(ConditionType.WORKLOAD_AVAILABLE, Reason.WAITING_FOR_DEPENDENCIES, message)
    return WorkloadResult((finding,), rolled_out)


async def _migrate(children: Children, job: Mapping[str, Any], now: datetime) -> Finding | None:
    """Run the Job; None once it has succeeded. One that failed is run again after a while."""
    name = job["metadata"]["name"]
    live = children.get("Job", name)
    if live is None:
        await children.ensure([job])
    elif migration.succeeded(live):
        return None
    failed = migration.failed_since(live)
    if failed is None:
        return bad(ConditionType.DATABASE_READY, Reason.MIGRATION_RUNNING, f"Job {name} migrates the database")
    if live is not None and now - datetime.fromisoformat(failed) > RETRY_MIGRATION_AFTER:
        await children.cluster.delete(live)
    message = f"Job {name} failed; see the logs of its pods. It is run again until it succeeds"
    return bad(ConditionType.DATABASE_READY, Reason.MIGRATION_FAILED, message)


def _fingerprint(wanted: list[dict[str, Any]]) -> str:
    """Of the pods alone: a change of their number needs no open gate."""
    return comparison.fingerprint([item["spec"]["template"] for item in wanted if item["kind"] == "Deployment"])
