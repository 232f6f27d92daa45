"""
Measures two API processes beside one, each limited to a share of a core as a pod is.

Both are processes of one installation on PostgreSQL, RabbitMQ, Redis and versitygw. A control group
gives each of them, with its workers, the same share of processor time, so that the rest of the
machine is enough for the servers behind them and for the client, which is pinned to one core. What
two of them have in common (locks, commits, the pool of connections, the broker) then shows as less
than twice the uploads. Small files are uploaded to the first one and to both, in turn.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from control_groups import control_group, move, of_processor
from processes import processor_seconds
from upload_client import burst
from upload_files import UploadFile, file_of
from upload_measures import CLIENTS, SMALL_BYTES, Series
from upload_servers import Server, backing, on_servers

from support.results import add_json_option, write_figures
from support.servers.process import work_folder

SHARE: Final = 0.3
AIM: Final = 1.6
_SECONDS: Final = 5.0
_CLIENT_CORE: Final = 0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class Used:
    """Uploads a second, and the cores that API processes and the whole machine used."""

    rate: Series = field(default_factory=Series)
    api_cores: Series = field(default_factory=Series)
    machine_cores: Series = field(default_factory=Series)
    statuses: dict[int, int] = field(default_factory=dict)

    def __str__(self) -> str:
        cores = f"{self.api_cores.median:.2f} cores, the machine {self.machine_cores.median:.2f}"
        return f"{self.rate} uploads/s, API {cores}, answers {self.statuses}"


def main() -> int:
    """Measure; exit code 0 if two processes accept enough, 2 if nothing can be limited here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--share", type=float, default=SHARE, help="cores for each API process")
    add_json_option(parser)
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start")
    with ExitStack() as stack:
        groups = [stack.enter_context(control_group(of_processor(options.share))) for _ in "12"]
        folder = Path(stack.enter_context(work_folder(None)))
        server = stack.enter_context(on_servers(folder, stack.enter_context(backing()), apis=2))
        for group, one in zip(groups, server.all, strict=True):
            if group is None:
                print("SKIPPED: no control group can be made here")
                return 2
            move(group, one.process_id)
        one, both = measure(server, options.rounds)
    ratios = sorted(
        second / first for first, second in zip(one.rate.values, both.rate.values, strict=True)
    )
    ratio = both.rate.median / one.rate.median
    print(f"{options.share} cores for each API process")
    print(f"one: {one}\ntwo: {both}")
    print(f"two / one {ratio:.2f}, of a round {ratios[0]:.2f} to {ratios[-1]:.2f} (aim {AIM})")
    write_figures(
        options.json,
        {
            "one/per_second": one.rate.median,
            "two/per_second": both.rate.median,
            "two_of_one": ratio,
            "two/api_cores": both.api_cores.median,
            "two/machine_cores": both.machine_cores.median,
        },
    )
    return 0 if ratio >= AIM else 1


def measure(server: Server, rounds: int) -> tuple[Used, Used]:
    """Return what was measured with the first process, and with both."""
    one = Used()
    both = Used()
    everywhere = os.sched_getaffinity(0)
    numbers = count(1)
    os.sched_setaffinity(0, {_CLIENT_CORE})
    try:
        _round(server.all, Used(), numbers)  # the workers start with the first file
        for _ in range(rounds):
            _round((server,), one, numbers)
            _round(server.all, both, numbers)
    finally:
        os.sched_setaffinity(0, everywhere)
    return one, both


def _round(servers: Sequence[Server], used: Used, numbers: "count[int]") -> None:
    def make(number: int) -> UploadFile:
        return file_of(SMALL_BYTES, number)

    os.sync()
    api = _api_seconds(servers)
    machine = _machine_seconds()
    targets = [one.target for one in servers]
    seen = burst(targets, make, clients=CLIENTS, seconds=_SECONDS, numbers=numbers)
    used.rate.values.append(seen.per_second)
    used.api_cores.values.append((_api_seconds(servers) - api) / seen.seconds)
    used.machine_cores.values.append((_machine_seconds() - machine) / seen.seconds)
    for status, number in seen.statuses.items():
        used.statuses[status] = used.statuses.get(status, 0) + number


def _api_seconds(servers: Sequence[Server]) -> float:
    return sum(processor_seconds(one.process_id) for one in servers)


def _machine_seconds() -> float:
    """Return the seconds in which processors of the machine worked, from /proc/stat (proc(5))."""
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    user, nice, system, _, _, interrupt, soft_interrupt = (int(one) for one in fields[:7])
    return (user + nice + system + interrupt + soft_interrupt) / _TICKS


if __name__ == "__main__":
    sys.exit(main())
