"""No value of a Secret appears in any log, event, status, setting or pod."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

import confidential
import install
import kubectl as k8s
from stopwatch import NOTES
from witness import Witness

NAMESPACE = "e2e-secrets"
NAME = "planted"
SECONDS = 60.0


@pytest.fixture(scope="module", autouse=True)
def _planted(witness: Witness) -> Iterator[None]:
    """
    A Secret of the test whose value appears at every place that is searched.

    It is created last, after everything else was recorded.
    """
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    word = install.passwords()["s3"][::-1]
    k8s.secret(NAME, NAMESPACE, {"word": word})
    k8s.apply(_config_map(word))
    k8s.apply(_event(word))
    k8s.apply(_pod(word))
    k8s.apply(_paused(), namespace=NAMESPACE)
    where = ["healthingest", NAME, "--namespace", NAMESPACE, "--subresource=status", "--type=merge"]
    k8s.kubectl("patch", *where, "--patch", f'{{"status": {{"url": "http://{word}.example"}}}}')
    places = ("configmaps", "events", "healthingests", "pods", f"log {NAMESPACE} {NAME}")
    for place in places:
        k8s.eventually(f"heard {place}", partial(_is_said, witness, place, word), seconds=SECONDS)
    yield
    k8s.remove_namespace(NAMESPACE, wait=False)


def test_1_what_is_said_is_found(witness: Witness) -> None:
    """The planted value is found at every place, so the search can fail."""
    (found,) = [
        places for owner, places in witness.findings().items() if owner.startswith(_owner())
    ]
    kinds = {place.partition(" ")[0].removesuffix(".txt") for place in found}
    assert kinds == {"configmaps", "events", "healthingests", "pods", "log"}


def test_2_nothing_else_is_said(witness: Witness) -> None:
    """
    Neither a value of any Secret of the run, nor a client's password or token, was found.

    Every log was recorded.
    """
    assert {
        owner: places
        for owner, places in witness.findings().items()
        if not owner.startswith(_owner())
    } == {}
    assert witness.unheard == set()
    logs = [path for path in witness.heard() if path.name.startswith("log ")]
    NOTES.append(
        f"searched {sum(path.stat().st_size for path in witness.heard()) / 2**20:.1f} MiB,"
        f" with logs of {len(logs)} containers, for {len(witness.secrets)} values of Secrets"
        f" and {len(confidential.of_clients())} of clients"
    )
    assert any(install.OPERATOR in path.name for path in logs)


def _is_said(witness: Witness, place: str, word: str) -> bool:
    return word in witness.text(place)


def _owner() -> str:
    return f"Secret {NAMESPACE}/{NAME},"


def _config_map(word: str) -> dict[str, Any]:
    metadata = {"name": NAME, "namespace": NAMESPACE}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"setting": f"a{word}b"},
    }


def _event(word: str) -> dict[str, Any]:
    metadata = {"name": NAME, "namespace": NAMESPACE}
    about = {"apiVersion": "v1", "kind": "ConfigMap", "name": NAME, "namespace": NAMESPACE}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": metadata,
        "involvedObject": about,
        "message": word,
    }


def _pod(word: str) -> dict[str, Any]:
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    container = {
        "name": "says",
        "image": install.images()["service"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", f"print('{word}')"],
        "securityContext": security,
    }
    spec = {
        "restartPolicy": "Never",
        "containers": [container],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": spec,
    }


def _paused() -> dict[str, Any]:
    """Return a HealthIngest that the operator ignores, so that the test sets its status."""
    manifest = install.minimal(NAME)
    manifest["spec"]["paused"] = True
    return manifest
