"""
Measures the processor time of counting one request in Redis, beside an earlier commit.

Each commit has a process of its own, which counts from 16 tasks, as many as clients in
`bench/upload.py`. The processes are measured in turn, on one Redis server.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from study_cost import ROOT, run_from, sources_of
from upload_measures import CLIENTS

from healthingest_service.adapters.redis import open_redis
from healthingest_service.identity.throttling import Rate, Rule
from support.login_rules import LOGIN_RULES
from support.servers.redis import redis_server

BEFORE: Final = "b10acb5"
"""The last commit that called the client of the library."""
_RULE: Final = Rule("uploads", Rate(1_000_000, 60))
_ROUND_SECONDS: Final = 120.0


def counting(limiter: Any) -> Callable[[str], Awaitable[object]]:  # noqa: ANN401 - of any commit
    """Return a function that counts one request of a key."""
    if hasattr(limiter, "hit"):  # before several rules were counted at once
        return lambda key: limiter.hit(_RULE, key)
    from healthingest_service.identity.throttling import Charge  # noqa: PLC0415 - not before

    return lambda key: limiter.count(Charge(_RULE, key))


async def measure(url: str, calls: int) -> float:
    """Return the microseconds of processor time of a call."""
    async with open_redis(url, LOGIN_RULES, timeout_seconds=_ROUND_SECONDS) as (limiter, _):
        count = counting(limiter)

        async def client(number: int, times: int) -> None:
            for _ in range(times):
                await count(f"account:{os.getpid()}:{number}")

        async def clients(times: int) -> None:
            await asyncio.gather(*(client(number, times) for number in range(CLIENTS)))

        await clients(10)  # connects
        began = time.process_time()
        await clients(calls // CLIENTS)
        return (time.process_time() - began) * 1e6 / (calls // CLIENTS * CLIENTS)


def in_a_process(command: tuple[str, ...], url: str, calls: int) -> float:
    """Return the result of `measure` in a process that *command* runs."""
    ran = subprocess.run(
        [*command, sys.executable, __file__, "--calls", str(calls), "--measure", url],
        check=True,
        capture_output=True,
        text=True,
        timeout=_ROUND_SECONDS,
    )
    return float(ran.stdout)


def main() -> int:
    """Run all rounds, and print medians and spread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default=BEFORE, help="the commit to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=8000)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(asyncio.run(measure(options.measure, options.calls)))
        return 0
    *env, paths = run_from(sources_of(options.before))
    with_support = os.pathsep.join((paths, str(ROOT / "tests")))
    commands: dict[str, tuple[str, ...]] = {"before": (*env, with_support), "now": ()}
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start")
    found = {title: list[float]() for title in commands}
    with redis_server() as server:
        for number in range(options.rounds):
            order = list(commands)
            for title in order if number % 2 == 0 else order[::-1]:
                found[title].append(in_a_process(commands[title], server.url, options.calls))
    pairs = zip(found["now"], found["before"], strict=True)
    found["ratio"] = [one / other for one, other in pairs]
    print("processor time of a call, microseconds")
    for title, values in found.items():
        middle = statistics.median(values)
        print(f"  {title:8} {middle:9.2f}  ({min(values):.2f} to {max(values):.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
