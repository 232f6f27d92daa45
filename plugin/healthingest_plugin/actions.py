"""The commands that change a HealthIngest: pause, resume, rotate."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from healthingest_contract.conditions import ROTATE_ANNOTATION, ConditionType, Reason
from healthingest_operator.status import rotation_progress
from healthingest_plugin.errors import DeadlineError, PluginError
from healthingest_plugin.kubernetes_api import KubernetesApi
from healthingest_plugin.model import KubernetesObject, healthingest_path
from healthingest_plugin.observe import healthingest
from healthingest_plugin.status_tree import is_ready_now

FIELD_MANAGER: Final = "kubectl-healthingest"
_POLL_SECONDS: Final = 0.5
_PODS_HAVE_NEW: Final = frozenset({rotation_progress.SIGNING, rotation_progress.OVERLAPPING})

Condition = Callable[[KubernetesObject], bool]


@dataclass(frozen=True, slots=True)
class Change:
    """
    A change of a HealthIngest.

    `text` says what was done and what happens next. `is_done` tells from the HealthIngest whether
    it has taken effect, `goal` says so in words.
    """

    text: str
    is_done: Condition
    goal: str


def pause(api: KubernetesApi, namespace: str, name: str) -> Change:
    """Set `spec.paused`; raises `PluginError`."""
    before = healthingest(api, namespace, name)
    if (before.get("spec") or {}).get("paused"):
        done = f"HealthIngest {namespace}/{name} is paused already."
    else:
        _patch(api, before, {"spec": {"paused": True}})
        done = f"HealthIngest {namespace}/{name} is paused."
    text = (
        f"{done}\nThe operator changes and repairs nothing; pods go on and take uploads. A deletion"
        " is carried out all the same.\n"
        f"See what the operator would change: {_command('diff', before)}\n"
        f"Let it work again: {_command('resume', before)}\n"
        "If a tool such as Argo CD or Flux applies the manifest, set spec.paused there, too."
    )
    return Change(text, _is_paused, "condition Paused is True")


def resume(api: KubernetesApi, namespace: str, name: str) -> Change:
    """Set `spec.paused` to false; raises `PluginError`."""
    before = healthingest(api, namespace, name)
    if (before.get("spec") or {}).get("paused"):
        _patch(api, before, {"spec": {"paused": False}})
        done = f"HealthIngest {namespace}/{name} is resumed."
    else:
        done = f"HealthIngest {namespace}/{name} was not paused."
    text = (
        f"{done}\nThe operator applies what has changed in the spec and repairs what others have"
        f" changed.\nSee how far it is: {_command('status', before)}"
    )
    return Change(text, _is_resumed, "it is Ready")


def rotate(api: KubernetesApi, namespace: str, name: str, *, wait: bool) -> Change:
    """
    Request a rotation of the credentials that the operator made.

    Raises:
        PluginError: it does not exist, or *wait* is set and a rotation is in progress already.
    """
    before = healthingest(api, namespace, name)
    rotates = _secrets(before).get("reason") == Reason.CREDENTIALS_ROTATING
    if rotates and wait:
        message = (
            f"HealthIngest {namespace}/{name}: a rotation is in progress"
            f" ({_secrets(before).get('message', '')}), and another one starts after it: request it"
            " without --wait"
        )
        raise PluginError(message)
    requested = api.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    _patch(api, before, {"metadata": {"annotations": {ROTATE_ANNOTATION: requested}}})
    lines = [f"A rotation of HealthIngest {namespace}/{name} is requested ({requested})."]
    if (before.get("spec") or {}).get("paused"):
        lines.append(f"It is paused: the rotation starts after {_command('resume', before)}")
    elif rotates:
        lines.append("It starts after the rotation that is in progress.")
    elif not is_ready_now(before):
        lines.append(
            f"It starts when it is Ready; see why it is not: {_command('explain', before)}"
        )
    lines += [
        "Broker users, database login and signing key are replaced, then the pods; uploads go on.",
        "Consumers must read their Secret again before the old user's grace ends.",
        f"See how far it is: {_command('status', before)}",
    ]
    return Change("\n".join(lines), _has_new_credentials, "all pods have the new credentials")


def wait_for(
    api: KubernetesApi, namespace: str, name: str, change: Change, timeout_seconds: float
) -> None:
    """
    Return when *change* has taken effect.

    Raises:
        DeadlineError: it has not within *timeout_seconds*.
    """
    deadline = time.monotonic() + timeout_seconds
    while not change.is_done(healthingest(api, namespace, name)):
        if time.monotonic() > deadline:
            message = (
                f"HealthIngest {namespace}/{name}: not within {timeout_seconds:.0f} s:"
                f" {change.goal}; see why: kubectl healthingest explain {name} --namespace"
                f" {namespace}"
            )
            raise DeadlineError(message)
        time.sleep(_POLL_SECONDS)


def _patch(api: KubernetesApi, before: KubernetesObject, body: dict[str, Any]) -> None:
    metadata = before["metadata"]
    path = healthingest_path(metadata["namespace"], metadata["name"])
    api.patch(path, body, {"fieldManager": FIELD_MANAGER})


def _command(word: str, body: KubernetesObject) -> str:
    metadata = body["metadata"]
    return f"kubectl healthingest {word} {metadata['name']} --namespace {metadata['namespace']}"


def _condition(body: KubernetesObject, kind: ConditionType) -> KubernetesObject:
    entries = (body.get("status") or {}).get("conditions") or ()
    return next((entry for entry in entries if entry["type"] == kind.value), {})


def _secrets(body: KubernetesObject) -> KubernetesObject:
    return _condition(body, ConditionType.SECRETS_READY)


def _is_observed(body: KubernetesObject) -> bool:
    observed = (body.get("status") or {}).get("observedGeneration")
    return bool(observed == body["metadata"].get("generation"))


def _is_paused(body: KubernetesObject) -> bool:
    paused = _condition(body, ConditionType.PAUSED).get("status")
    return _is_observed(body) and paused == "True"


def _is_resumed(body: KubernetesObject) -> bool:
    return is_ready_now(body) and not _condition(body, ConditionType.PAUSED)


def _has_new_credentials(body: KubernetesObject) -> bool:
    secrets = _secrets(body)
    rotating = secrets.get("reason") == Reason.CREDENTIALS_ROTATING
    return rotating and secrets.get("message") in _PODS_HAVE_NEW
