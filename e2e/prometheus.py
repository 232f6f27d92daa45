"""
A Prometheus on this machine that scrapes the cluster's pods through the API server.

It has the chart's alerts at a sixtieth of their times: minutes became seconds.
"""

import contextlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

import install
import kubectl as k8s
from support.servers.process import free_port

ALERTS: Final = install.CHART / "files" / "alerts.yaml"
PROGRAM: Final = shutil.which("prometheus")
_SECONDS: Final = {"m": 1, "h": 60, "d": 1440}
"""Seconds that stand for the unit."""
_AGES: Final = {"> 600": "> 10", "> 1800": "> 30", "> 172800": "> 2880"}
"""Ages in seconds, in the expressions of alerts."""
_PORTS: Final = {"api": {"api": 9000}, "relay": {"relay": 9000, "janitor": 9001}}


def faster(rules: str) -> str:
    """Return the rules at a sixtieth of their times."""

    def shorter(match: re.Match[str]) -> str:
        return f"{match[1]}{int(match[2]) * _SECONDS[match[3]]}s"

    text = re.sub(r"(for: |\[)(\d+)([mhd])\b", shorter, rules)
    for age, scaled in _AGES.items():
        text = text.replace(age, scaled)
    return text


@dataclass(frozen=True)
class Prometheus:
    """A running one; `targets` is the file with what it scrapes."""

    address: str
    targets: Path
    through: str

    def scrape(self, namespace: str, name: str) -> None:
        """Scrape the present pods of a HealthIngest, and the operator's."""
        found = [
            self._target(pod, port, {"healthingest": name, "container": container})
            for component, ports in _PORTS.items()
            for pod in k8s.items("pods", namespace, f"app.kubernetes.io/component={component}")
            for container, port in ports.items()
        ]
        found += [
            self._target(pod, 8081, {"container": "operator"})
            for pod in k8s.items(
                "pods", install.OPERATOR, f"app.kubernetes.io/name={install.RELEASE}"
            )
        ]
        unfinished = self.targets.with_suffix(".new")
        unfinished.write_text(json.dumps(found))
        unfinished.replace(self.targets)

    def firing(self, namespace: str) -> dict[str, Mapping[str, str]]:
        """
        Return the labels of firing alerts by name.

        Alerts about HealthIngests in another namespace than *namespace* are left out.
        """
        answer = httpx.get(f"{self.address}/api/v1/alerts", timeout=10)
        found = answer.raise_for_status().json()["data"]["alerts"]
        return {
            alert["labels"]["alertname"]: alert["labels"]
            for alert in found
            if alert["state"] == "firing"
            and ("healthingest" not in alert["labels"] or alert["labels"]["namespace"] == namespace)
        }

    def knows(self, series: str) -> bool:
        """Whether *series* has a value."""
        answer = httpx.get(f"{self.address}/api/v1/query", params={"query": series}, timeout=10)
        return bool(answer.raise_for_status().json()["data"]["result"])

    def _target(self, pod: Mapping[str, Any], port: int, labels: Mapping[str, str]) -> object:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}:{port}"
        own = {"namespace": metadata["namespace"], "pod": metadata["name"]}
        return {
            "targets": [self.through],
            "labels": {"__metrics_path__": f"{path}/proxy/metrics", **own, **labels},
        }


@contextmanager
def running(folder: Path) -> Iterator[Prometheus]:
    """Run it with its data in *folder*."""
    (folder / "alerts.yaml").write_text(faster(ALERTS.read_text(encoding="utf-8")))
    targets = folder / "targets.json"
    targets.write_text("[]")
    discovery = {"files": [str(targets)], "refresh_interval": "1s"}
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "alerts.yaml")],
        "scrape_configs": [
            {"job_name": "pods", "honor_labels": True, "file_sd_configs": [discovery]}
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(_process(["kubectl", "proxy", "--port=0"]))
        line = proxy.stdout.readline() if proxy.stdout else ""
        through = line.rpartition(" ")[2].strip()
        port = free_port()
        words = [f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder}"]
        listen = f"--web.listen-address=127.0.0.1:{port}"
        stack.enter_context(_process([str(PROGRAM), *words, listen]))
        found = Prometheus(f"http://127.0.0.1:{port}", targets, through)
        k8s.eventually("Prometheus answers", lambda: _answers(found.address), seconds=60.0)
        yield found


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/-/ready", timeout=5).is_success
    except httpx.TransportError:
        return False


@contextmanager
def _process(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.communicate()


def wait_for(found: Prometheus, place: tuple[str, str], wanted: set[str], seconds: float) -> None:
    """
    Wait until the alerts in *wanted* fire; pods may be replaced meanwhile.

    Raises:
        AssertionError: they do not within *seconds*.
    """
    deadline = time.monotonic() + seconds
    while not wanted <= set(fired := found.firing(place[0])):
        assert time.monotonic() < deadline, f"{wanted - set(fired)} did not fire"
        found.scrape(*place)
        time.sleep(1.0)  # the pause of a poll
