"""
Measures small uploads with and without a flood of logins, in turn, in one run.

The flood sends wrong passwords at a constant rate from many addresses and does not wait for
answers, as an attacker would. The measured client uploads one small file after the other.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from upload_client import Connection
from upload_files import file_of
from upload_servers import Server, on_a_folder

_NO_LIMITS: Final = {
    "LIMITS__LOGINS": "1000000/hour",
    "LIMITS__LOGIN_FAILURES_PER_DEVICE": "1000000",
    "LIMITS__LOGIN_FAILURES_PER_ACCOUNT": "1000000",
    "LIMITS__LOGIN_FAILURES_PER_ADDRESS": "1000000",
}
"""Limits of an address are off, because one address stands for many attackers."""


async def flood(port: int, per_second: float, seconds: float) -> Counter[str]:
    """Send logins at a constant rate, each on its own connection; return the answers by status."""
    statuses = Counter[str]()
    running = set[asyncio.Task[None]]()
    began = time.monotonic()

    async def one(number: int) -> None:
        body = urlencode(
            {"username": f"u{number}@clinic.example", "password": "wrong horse"}
        ).encode()
        head = (
            "POST /auth/jwt/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(30):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(head.encode() + body)
                line = await reader.readline()
                writer.close()
            statuses[line.split(b" ")[1].decode() if b" " in line else "closed"] += 1
        except (OSError, TimeoutError) as error:
            statuses[type(error).__name__] += 1

    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
        task = asyncio.ensure_future(one(number))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return statuses


@contextmanager
def flooding(port: int, per_second: float, seconds: float) -> Iterator[Counter[str]]:
    """Run the flood in another process, so that it does not slow down the measured client."""
    words = ["--flood", str(port), "--per-second", str(per_second), "--seconds", str(seconds)]
    process = subprocess.Popen(
        [sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True
    )
    statuses = Counter[str]()
    try:
        yield statuses
    finally:
        output, _ = process.communicate(timeout=seconds + 60)
        statuses.update(json.loads(output))


def uploads(server: Server, seconds: float, numbers: "count[int]") -> list[float]:
    """Return the milliseconds of each upload of one client during *seconds*."""
    times = list[float]()
    end = time.monotonic() + seconds
    with Connection(server.target.port) as connection:
        while time.monotonic() < end:
            file = file_of(4000, next(numbers))
            began = time.monotonic()
            status = connection.upload(server.target, file)
            times.append((time.monotonic() - began) * 1000)
            assert status == 201, status
    return times


def row(name: str, times: list[float]) -> str:
    """Return one line of the table."""
    ordered = sorted(times)
    p95, p99 = (ordered[int(len(ordered) * share)] for share in (0.95, 0.99))
    return f"| {name} | {len(times)} | {statistics.median(times):.1f} | {p95:.1f} | {p99:.1f} |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-second", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--flood",
        type=int,
        metavar="PORT",
        help="only send the logins there, and print the answers",
    )
    options = parser.parse_args()
    if options.flood:
        answers = asyncio.run(flood(options.flood, options.per_second, options.seconds))
        sys.stdout.write(json.dumps(answers))
        return 0
    numbers = count()
    rest = list[float]()
    flooded = list[float]()
    statuses = Counter[str]()
    with tempfile.TemporaryDirectory() as folder, on_a_folder(Path(folder), **_NO_LIMITS) as server:
        uploads(server, 3, numbers)
        for _ in range(options.rounds):
            rest += uploads(server, options.seconds, numbers)
            with flooding(server.target.port, options.per_second, options.seconds + 1) as answers:
                time.sleep(1)
                flooded += uploads(server, options.seconds, numbers)
            statuses += answers
    lines = [
        "| | uploads | median ms | p95 ms | p99 ms |",
        "| --- | --- | --- | --- | --- |",
        row("at rest", rest),
    ]
    lines.append(row(f"{options.per_second:.0f} logins/s", flooded))
    sys.stdout.write("\n".join(lines) + f"\nanswers to logins: {dict(sorted(statuses.items()))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
