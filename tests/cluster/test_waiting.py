"""How waiting tools read a HealthIngest before any operator has seen it; a real apiserver."""

import json
import subprocess
from typing import Any
from uuid import uuid4

import pytest

from support.control_plane import kubectl
from support.operator_fakes import manifest
from support.servers.apiserver import ApiServer
from support.servers.go_programs import KSTATUS
from support.servers.process import ServerUnavailableError


@pytest.fixture(name="live")
def _live(with_crd: ApiServer) -> dict[str, Any]:
    """A HealthIngest that was created without a status, as the server gives it."""
    namespace = f"waiting-{uuid4().hex[:8]}"
    kubectl(with_crd, "create", "namespace", namespace)
    body = manifest()
    body["metadata"] = {"name": "clinic", "namespace": namespace}
    body.pop("status", None)
    kubectl(with_crd, "apply", "-f", "-", given=body)
    found: dict[str, Any] = json.loads(
        kubectl(
            with_crd, "get", "healthingest", "clinic", "--namespace", namespace, "--output", "json"
        )
    )
    return found


def test_kstatus_says_in_progress_before_the_first_look(live: dict[str, Any]) -> None:
    """
    So `helm install --wait` and Flux wait for the operator.

    Without a status they would call it ready at once.
    """
    try:
        program = KSTATUS.find()
    except ServerUnavailableError as error:
        pytest.skip(str(error))
    assert live["status"] == {"observedGeneration": -1}
    done = subprocess.run(
        [program],
        input=f"{json.dumps(live)}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["InProgress"]


def test_another_status_takes_the_place_of_the_default(
    with_crd: ApiServer, live: dict[str, Any]
) -> None:
    """The operator's own status has no rest of it, and -1 is the least that the schema takes."""
    words = ("healthingest", "clinic", "--namespace", live["metadata"]["namespace"])
    patch = ("patch", *words, "--subresource=status", "--type=merge", "--patch")
    kubectl(with_crd, *patch, json.dumps({"status": {"observedGeneration": 1}}))
    found = json.loads(kubectl(with_crd, "get", *words, "--output", "json"))
    assert found["status"] == {"observedGeneration": 1}
