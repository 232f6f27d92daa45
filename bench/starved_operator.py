"""
Measures leader election of two operators that get very little processor time.

Both are real processes on a private kube-apiserver. Signals stop and continue them, so that they
run for a share of each tenth of a second, as with a CPU limit. Then both stop for longer than the
Lease lasts. Printed is who leads, how long nobody leads, and whether a process ended.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from support.control_plane import CRD, kubectl
from support.servers.apiserver import ApiServer, apiserver
from support.servers.process import free_port, work_folder

COMMAND: Final = (sys.executable, "-m", "healthingest_operator.main")
EVENTS: Final = ("waits_for_leadership", "leads", "leadership_lost")
PERIOD_SECONDS: Final = 0.1
FROZEN_SECONDS: Final = 20.0
RECOVERY_AIM_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 300.0


class Starved:
    """An operator that runs for *share* of each period."""

    def __init__(self, server: ApiServer, log: Path, share: float) -> None:
        self.log = log
        self.frozen = threading.Event()
        self._share = share
        self._ended = threading.Event()
        more = {
            "KUBECONFIG": str(server.kubeconfig),
            "HEALTHINGEST_OPERATOR_SERVICE_IMAGE": "service:1",
            "HEALTHINGEST_OPERATOR_LEASE_NAMESPACE": "default",
            "HEALTHINGEST_OPERATOR_HEALTH_PORT": str(free_port()),
            "HEALTHINGEST_OPERATOR_METRICS_PORT": str(free_port()),
        }
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("KUBERNETES_")
        }
        with log.open("wb") as file:
            self.process = subprocess.Popen(COMMAND, env=inherited | more, stdout=file, stderr=file)
        self._thread = threading.Thread(target=self._throttle, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Kill it."""
        self._ended.set()
        self._thread.join()
        self.process.kill()
        self.process.wait()

    def events(self) -> list[tuple[float, str]]:
        """Return the times of its log lines about leadership, in Unix time."""
        found = []
        for line in self.log.read_text().splitlines():
            with suppress(ValueError, KeyError):
                entry = json.loads(line)
                if entry["event"] in EVENTS:
                    found.append(
                        (datetime.fromisoformat(entry["timestamp"]).timestamp(), entry["event"])
                    )
        return found

    def _throttle(self) -> None:
        while not self._ended.is_set() and self.process.poll() is None:
            if not self.frozen.is_set():
                self.process.send_signal(signal.SIGCONT)
                self._ended.wait(PERIOD_SECONDS * self._share)
            self.process.send_signal(signal.SIGSTOP)
            self._ended.wait(PERIOD_SECONDS * (1 - self._share))


def _leads_since(operators: list[Starved], moment: float) -> float:
    """Return when an operator first reports that it leads, after *moment*."""
    deadline = time.time() + PATIENCE_SECONDS
    while time.time() < deadline:
        times = [
            at
            for one in operators
            for at, event in one.events()
            if event == "leads" and at > moment
        ]
        if times:
            return min(times)
        time.sleep(0.2)
    message = f"nobody leads within {PATIENCE_SECONDS:.0f} s"
    raise TimeoutError(message)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Print the figures; exit code 1 if a process ended, or nobody led in time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--share", type=float, default=0.05, help="of one processor, for each operator"
    )
    parser.add_argument(
        "--seconds", type=float, default=120.0, help="how long it is watched while it is starved"
    )
    options = parser.parse_args()
    with work_folder(None) as folder, apiserver() as server, ExitStack() as stack:
        kubectl(server, "apply", "--server-side", "-f", str(CRD))
        began = time.time()
        operators = []
        for number in range(2):
            operators.append(Starved(server, folder / f"{number}.log", options.share))
            stack.callback(operators[-1].end)
        first = _leads_since(operators, began)
        _say(f"one leads {first - began:.1f} s after the start, load {os.getloadavg()[0]:.0f}")
        time.sleep(options.seconds)
        lost = sum(event == "leadership_lost" for one in operators for _, event in one.events())
        _say(
            f"with {options.share:g} of a processor each, in {options.seconds:.0f} s:"
            f" lost {lost} times"
        )
        for one in operators:
            one.frozen.set()
        time.sleep(FROZEN_SECONDS)
        thawed = time.time()
        for one in operators:
            one.frozen.clear()
        recovered = _leads_since(operators, thawed) - thawed
        _say(
            f"without any for {FROZEN_SECONDS:.0f} s:"
            f" one leads {recovered:.1f} s after it has some again"
        )
        ended = sum(one.process.poll() is not None for one in operators)
        _say(f"processes that ended: {ended}")
    return int(ended > 0 or recovered > RECOVERY_AIM_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
