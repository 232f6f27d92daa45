"""
`make faults`: meet the service with every fault there is, and prove after each that the promise held.

Prints a row for each case and exits 1 when something acknowledged was lost, something unexpected was announced, an
invariant was broken, or a fault did not strike.
"""

import argparse
import asyncio
import logging
import secrets
import sys
import time
import warnings

from healthingest_service.faults.points import Mode, Point, hits
from support.faults.cases import Case, cases
from support.faults.checker import Verdict
from support.faults.history import Attempt, Outcome
from support.faults.world import World, world

COLUMNS = ("case", "struck", "sent", "acked", "lost", "unexpected", "duplicated", "recovered", "drained s", "took s")
WIDTHS = (52, 6, 5, 5, 5, 10, 10, 9, 9, 6)


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Prove the promise of an upload by faults.")
    parser.add_argument("--short", action="store_true", help="a few minutes: no long storm, hangs together")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="to repeat a run")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    options = parser.parse_args()
    logging.disable()  # the consumer's and the proxies' libraries tell of every fault
    warnings.simplefilter("ignore", RuntimeWarning)  # aio-pika's, about its own half-closed connections
    say(f"seed {options.seed}: repeat with --seed {options.seed}")
    return asyncio.run(run(short=options.short, seed=options.seed, only=options.only))


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def run(*, short: bool, seed: int, only: str) -> int:
    """All cases in one world."""
    began, faults = time.monotonic(), list[str]()
    async with world(seed) as made:
        say(_line(*COLUMNS))
        todo = [case for case in cases(made, short=short) if only in case.name]
        for case in todo:
            faults += await one(made, case)
        if not only:
            faults += _unhit(made)
        outcomes = [attempt.outcome for attempt in made.clients.attempts]
        counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in Outcome)
        say(f"\n{len(todo)} cases, {len(outcomes)} attempts: {counts}; {len(hits(made.faults))} points hit")
        say("; ".join(f"{what} at most {value:.0f}" for what, value in made.peaks.items()))
    say(f"seed {seed}, {time.monotonic() - began:.0f} s: {'FAILED' if faults else 'the promise held'}")
    for fault in faults:
        say(f"  {fault}")
    return 1 if faults else 0


async def one(made: World, case: Case) -> list[str]:
    """One case: fault, heal, drain, judge. Returns what was wrong."""
    began, attempts, duplicates = time.monotonic(), len(made.clients.attempts), _duplicates(made)
    struck = await case.act(made)
    await made.heal()
    drained = await made.drained()
    verdict = await made.judge(drained)
    new = made.clients.attempts[attempts:]
    say(
        _line(
            case.name,
            "yes" if struck else "NO",
            len(new),
            sum(attempt.outcome is Outcome.ACKNOWLEDGED for attempt in new),
            len(verdict.lost),
            len(verdict.unexpected),
            _duplicates(made) - duplicates,
            _recovered(new, verdict),
            f"{drained:.1f}",
            f"{time.monotonic() - began:.1f}",
        )
    )
    wrong = list(verdict.broken) + [f"lost {sha256}" for _, sha256 in verdict.lost]
    wrong += [f"unexpected {sha256}" for _, sha256 in verdict.unexpected]
    return [f"{case.name}: {text}" for text in wrong + ([] if struck else ["did not strike"])]


def _duplicates(made: World) -> int:
    return len(made.consumer.heard) - len({one.upload_id for one in made.consumer.heard})


def _recovered(new: list[Attempt], verdict: Verdict) -> int:
    return len({(attempt.owner, attempt.sha256) for attempt in new} & verdict.recovered)


def _unhit(made: World) -> list[str]:
    met = {(fault.point, fault.mode) for fault in hits(made.faults)}
    wanted = {(point, mode) for point in Point for mode in (Mode.KILL, Mode.RAISE, Mode.HANG)}
    return [f"never hit: {point} {mode}" for point, mode in sorted(wanted - met)]


def _line(*values: object) -> str:
    texts = [str(value) for value in values]
    first, *rest = (text.rjust(width) for text, width in zip(texts, WIDTHS, strict=True))
    return " ".join([first.strip().ljust(WIDTHS[0]), *rest])


if __name__ == "__main__":
    sys.exit(main())
