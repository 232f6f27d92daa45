"""
`make faults`.

Meet the service with every fault there is, and prove after each that the promise held.

Prints a row for each case and exits 1 when something acknowledged was lost, something unexpected
was announced, an invariant was broken, or a fault did not strike.
"""

import argparse
import asyncio
import logging
import os
import secrets
import shutil
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass, field

import structlog

from support.faults.case import CannotError, Case
from support.faults.cases import cases
from support.faults.checker import CheckResult
from support.faults.history import Attempt, Outcome
from support.faults.points import Mode, Point, ResumablePoint, hits
from support.faults.world import World, world
from support.results import add_json_option, write_figures

COLUMNS = (
    "case",
    "struck",
    "sent",
    "acked",
    "lost",
    "unexpected",
    "duplicated",
    "recovered",
    "drained s",
    "took s",
)
UNSHARE = ("unshare", "--mount", "--propagation", "private")
WIDTHS = (52, 6, 5, 5, 5, 10, 10, 9, 9, 6)


@dataclass
class Found:
    """What a run has found so far."""

    faults: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    lost: int = 0
    unexpected: int = 0

    def add(self, result: CheckResult) -> None:
        """Count the files of a check; each check counts those of all cases so far."""
        self.lost = max(self.lost, len(result.lost))
        self.unexpected = max(self.unexpected, len(result.unexpected))


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Prove the promise of an upload by faults.")
    parser.add_argument(
        "--short", action="store_true", help="a few minutes: no long storm, hangs together"
    )
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(2**32), help="to repeat a run"
    )
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument(
        "--own-mounts",
        action="store_true",
        help="small disks may be mounted: nobody else sees them",
    )
    add_json_option(parser)
    options = parser.parse_args()
    if not options.own_mounts and may_mount():
        # S606: it starts this program again
        os.execvp(UNSHARE[0], [*UNSHARE, sys.executable, *sys.argv, "--own-mounts"])  # noqa: S606
    logging.disable()  # the consumer's and the proxies' libraries tell of every fault
    structlog.configure(
        logger_factory=structlog.ReturnLoggerFactory()
    )  # and the consistency check of what it finds
    warnings.simplefilter(
        "ignore", RuntimeWarning
    )  # aio-pika's, about its own half-closed connections
    say(f"seed {options.seed}: repeat with --seed {options.seed}")
    return asyncio.run(run(options))


def may_mount() -> bool:
    """
    Whether mounts of our own are allowed here.

    Root, and a kernel or container that does not mind.
    """
    if os.geteuid() != 0 or shutil.which(UNSHARE[0]) is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def run(options: argparse.Namespace) -> int:
    """All cases in one world."""
    began = time.monotonic()
    found = Found()
    async with world(options.seed, disks=options.own_mounts) as made:
        say(_line(*COLUMNS))
        todo = [case for case in cases(made, short=options.short) if options.only in case.name]
        for case in todo:
            try:
                found.faults += await one(made, case, found)
            except CannotError as error:
                found.skipped.append(case.name)
                say(f"{case.name.ljust(WIDTHS[0])}   SKIP: {error}")
        if not options.only:
            found.faults += _unhit(made)
        _sum_up(made, len(todo), found.skipped)
        write_figures(options.json, _figures(made, len(todo), found))
    say(
        f"seed {options.seed}, {time.monotonic() - began:.0f} s: "
        f"{'FAILED' if found.faults else 'the promise held'}"
    )
    for fault in found.faults:
        say(f"  {fault}")
    return 1 if found.faults else 0


def _figures(made: World, cases_run: int, found: Found) -> dict[str, float | None]:
    return {
        "cases": cases_run,
        "skipped_cases": len(found.skipped),
        "attempts": len(made.clients.attempts),
        "lost": found.lost,
        "unexpected": found.unexpected,
        "wrong": len(found.faults),
    }


def _sum_up(made: World, count: int, skipped: list[str]) -> None:
    outcomes = [attempt.outcome for attempt in made.clients.attempts]
    counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in Outcome)
    say(f"\n{count} cases, {len(skipped)} of them skipped; {len(hits(made.faults))} points hit")
    say(f"{len(outcomes)} attempts: {counts}; {_duplicates(made)} duplicates")
    say("; ".join(f"{what}: {count}" for what, count in made.notes.items()))
    say("; ".join(f"{what} at most {value:.0f}" for what, value in made.peaks.items()))


async def one(made: World, case: Case, found: Found) -> list[str]:
    """One case: fault, heal, drain, check_history. Returns what was wrong."""
    began = time.monotonic()
    attempts = len(made.clients.attempts)
    duplicates = _duplicates(made)
    struck = await case.act(made)
    drained, result = await made.settle()
    found.add(result)
    new = made.clients.attempts[attempts:]
    say(
        _line(
            case.name,
            "yes" if struck else "NO",
            len(new),
            sum(attempt.outcome is Outcome.ACKNOWLEDGED for attempt in new),
            len(result.lost),
            len(result.unexpected),
            _duplicates(made) - duplicates,
            _recovered(new, result),
            f"{drained:.1f}",
            f"{time.monotonic() - began:.1f}",
        )
    )
    wrong = made.wrong + result.faults() + ([] if struck else ["did not strike"])
    made.wrong.clear()
    return [f"{case.name}: {text}" for text in wrong]


def _duplicates(made: World) -> int:
    return len(made.consumer.heard) - len({one.upload_id for one in made.consumer.heard})


def _recovered(new: list[Attempt], result: CheckResult) -> int:
    return len({(attempt.owner, attempt.sha256) for attempt in new} & result.recovered)


def _unhit(made: World) -> list[str]:
    met = {(fault.point, fault.mode) for fault in hits(made.faults)}
    points = (*Point, *ResumablePoint)
    wanted = {(point, mode) for point in points for mode in (Mode.KILL, Mode.RAISE, Mode.HANG)}
    return [f"never hit: {point} {mode}" for point, mode in sorted(wanted - met)]


def _line(*values: object) -> str:
    texts = [str(value) for value in values]
    first, *rest = (text.rjust(width) for text, width in zip(texts, WIDTHS, strict=True))
    return " ".join([first.strip().ljust(WIDTHS[0]), *rest])


if __name__ == "__main__":
    sys.exit(main())
