"""The content of the images, examined in running containers; and the chart's own test."""

import json

import pytest

import install
import kubectl as k8s

PROBE = """
import importlib.util, json, shutil, sys
names = sys.argv[1:]
found = [name for name in names if importlib.util.find_spec(name)]
programs = [name for name in ("gcc", "cc", "make", "healthingest-admin") if shutil.which(name)]
print(json.dumps({"modules": found, "programs": programs}))
"""
TEST_TOOLS = ("pytest", "hypothesis", "mypy", "ruff")
WEB = ("fastapi", "starlette", "uvicorn")
ADMIN = ["healthingest-admin"]


@pytest.mark.parametrize(
    ("which", "own", "foreign", "programs"),
    [
        ("operator", ("kopf", "healthingest_operator"), (*WEB, "healthingest_service"), []),
        (
            "service",
            ("fastapi", "healthingest_service"),
            ("kopf", "kubernetes", "healthingest_operator"),
            ADMIN,
        ),
    ],
)
def test_an_image_holds_its_half_alone(
    which: str, own: tuple[str, ...], foreign: tuple[str, ...], programs: list[str]
) -> None:
    """
    The operator's image has no web framework, the service's image no kopf.

    Neither has test tools or a compiler.
    """
    names = [*own, *foreign, *TEST_TOOLS]
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    container = {
        "name": "probe",
        "image": install.images()[which],
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", PROBE, *names],
        "securityContext": security,
    }
    spec = {
        "restartPolicy": "Never",
        "containers": [container],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    name = f"image-probe-{which}"
    k8s.kubectl("delete", "pod", name, "--namespace", install.OPERATOR, "--ignore-not-found")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": install.OPERATOR},
        "spec": spec,
    }
    k8s.apply(pod)
    words = [
        "wait",
        f"pod/{name}",
        "--namespace",
        install.OPERATOR,
        "--for=jsonpath={.status.phase}=Succeeded",
    ]
    k8s.kubectl(*words, "--timeout=60s", seconds=70)
    found = json.loads(k8s.kubectl("logs", name, "--namespace", install.OPERATOR))
    assert found == {"modules": list(own), "programs": programs}


def test_the_chart_tests_itself() -> None:
    """`helm test` passes."""
    k8s.run(
        "helm",
        "test",
        install.RELEASE,
        "--namespace",
        install.OPERATOR,
        "--timeout",
        "60s",
        seconds=90,
    )


def test_the_operator_has_not_restarted() -> None:
    """The operators' containers started once, and no log line is a traceback."""
    pods = k8s.items("pods", install.OPERATOR, "app.kubernetes.io/name=healthingest-operator")
    assert len(pods) == 2
    for pod in pods:
        assert [status["restartCount"] for status in pod["status"]["containerStatuses"]] == [0]
        assert "Traceback" not in k8s.kubectl(
            "logs", pod["metadata"]["name"], "--namespace", install.OPERATOR
        )


def test_no_secret_is_in_the_operators_log() -> None:
    """The operator's log contains no password of the cluster's dependencies."""
    words = ["logs", "--selector", "app.kubernetes.io/name=healthingest-operator", "--tail=-1"]
    log = k8s.kubectl(*words, "--namespace", install.OPERATOR)
    assert [name for name, value in install.passwords().items() if value in log] == []
