"""Causes for a pod that does not start or does not keep running."""

from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.status.causes import Cause

_PODS: Final = (ConditionType.WORKLOAD_AVAILABLE, ConditionType.DATABASE_READY)
"""`DatabaseReady` reports the pods of the migration."""

IMAGE_PULL: Final = Cause(
    "image-pull",
    _PODS,
    Reason.IMAGE_PULL_FAILED,
    "an image that cannot be pulled",
    "{where}: image {image} cannot be pulled ({why})",
    "correct spec.image or serviceImage of the chart, or name Secrets of the registry in"
    " spec.imagePullSecrets",
)
QUOTA_EXCEEDED: Final = Cause(
    "quota-exceeded",
    _PODS,
    Reason.QUOTA_EXCEEDED,
    "a ResourceQuota that is used up",
    "{where} gets no pod: ResourceQuota {quota} is exceeded{figures}",
    "raise the quota, or reduce the use of resources in the namespace",
)
QUOTA_NEEDS_VALUES: Final = Cause(
    "quota-needs-values",
    _PODS,
    Reason.QUOTA_EXCEEDED,
    "a ResourceQuota that requires requests or limits",
    "{where} gets no pod: ResourceQuota {quota} requires {figures}",
    "set them in spec.resources, or give the namespace a LimitRange with defaults",
)
LIMIT_RANGE: Final = Cause(
    "limit-range",
    _PODS,
    Reason.QUOTA_EXCEEDED,
    "a LimitRange that the pod violates",
    "{where} gets no pod: it violates a LimitRange of the namespace: {figures}",
    "change the LimitRange, or spec.resources",
)
POD_SECURITY: Final = Cause(
    "pod-security",
    _PODS,
    Reason.ADMISSION_REFUSED,
    "PodSecurity admission",
    "{where} gets no pod: it violates PodSecurity {policy}",
    "pods of a HealthIngest satisfy level restricted: find what changes them, and read the"
    " events of that object",
)
ADMISSION_POLICY: Final = Cause(
    "admission-policy",
    _PODS,
    Reason.ADMISSION_REFUSED,
    "a ValidatingAdmissionPolicy",
    "{where} gets no pod: ValidatingAdmissionPolicy {policy} refuses it",
    "its message is in the events of that object; change the policy or what it objects to",
)
ADMISSION_WEBHOOK: Final = Cause(
    "admission-webhook",
    _PODS,
    Reason.ADMISSION_REFUSED,
    "an admission webhook that refuses",
    "{where} gets no pod: admission webhook {policy} refuses it",
    "its message is in the events of that object; change the policy or what it objects to",
)
WEBHOOK_FAILS: Final = Cause(
    "webhook-fails",
    _PODS,
    Reason.ADMISSION_REFUSED,
    "an admission webhook that does not answer",
    "{where} gets no pod: admission webhook {policy} cannot be called",
    "repair the webhook or its failurePolicy",
)
SECURITY_CONSTRAINT: Final = Cause(
    "security-context-constraint",
    _PODS,
    Reason.ADMISSION_REFUSED,
    "no matching SecurityContextConstraint (OpenShift)",
    "{where} gets no pod: no SecurityContextConstraint allows it",
    "let the ServiceAccount of the HealthIngest use a SecurityContextConstraint that permits the"
    " pod",
)
OBJECT_MISSING: Final = Cause(
    "pod-object-missing",
    _PODS,
    Reason.ADMISSION_REFUSED,
    "a ServiceAccount or PriorityClass that does not exist",
    "{where} gets no pod: {what} does not exist",
    "create it",
)
CREATION_REFUSED: Final = Cause(
    "pod-refused",
    _PODS,
    Reason.ADMISSION_REFUSED,
    "any other refusal of a pod by the API server",
    "{where} gets no pod: the API server refuses it",
    "the reason is in the events of that object (kubectl describe)",
)
UNSCHEDULABLE: Final = Cause(
    "unschedulable",
    _PODS,
    Reason.POD_UNSCHEDULABLE,
    "no node with enough resources or with the required properties",
    "{where} fits on no node ({why})",
    "add nodes, or change spec.resources, nodeSelector, tolerations or affinity",
)
START_FAILED: Final = Cause(
    "start-failed",
    _PODS,
    Reason.POD_START_FAILED,
    "a container that the node cannot start",
    "{where}: container {container} cannot be started ({why})",
    "the reason is in the events of that pod (kubectl describe)",
)
CRASHED: Final = Cause(
    "crashed",
    _PODS,
    Reason.CRASH_LOOPING,
    "a container that ends repeatedly",
    "{where}: container {container} ended with exit code {code}{why}",
    "read its log (kubectl logs --previous)",
)
OUT_OF_MEMORY: Final = Cause(
    "out-of-memory",
    _PODS,
    Reason.CRASH_LOOPING,
    "a container that exceeded its memory limit",
    "{where}: container {container} was killed at its memory limit",
    "raise limits.memory in spec.resources",
)
SETTINGS_REFUSED: Final = Cause(
    "settings-refused",
    _PODS,
    Reason.CRASH_LOOPING,
    "a setting that the service refuses",
    "{where}: container {container} refuses its settings",
    "its log names the setting (kubectl logs --previous); correct it in spec.settings",
)
ANNOUNCEMENTS_STALLED: Final = Cause(
    "announcements-stalled",
    (ConditionType.WORKLOAD_AVAILABLE,),
    Reason.ANNOUNCEMENTS_STALLED,
    "a relay that announces nothing",
    "{where}: the broker has confirmed no message for a while although messages wait, or it cannot"
    " be reached from there",
    "see BrokerReady, the relay's log (broker_lost, messages_deferred) and healthingest-admin"
    " backlog",
)
SCALED_TO_ZERO: Final = Cause(
    "scaled-to-zero",
    (ConditionType.WORKLOAD_AVAILABLE,),
    Reason.SCALED_TO_ZERO,
    "spec.replicas is 0",
    "{where} has 0 replicas: no upload is accepted; stored uploads are announced",
    "set spec.replicas to 1 or more",
)

POD_CAUSES: Final = (
    IMAGE_PULL,
    QUOTA_EXCEEDED,
    QUOTA_NEEDS_VALUES,
    LIMIT_RANGE,
    POD_SECURITY,
    ADMISSION_POLICY,
    ADMISSION_WEBHOOK,
    WEBHOOK_FAILS,
    SECURITY_CONSTRAINT,
    OBJECT_MISSING,
    CREATION_REFUSED,
    UNSCHEDULABLE,
    START_FAILED,
    CRASHED,
    OUT_OF_MEMORY,
    SETTINGS_REFUSED,
    ANNOUNCEMENTS_STALLED,
    SCALED_TO_ZERO,
)
