"""Why a pod is not there, from what Kubernetes writes; texts are those of Kubernetes 1.34."""

from typing import Any

import pytest

from healthingest_contract.conditions import Reason
from healthingest_contract.stop_causes import StopCause, stop_cause, stop_line
from healthingest_operator.status.causes import Cause
from healthingest_operator.status.outside_causes import OF_STOPS
from healthingest_operator.status.pod_failures import of_events, of_pod, of_pods, of_refusal

SECRET = "hush-hush"
POD = 'Error creating: pods "clinic-migrate-0a1b2c3d4e-x7k2p" is forbidden: '


def pod(
    state: dict[str, Any],
    *,
    made: str = "2026-01-01T00:00:00Z",
    **more: Any,  # noqa: ANN401 - JSON
) -> dict[str, Any]:
    """A pod whose container has this state."""
    container = {"name": "migrate", "image": "registry.example/service:9", "state": state, **more}
    metadata = {"name": "clinic-migrate-1", "creationTimestamp": made}
    return {"metadata": metadata, "status": {"phase": "Pending", "containerStatuses": [container]}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    """As the kubelet writes it."""
    return {"waiting": {"reason": reason, "message": message}}


REFUSALS = [
    (
        (
            f"{POD}exceeded quota: compute, requested: limits.cpu=1,pods=1, used:"
            " limits.cpu=0,pods=10, limited: pods=10"
        ),
        Reason.QUOTA_EXCEEDED,
        (
            "ResourceQuota compute is exceeded (requested limits.cpu=1,pods=1, used"
            " limits.cpu=0,pods=10, limited pods=10)"
        ),
    ),
    (
        (
            f"{POD}failed quota: compute: must specify limits.cpu for: migrate; requests.cpu for:"
            " migrate"
        ),
        Reason.QUOTA_EXCEEDED,
        "ResourceQuota compute requires limits.cpu for: migrate, requests.cpu for: migrate",
    ),
    (
        f"{POD}exceeded quota: only-name {SECRET}",
        Reason.QUOTA_EXCEEDED,
        "ResourceQuota only-name is exceeded",
    ),
    (
        f"{POD}maximum memory usage per Container is 400Mi, but limit is 512Mi",
        Reason.QUOTA_EXCEEDED,
        (
            "it violates a LimitRange of the namespace: maximum memory usage per Container is"
            " 400Mi, but limit is 512Mi"
        ),
    ),
    (
        (
            f"{POD}[maximum cpu usage per Pod is 1.  No limit is specified, minimum x usage per"
            " Pod is 2, but limit is 1]"
        ),
        Reason.QUOTA_EXCEEDED,
        (
            "maximum cpu usage per Pod is 1.  No limit is specified, minimum x usage per Pod is 2,"
            " but limit is 1"
        ),
    ),
    (
        (
            f'{POD}violates PodSecurity "restricted:latest": runAsNonRoot != true'
            f' (pod or container "{SECRET}")'
        ),
        Reason.ADMISSION_REFUSED,
        "violates PodSecurity restricted:latest",
    ),
    (
        f"{POD}ValidatingAdmissionPolicy 'uid-range' with binding 'all' denied request: {SECRET}",
        Reason.ADMISSION_REFUSED,
        "ValidatingAdmissionPolicy uid-range refuses it",
    ),
    (
        f'Error creating: admission webhook "validate.kyverno.svc" denied the request: {SECRET}',
        Reason.ADMISSION_REFUSED,
        "admission webhook validate.kyverno.svc refuses it",
    ),
    (
        f'Error creating: Internal error occurred: failed calling webhook "a.b.svc": Post "https://{SECRET}"',
        Reason.ADMISSION_REFUSED,
        "admission webhook a.b.svc cannot be called",
    ),
    (
        f"{POD}unable to validate against any security context constraint: [{SECRET}]",
        Reason.ADMISSION_REFUSED,
        "no SecurityContextConstraint allows it",
    ),
    (
        f'{POD}error looking up service account a/clinic: serviceaccount "clinic" not found',
        Reason.ADMISSION_REFUSED,
        "serviceaccount clinic does not exist",
    ),
    (
        f"{POD}no PriorityClass with name high was found",
        Reason.ADMISSION_REFUSED,
        "PriorityClass high does not exist",
    ),
    (f"Error creating: {SECRET}", Reason.ADMISSION_REFUSED, "the API server refuses it"),
]


@pytest.mark.parametrize(("words", "reason", "said"), REFUSALS)
def test_a_refused_pod_has_its_cause(words: str, reason: Reason, said: str) -> None:
    """Names and amounts of quotas and limits are said; what a policy says for itself is not."""
    failure = of_refusal(words, "Job clinic-migrate")
    assert failure.reason is reason
    assert said in failure.message
    assert "Job clinic-migrate" in failure.message
    assert SECRET not in failure.message


PODS = [
    (
        pod(waiting("ErrImagePull", f'failed to pull "{SECRET}": 401 Unauthorized')),
        Reason.IMAGE_PULL_FAILED,
        "image registry.example/service:9 cannot be pulled (login refused)",
    ),
    (
        pod(waiting("ImagePullBackOff", "manifest unknown: not found")),
        Reason.IMAGE_PULL_FAILED,
        "no such image or tag",
    ),
    (
        pod(waiting("ErrImagePull", "x509: unknown authority")),
        Reason.IMAGE_PULL_FAILED,
        "certificate is not trusted",
    ),
    (
        pod(waiting("ErrImagePull", "dial tcp: no such host")),
        Reason.IMAGE_PULL_FAILED,
        "host name is unknown",
    ),
    (
        pod(waiting("ErrImagePull", "i/o timeout")),
        Reason.IMAGE_PULL_FAILED,
        "the registry does not answer",
    ),
    (pod(waiting("InvalidImageName", SECRET)), Reason.IMAGE_PULL_FAILED, "(InvalidImageName)"),
    (
        pod(waiting("CreateContainerConfigError", SECRET)),
        Reason.POD_START_FAILED,
        "CreateContainerConfigError",
    ),
    (
        pod(
            {
                "terminated": {
                    "exitCode": 1,
                    "reason": "Error",
                    "message": f'x {SECRET}\n{{"event": "broker_lost"}}\n',
                }
            }
        ),
        Reason.CRASH_LOOPING,
        "ended with exit code 1, last log line broker_lost",
    ),
    (
        pod(
            waiting("CrashLoopBackOff"),
            lastState={
                "terminated": {
                    "exitCode": 3,
                    "message": '{"event": "a_b", "error_types": ["os.E", "F"]}',
                }
            },
        ),
        Reason.CRASH_LOOPING,
        "ended with exit code 3, last log line a_b of os.E",
    ),
    (
        pod({"running": {}}, started=False, lastState={"terminated": {"exitCode": 3}}),
        Reason.CRASH_LOOPING,
        "ended with exit code 3",
    ),
    (
        pod(
            {
                "terminated": {
                    "exitCode": 1,
                    "message": f'{{"event": "{SECRET} x"}}\n{{"event": ["{SECRET}"]}}\n[1]\n{{',
                }
            }
        ),
        Reason.CRASH_LOOPING,
        "ended with exit code 1: read its log",
    ),
    (
        pod({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
        Reason.CRASH_LOOPING,
        "memory limit",
    ),
    (
        {
            "metadata": {"name": "a"},
            "status": {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3 available: 1 Insufficient cpu, 2 had untolerated"
                        f" taint {{{SECRET}: }}",
                    }
                ]
            },
        },
        Reason.POD_UNSCHEDULABLE,
        "fits on no node (Insufficient cpu, untolerated taint)",
    ),
    (
        {"metadata": {"name": "a"}, "status": {"phase": "Failed", "reason": "Evicted"}},
        Reason.POD_START_FAILED,
        "Evicted",
    ),
]


@pytest.mark.parametrize(("found", "reason", "said"), PODS)
def test_a_pod_that_does_not_run_has_its_cause(
    found: dict[str, Any], reason: Reason, said: str
) -> None:
    """
    By a known reason, a pattern of the message, or the constant of a log line.

    Never by what else stands there.
    """
    failure = of_pod(found)
    assert failure is not None
    assert failure.reason is reason
    assert said in failure.message
    assert SECRET not in failure.message


@pytest.mark.parametrize(
    "found",
    [
        pod({"running": {}}),
        pod({"running": {}}, started=False),
        pod({"running": {}}, started=False, lastState={"terminated": {"exitCode": 0}}),
        pod({"running": {}}, started=True, lastState={"terminated": {"exitCode": 3}}),
        pod(waiting("ContainerCreating")),
        pod({"terminated": {"exitCode": 0}}),
        {"metadata": {"name": "new"}},
    ],
)
def test_a_pod_that_runs_or_comes_has_none(found: dict[str, Any]) -> None:
    """Also one that has ended as it should."""
    assert of_pod(found) is None


def test_the_newest_pod_counts() -> None:
    """Of several that do not run; one that is on its way out does not."""
    old = pod(waiting("CreateContainerError"), made="2026-01-01T00:00:00Z")
    new = pod(waiting("ErrImagePull"), made="2026-01-02T00:00:00Z")
    going = pod(waiting("StartError"), made="2026-01-03T00:00:00Z")
    going["metadata"]["deletionTimestamp"] = "2026-01-03T00:00:00Z"
    failure = of_pods([old, new, going])
    assert failure is not None
    assert failure.reason is Reason.IMAGE_PULL_FAILED


def test_the_newest_refusal_counts() -> None:
    """Whichever of the three times an event has; events about other things do not."""
    events = [
        {
            "reason": "FailedCreate",
            "lastTimestamp": "2026-01-01T00:00:02Z",
            "message": "exceeded quota: new",
        },
        {
            "reason": "FailedCreate",
            "eventTime": "2026-01-01T00:00:01Z",
            "message": "exceeded quota: old",
        },
        {
            "reason": "Suspended",
            "lastTimestamp": "2026-01-01T00:00:03Z",
            "message": "exceeded quota: other",
        },
    ]
    failure = of_events(events, "Job a")
    assert failure is not None
    assert "ResourceQuota new" in failure.message
    assert of_events(events[2:], "Job a") is None


@pytest.mark.parametrize(("left", "cause"), OF_STOPS.items())
def test_a_process_that_says_why_it_ended_is_believed(left: StopCause, cause: Cause) -> None:
    """
    By the code in its termination message, whatever else stands there.

    The message is the operator's own.
    """
    words = f"{SECRET}\n{stop_line(left)}{SECRET}\n"
    failure = of_pod(pod({"terminated": {"exitCode": 1, "reason": "Error", "message": words}}))
    assert failure is not None
    assert failure.reason is cause.reason
    assert cause.remedy in failure.message
    assert "clinic-migrate-1" in failure.message
    assert SECRET not in failure.message


def test_every_cause_of_an_end_is_in_the_table() -> None:
    """Also one that the service learns later."""
    assert set(OF_STOPS) == set(StopCause)
    assert stop_cause("healthingest-cause: of-a-later-version\n") is None
