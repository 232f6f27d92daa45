"""
Measures all claims in their short form, and prints a table: `make prove`.

Each measurement is a program of its own with a deadline. Those of promises run first, two at a
time; then those of speed, one after the other. What needs a missing tool, or does not fit into the
time of the run, is SKIPPED with the reason. The table is written as Markdown and JSON after each
measurement, so that a run that is ended has its results. The exit code is 1 if a claim fails.
"""

import argparse
import asyncio
import json
import os
import platform
import secrets
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from prove.claims import CLAIMS
from prove.measurements import MEASUREMENTS
from prove.model import Measurement, Outcome, Result, State, outcome_of_tests, result_of
from prove.report import document, markdown, row, summary
from series.machine import model

from support.servers.process import as_user

ROOT: Final = Path(__file__).resolve().parents[2]
BUSY_LOAD: Final = 0.5
FOLDER: Final = ROOT / ".cache" / "prove"
OPERATOR_PYTHON: Final = ROOT / ".cache" / "operator" / "bin" / "python"
OVER: Final = "the time of the run is over"
UNAVAILABLE: Final = "ServerUnavailableError: "
"""How a program says that a server is missing: support.servers.process."""
_AT_ONCE: Final = 2
_END_SECONDS: Final = 20.0
_MAX_SEED: Final = 2**31


@dataclass(frozen=True, slots=True)
class Plan:
    """Which measurements run, with which seed, and when the run ends on the monotonic clock."""

    measurements: Sequence[Measurement]
    seed: int
    ends_at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """
    The files of a program, and its exit code: None if it was ended at its deadline.

    `is_cut` says that the deadline was the end of the whole run.
    """

    file: Path
    log: Path
    code: int | None
    is_cut: bool


def main() -> int:
    """Run it; returns the exit code."""
    options = _options()
    chosen = [one for one in MEASUREMENTS if not options.only or one.id in options.only]
    FOLDER.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    results: list[Result] = []
    about = machine()

    def add(found: Sequence[Result]) -> None:
        results.extend(found)
        for result in found:
            print(" | ".join(row(result)), flush=True)
        (FOLDER / "claims.md").write_text(markdown(results, about), encoding="utf-8")
        written = json.dumps(document(results, about), indent=2, ensure_ascii=False)
        (FOLDER / "claims.json").write_text(written + "\n", encoding="utf-8")

    asyncio.run(run(Plan(chosen, options.seed, began + options.minutes * 60), add))
    if about["load at the start"] > BUSY_LOAD:
        print("other work was on the machine: claims about speed may fail for this reason")
    print(f"{summary(results)}; {time.monotonic() - began:.0f} s; seed {options.seed}")
    print(f"written to {FOLDER.relative_to(ROOT)}/claims.md and claims.json")
    return 1 if any(one.state is State.FAIL for one in results) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(_MAX_SEED))
    parser.add_argument("--minutes", type=float, default=20.0, help="of the whole run")
    parser.add_argument("--only", nargs="*", default=(), help="ids of measurements")
    options = parser.parse_args()
    unknown = set(options.only) - {one.id for one in MEASUREMENTS}
    if unknown:
        parser.error(f"no measurement is called {', '.join(sorted(unknown))}")
    return options


def machine() -> dict[str, Any]:
    """Return what the run was made on."""
    return {
        "processors": os.cpu_count(),
        "model": model(),
        "load at the start": round(os.getloadavg()[0], 1),
        "kernel": platform.release(),
        "Python": platform.python_version(),
    }


async def run(plan: Plan, add: Callable[[Sequence[Result]], None]) -> None:
    """Measure, and call *add* with the results of the claims of each measurement."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def measure(measurement: Measurement) -> None:
        async with free:
            print(f"{measurement.id} …", flush=True)
            outcome = await outcome_of(measurement, plan)
        claims = [claim for claim in CLAIMS if claim.measurement == measurement.id]
        add([result_of(claim, outcome) for claim in claims])

    async with asyncio.TaskGroup() as group:
        for one in plan.measurements:
            if not one.is_alone:
                group.create_task(measure(one))
    for one in plan.measurements:
        if one.is_alone:
            await measure(one)


async def outcome_of(measurement: Measurement, plan: Plan) -> Outcome:
    """Run a measurement until its deadline, or the end of the run."""
    left = plan.ends_at - time.monotonic()
    if measurement.elsewhere or left <= 0:
        return Outcome(0.0, skipped=measurement.elsewhere or OVER)
    began = time.monotonic()
    file = FOLDER / f"{measurement.id}.{'xml' if measurement.tests else 'json'}"
    file.unlink(missing_ok=True)
    log = FOLDER / f"{measurement.id}.log"
    words = words_of(measurement, file, plan.seed)
    code = await execute(words, log, min(left, measurement.deadline_seconds))
    ended = Ended(file, log, code, is_cut=left < measurement.deadline_seconds)
    outcome = read(measurement, ended, time.monotonic() - began)
    return replace(outcome, seed=plan.seed if measurement.has_seed else None)


def read(measurement: Measurement, ended: Ended, seconds: float) -> Outcome:
    """Return the outcome of a program that has ended."""
    if ended.code is None and ended.is_cut:
        return Outcome(seconds, skipped=OVER)
    if ended.code is None:
        late = f"not done within {measurement.deadline_seconds:.0f} s: {ended.log.name}"
        return Outcome(seconds, failed=late)
    if not ended.file.exists():
        return unfinished(seconds, ended.log, ended.code)
    if measurement.tests:
        return junit(seconds, ended.file)
    return Outcome(seconds, json.loads(ended.file.read_text(encoding="utf-8")))


def words_of(measurement: Measurement, file: Path, seed: int) -> list[str]:
    """Return the command of a measurement that writes its results to *file*."""
    if measurement.tests:
        pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={file}"]
        return [sys.executable, *pytest, *measurement.tests]
    operator = OPERATOR_PYTHON if OPERATOR_PYTHON.exists() else Path(sys.executable)
    table = {"{json}": str(file), "{seed}": str(seed), "{operator}": str(operator)}
    return [sys.executable, *(table.get(word, word) for word in measurement.command)]


async def execute(words: Sequence[str], log: Path, seconds: float) -> int | None:
    """
    Return the exit code of a program, or None if it was ended after *seconds*.

    It also ends when this process is killed.
    """
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *as_user(None),
            *words,
            cwd=ROOT,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(seconds):
                return await process.wait()
        except TimeoutError:
            return None
        finally:
            await _end(process)


def environment() -> Mapping[str, str]:
    """Return the environment of measurements: tests and benches are found, no module is fetched."""
    folders = os.pathsep.join(str(ROOT / name) for name in ("tests", "bench"))
    return os.environ | {"PYTHONPATH": folders, "GOPROXY": "off", "PYTHONUNBUFFERED": "1"}


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process and its group: the servers that it started have died with it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()
                return


def junit(seconds: float, file: Path) -> Outcome:
    """Return the outcome of tests from the file that pytest has written."""
    # S314: pytest has just written it
    cases = list(ET.parse(file).getroot().iter("testcase"))  # noqa: S314
    skips = [one for case in cases for one in case.findall("skipped")]
    failed = sum(
        1 for case in cases if case.find("failure") is not None or case.find("error") is not None
    )
    reason = skips[0].get("message", "") if skips else ""
    return outcome_of_tests(
        seconds,
        passed=len(cases) - len(skips) - failed,
        failed=failed,
        skipped=len(skips),
        reason=reason,
    )


def unfinished(seconds: float, log: Path, code: int) -> Outcome:
    """Return the outcome of a program that wrote no figures: skipped if a server is missing."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        before, found, reason = line.rpartition(UNAVAILABLE)
        if found and " " not in before.strip("| +-"):
            return Outcome(seconds, skipped=reason)
    return Outcome(seconds, failed=f"exit code {code}: {log.name}")


if __name__ == "__main__":
    sys.exit(main())
