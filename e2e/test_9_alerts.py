"""Alerts fire for real faults and clear after them; the runbook's commands work."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

import install
import kubectl as k8s
import operators
import outside
import prometheus
from steady import NO_LIMITS, SteadyUploads
from stopwatch import NOTES

NAMESPACE, NAME = "e2e-alerts", "watched"
FRONT: Final = f"front.{NAMESPACE}.svc"
PLACE: Final = (NAMESPACE, NAME)
PORTS: Final = {"s3": 7070, "rabbitmq": 5672, "management": 15672, "postgres": 5432, "redis": 6379}
CONTROL: Final = 8474
READY_SECONDS = 120.0
ALERT_SECONDS = 150.0
QUIET_SECONDS = 45.0
RUNBOOK: Final = install.ROOT / "docs" / "reference" / "runbook.md"
pytestmark = pytest.mark.story


def _front() -> None:
    """Run Toxiproxy in front of the dependencies, so that one HealthIngest alone loses them."""
    rules = [
        {
            "name": name,
            "listen": f"0.0.0.0:{port}",
            "upstream": f"{'rabbitmq' if name == 'management' else name}"
            f".{install.DEPENDENCIES}.svc:{port}",
            "enabled": True,
        }
        for name, port in PORTS.items()
    ]
    metadata = {"name": "front", "namespace": NAMESPACE}
    ports = [{"name": f"p{port}", "port": port} for port in (*PORTS.values(), CONTROL)]
    labels = {"app": "front"}
    k8s.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": ports},
        }
    )
    container = {
        "name": "front",
        "image": "ghcr.io/shopify/toxiproxy:2.5.0",
        "imagePullPolicy": "IfNotPresent",
        "args": ["-host=0.0.0.0"],
        "readinessProbe": {"tcpSocket": {"port": CONTROL}, "periodSeconds": 2},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
    }
    pod = {
        "containers": [container],
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    k8s.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    words = ["rollout", "status", "deployment/front", "--namespace", NAMESPACE, "--timeout=60s"]
    k8s.kubectl(*words, seconds=70)
    for rule in rules:
        _control("POST", "/proxies", rule)


def _control(method: str, path: str, body: Mapping[str, Any]) -> None:
    with k8s.port_forward("service/front", CONTROL, NAMESPACE) as port:
        url = f"http://127.0.0.1:{port}{path}"
        httpx.request(method, url, json=body, timeout=10).raise_for_status()


def _secrets() -> None:
    words = install.passwords()
    urls = {"managementUrl": f"http://{FRONT}:15672", "amqpUrl": f"amqp://{FRONT}:5672"}
    k8s.secret("rabbitmq", NAMESPACE, urls | {"username": "admin", "password": words["rabbitmq"]})
    database = f"postgresql://admin:{words['postgres']}@{FRONT}:5432/admin"
    k8s.secret("postgres", NAMESPACE, {"adminUrl": database})
    k8s.secret("redis", NAMESPACE, {"url": f"redis://:{words['redis']}@{FRONT}:6379/0"})


@pytest.fixture(scope="module", name="user")
def _user() -> Iterator[outside.Api]:
    """A client of a HealthIngest behind the front, whose janitor looks every second."""
    if prometheus.PROGRAM is None:
        pytest.skip("no `prometheus` on PATH: `make servers` installs it")
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    _front()
    _secrets()
    manifest = install.minimal(NAME)
    manifest["spec"] |= {
        "replicas": 1,
        "limits": dict(NO_LIMITS),
        "cache": {"secretRef": {"name": "redis"}},
        "settings": {
            "HEALTHINGEST_JANITOR__INTERVAL_SECONDS": "1",
            "HEALTHINGEST_JANITOR__CONSISTENCY_INTERVAL_SECONDS": "5",
        },
    }
    manifest["spec"]["objectStore"]["endpoint"] = f"http://{FRONT}:7070"
    k8s.apply(manifest, namespace=NAMESPACE)
    k8s.eventually("Ready=True", _is_ready, seconds=READY_SECONDS)
    yield outside.Api(f"{NAME}.example").signed_in()
    k8s.remove_namespace(NAMESPACE, wait=False)


@pytest.fixture(scope="module", name="watching")
def _watching(
    user: outside.Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[prometheus.Prometheus]:
    """Prometheus, while a client uploads."""
    with (
        prometheus.running(tmp_path_factory.mktemp("prometheus")) as found,
        SteadyUploads(user, clients=1),
    ):
        found.scrape(*PLACE)
        yield found


def _is_ready() -> bool:
    return k8s.is_ready(k8s.get("healthingest", NAME, NAMESPACE))


@contextlib.contextmanager
def _without(*dependencies: str) -> Iterator[None]:
    """Take dependencies away, with their open connections."""
    for name in dependencies:
        _control("POST", f"/proxies/{name}", {"enabled": False})
    try:
        yield
    finally:
        for name in dependencies:
            _control("POST", f"/proxies/{name}", {"enabled": True})


@contextlib.contextmanager
def _frozen(component: str) -> Iterator[None]:
    """Freeze the processes of a pod; its probes would end them after a while."""
    (pod,) = k8s.items("pods", NAMESPACE, f"app.kubernetes.io/component={component}")
    signals = operators.Signals(pod["spec"]["nodeName"])
    signals.send(pod["metadata"]["name"], signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(k8s.CommandError):  # a probe has ended them already
            signals.send(pod["metadata"]["name"], signal.SIGCONT)


@contextlib.contextmanager
def _unbound() -> Iterator[None]:
    """Remove the bindings of the exchange, while the operator is told to change nothing."""
    _patch({"paused": True})
    bindings = f"/api/exchanges/{NAME}/health_data_exchange/bindings/source"
    for binding in outside.broker(bindings):
        path = f"/api/bindings/{NAME}/e/health_data_exchange/q/{binding['destination']}"
        outside.broker(f"{path}/{binding['properties_key']}", "DELETE")
    try:
        yield
    finally:
        _patch({"paused": False})


@contextlib.contextmanager
def _without_operator() -> Iterator[None]:
    scale = ["scale", f"deployment/{install.RELEASE}", "--namespace", install.OPERATOR]
    k8s.kubectl(*scale, "--replicas=0")
    try:
        yield
    finally:
        k8s.kubectl(*scale, "--replicas=2")


def _patch(spec: Mapping[str, Any]) -> None:
    words = ["patch", "healthingest", NAME, "--namespace", NAMESPACE, "--type=merge", "--patch"]
    k8s.kubectl(*words, json.dumps({"spec": dict(spec)}))


@dataclass(frozen=True)
class Fault:
    """A fault, and the alerts that it must raise."""

    begin: Callable[[], contextlib.AbstractContextManager[None]]
    alerts: frozenset[str]


FAULTS: Final[Mapping[str, Fault]] = {
    "the cache is away": Fault(
        lambda: _without("redis"),
        frozenset({"HealthIngestRateLimiterDegraded", "HealthIngestDependencyDown"}),
    ),
    "the broker is away": Fault(
        lambda: _without("rabbitmq", "management"),
        frozenset(
            {"HealthIngestNotAnnounced", "HealthIngestDependencyDown", "HealthIngestNotReady"}
        ),
    ),
    "the database is away": Fault(
        lambda: _without("postgres"),
        frozenset(
            {"HealthIngestRequestsFail", "HealthIngestDependencyDown", "HealthIngestJanitorStale"}
        ),
    ),
    "no queue is bound": Fault(_unbound, frozenset({"HealthIngestMessagesRefused"})),
    "the API hangs": Fault(lambda: _frozen("api"), frozenset({"HealthIngestApiDown"})),
    "the relay hangs": Fault(lambda: _frozen("relay"), frozenset({"HealthIngestRelayDown"})),
    "there is no operator": Fault(_without_operator, frozenset({"HealthIngestOperatorAbsent"})),
}


def test_1_nothing_fires_at_rest(watching: prometheus.Prometheus) -> None:
    """Uploads alone raise no alert, in a time that stands for three quarters of an hour."""
    # Before the first scrapes no operator is known.
    k8s.eventually(
        "the first scrapes",
        lambda: (
            watching.knows("healthingest_operator_leader == 1") and not watching.firing(NAMESPACE)
        ),
        seconds=ALERT_SECONDS,
    )
    until = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < until:
        assert watching.firing(NAMESPACE) == {}
        time.sleep(1.0)  # the pause of a poll


@pytest.mark.parametrize("name", FAULTS)
def test_2_a_fault_raises_its_alerts(watching: prometheus.Prometheus, name: str) -> None:
    """All of them fire, and clear after the fault."""
    fault = FAULTS[name]
    began = time.monotonic()
    with fault.begin():
        prometheus.wait_for(watching, PLACE, set(fault.alerts), ALERT_SECONDS)
        fired = time.monotonic() - began

    def cleared() -> bool:
        watching.scrape(*PLACE)
        return not fault.alerts & set(watching.firing(NAMESPACE))

    k8s.eventually("the alerts clear", cleared, seconds=ALERT_SECONDS)
    k8s.eventually("Ready=True", _is_ready, seconds=READY_SECONDS)
    NOTES.append(f"{name}: {', '.join(sorted(fault.alerts))} fired after {fired:.0f} s and cleared")


def _commands() -> list[tuple[str, str]]:
    """Return the commands of the runbook's alerts, each with its alert."""
    text = RUNBOOK.read_text(encoding="utf-8")
    found = []
    for section in re.split(r"(?m)^### ", text)[1:]:
        alert = section.split("\n", 1)[0]
        if alert.startswith("HealthIngest"):
            found += [(alert, command) for command in re.findall(r"(?m)^\$ (.+)$", section)]
    return found


@pytest.mark.parametrize(("alert", "command"), _commands())
def test_3_the_commands_of_the_runbook_work(user: outside.Api, alert: str, command: str) -> None:
    """With the name of a HealthIngest and its namespace, in a shell that has the plugin."""
    del user, alert
    words = command.replace("NAMESPACE", NAMESPACE).replace("NAME", NAME)
    programs = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/sh", "-c", words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{words}: {done.stderr}"
