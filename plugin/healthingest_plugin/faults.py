"""
Faults that no status can report, because the operator cannot see them or is one of them.

Those that it can report are in `healthingest_operator.status`.
"""

from dataclasses import dataclass
from typing import Final

from healthingest_operator.status.causes import UNSAFE


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: `reason` is stable; `message` and `remedy` are templates of `str.format`."""

    reason: str
    message: str
    remedy: str

    def texts(self, **values: object) -> tuple[str, str]:
        """Return message and remedy; what could break a line is taken out of *values*."""
        plain = {name: UNSAFE.sub("", str(value)) for name, value in values.items()}
        return self.message.format(**plain), self.remedy.format(**plain)


OPERATOR_MISSING: Final = Fault(
    "OperatorNotInstalled",
    "the cluster has no operator: no Deployment has the label {label}",
    "install the chart healthingest-operator",
)
NAMESPACE_NOT_WATCHED: Final = Fault(
    "NamespaceNotWatched",
    "no operator serves namespace {namespace}: {where} serves {served} only",
    "add {namespace} to watchNamespaces of the chart, and run helm upgrade",
)
OPERATOR_SCALED_TO_ZERO: Final = Fault(
    "OperatorScaledToZero",
    "the operator {where} has 0 replicas",
    "scale it up: {command}",
)
OPERATOR_NOT_RUNNING: Final = Fault(
    "OperatorNotRunning",
    "no pod of the operator {where} is ready{why}",
    "read the events and logs of its pods",
)
OPERATOR_NOT_LEADING: Final = Fault(
    "OperatorNotLeading",
    "pods of the operator {where} are ready, but none leads: Lease {lease} {state}",
    "read the logs of its pods (waits_for_leadership, leadership_lost); see whether they reach the"
    " API server and get processor time",
)
OPERATOR_LACKS_RIGHTS: Final = Fault(
    "OperatorLacksRights",
    "the operator {where} may not watch HealthIngests in namespace {namespace}: its Role or"
    " ClusterRole, or the binding, is missing there",
    "run helm upgrade with the same values: it creates the Role again",
)
NOT_OBSERVED: Final = Fault(
    "StatusMissing",
    "the operator has not reported on this HealthIngest yet",
    "wait some seconds; then read the operator's log",
)
STATUS_BEHIND: Final = Fault(
    "StatusBehind",
    "the status is for generation {observed}, the spec has generation {generation}",
    "wait some seconds; then read the operator's log",
)
PAUSED: Final = Fault(
    "PausedBySpec",
    "spec.paused is true: the operator changes and repairs nothing{seen}",
    "resume it: {command}",
)
DELETION_WAITS: Final = Fault(
    "DeletionWaits",
    "it is being deleted, and its finalizer {finalizer} waits for an operator: {why}",
    "{remedy}; or remove the finalizer by hand with the command below: bucket, virtual host and"
    " users then stay as they are",
)
DELETION_BLOCKED: Final = Fault(
    "DeletionBlocked",
    "it is being deleted, and a finalizer that is not the operator's keeps it: {finalizers}",
    "see why the controller of that finalizer does not remove it",
)
DELETING: Final = Fault(
    "Deleting",
    "it is being deleted; the operator removes what lies outside the cluster",
    "wait; after the chart's operator.deletionDeadlineSeconds the operator leaves behind what it"
    " cannot reach",
)
SERVICE_MISSING: Final = Fault(
    "ServiceMissing",
    "{message}; Service {service} does not exist",
    "create the Service, or correct the host in {holder}",
)
SERVICE_WITHOUT_ENDPOINTS: Final = Fault(
    "ServiceWithoutEndpoints",
    "{message}; Service {service} has no ready endpoint",
    "start the pods behind the Service, or correct its selector",
)
ALL_NAMES_UNKNOWN: Final = Fault(
    "NameResolutionFailed",
    "the operator resolves no host name: object store, broker and database have the same fault",
    "see whether the cluster's DNS works, and whether a NetworkPolicy keeps the operator from it",
)
ALL_UNREACHABLE: Final = Fault(
    "NetworkBlocked",
    "the operator reaches neither object store nor broker nor database",
    "see whether a NetworkPolicy or firewall keeps the operator from all of them",
)
FAULTS: Final = (
    OPERATOR_MISSING,
    NAMESPACE_NOT_WATCHED,
    OPERATOR_SCALED_TO_ZERO,
    OPERATOR_NOT_RUNNING,
    OPERATOR_NOT_LEADING,
    OPERATOR_LACKS_RIGHTS,
    NOT_OBSERVED,
    STATUS_BEHIND,
    PAUSED,
    DELETION_WAITS,
    DELETION_BLOCKED,
    DELETING,
    SERVICE_MISSING,
    SERVICE_WITHOUT_ENDPOINTS,
    ALL_NAMES_UNKNOWN,
    ALL_UNREACHABLE,
)
"""The whole table."""
