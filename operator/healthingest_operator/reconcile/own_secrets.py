"""The operator's own two Secrets: read, completed, written before anything outside learns a value."""

from dataclasses import dataclass

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.model.spec import HealthIngest
from healthingest_operator.reconcile.children import owned, refuse_foreign
from healthingest_operator.reconcile.credentials import Credentials
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import Cluster
from healthingest_operator.resources import names
from healthingest_operator.resources.comparison import difference, stamped
from healthingest_operator.resources.secrets import (
    Generators,
    consumer_values,
    decode,
    secret_object,
    service_values,
)
from healthingest_operator.status.conditions import Finding, bad, good


@dataclass(frozen=True, slots=True)
class OwnSecrets:
    """Values of both, as they are in the cluster now."""

    service: dict[str, str]
    consumer: dict[str, str]
    healed: tuple[str, ...] = ()
    written: bool = False


async def write_own_secrets(
    cluster: Cluster, owner: HealthIngest, found: Credentials, make: Generators, *, expected: bool
) -> OwnSecrets:
    """
    Complete both Secrets; with *expected*, a missing one was removed by somebody.

    Raises:
        DependencyError: a name is taken by somebody else's Secret.
    """
    healed: list[str] = []
    both: list[dict[str, str]] = []
    written = False
    for name, compose in (
        (names.service_secret(owner.key), service_values),
        (names.consumer_secret(owner.key), consumer_values),
    ):
        live = await cluster.read("v1", "Secret", owner.key.namespace, name)
        if live is not None and not owned(live, owner):
            refuse_foreign(live, owner)
        values = compose(owner, found.known, decode(live), make)
        both.append(values)
        if not values:
            continue
        desired = stamped(secret_object(owner, name, values))
        if live is None or difference(desired, live) is not None or set(desired["data"]) != set(live.get("data") or {}):
            if expected and live is None:
                healed.append(f"Secret {name} was missing")
            await cluster.apply(desired)
            written = True
    return OwnSecrets(both[0], both[1], tuple(healed), written)


def secrets_finding(found: Credentials) -> Finding:
    """Whether everything could be read; the first problem's reason, every problem's message."""
    errors = found.errors
    if not errors:
        return good(ConditionType.SECRETS_READY, "all Secrets are there")
    reasons: list[Reason] = [error.reason for error in errors if isinstance(error, DependencyError)]
    return bad(ConditionType.SECRETS_READY, reasons[0], "; ".join(error.message for error in errors))
