"""
Uploads a folder by a command that is killed, over cut connections: `make faults-folder`.

The command is killed three times. A proxy cuts every connection after 2 MB, in front of two API
processes, one of which is killed twice. In the end each file must be one upload with its bytes.
Prints what was done, with the seed; exits 1 when a file is missing or double, or too many bytes
were sent.
"""

import argparse
import asyncio
import random
import secrets
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from healthingest_client import AsyncClient, TokenFile
from support.cutting_proxy import CuttingProxy, cutting_proxy
from support.deadlines import HANG_SECONDS
from support.folder_command import DONE, FolderCommand, make_folder, wrong_uploads
from support.replicas import Replica, say, started_replicas
from support.results import add_json_option, write_figures
from support.servers.process import work_folder

MIB: Final = 1024 * 1024
CUT_BYTES: Final = 2 * MIB
BYTES_PER_SECOND: Final = 8 * MIB
MOST_SENT: Final = 1.05
PATIENCE_SECONDS: Final = 300
NO_LIMIT: Final = "100000/minute"
_STORED: Final = "SELECT count(*) FROM upload WHERE state <> 'storing'"
PASSWORD: Final = secrets.token_urlsafe(16)
EMAIL: Final = "ada@clinic.example"


@dataclass(frozen=True)
class Limits:
    """How many uploads and how many other requests the account may send, such as `60/minute`."""

    uploads: str
    requests: str


@dataclass(frozen=True)
class Upload:
    """The files of a folder that are missing, double or of others, and the bytes sent per byte."""

    wrong: int
    ratio: float
    code: int

    @property
    def is_kept(self) -> bool:
        """Return whether everything is as promised."""
        return not self.wrong and self.code == DONE and self.ratio <= MOST_SENT


async def _kill_replica(replica: Replica, at: list[int]) -> None:
    """Kill the process each time that so many files are uploaded."""
    connection = await asyncpg.connect(replica.settings["DATABASE__URL"], timeout=10)
    try:
        for wanted in at:
            stored = 0
            while stored < wanted:
                await asyncio.sleep(0.5)
                stored = await connection.fetchval(_STORED, timeout=10)
            await asyncio.to_thread(replica.replace)
    finally:
        await connection.close()


async def _upload(
    replicas: list[Replica], folder: Path, files: dict[str, int], source: random.Random
) -> Upload:
    """Upload the folder; returns what came of it."""
    direct = f"http://127.0.0.1:{replicas[0].port}"
    tokens = TokenFile(folder.parent / "tokens.json")
    backends = [("127.0.0.1", one.port) for one in replicas]
    opening = cutting_proxy(backends, cut_bytes=CUT_BYTES, bytes_per_second=BYTES_PER_SECOND)
    count = len(files)
    async with AsyncClient(direct, tokens) as client, opening as proxy:
        await client.register(EMAIL, PASSWORD)
        await client.login(EMAIL, PASSWORD)
        async with AsyncClient(proxy.url, tokens) as own:  # two may not use one refresh token
            await own.login(EMAIL, PASSWORD)
        command = FolderCommand(
            proxy.url, folder.parent / "tokens.json", folder, patience_seconds=PATIENCE_SECONDS
        )
        killer = asyncio.create_task(_kill_replica(replicas[1], [count // 3, count * 2 // 3]))
        for _ in range(3):
            await command.run(kill_after=source.randint(count // 10, count // 5))
        code = await command.run()
        async with asyncio.timeout(HANG_SECONDS):
            await killer
        uploads = [one async for one in client.uploads()]
    return _report(proxy, command, wrong_uploads(files, uploads), files, code)


def _report(
    proxy: CuttingProxy,
    command: FolderCommand,
    wrong: list[str],
    files: dict[str, int],
    code: int,
) -> Upload:
    ratio = proxy.sent_bytes / sum(files.values())
    say(f"runs: {command.runs}, lines: {dict(command.statuses)}, cuts: {proxy.cuts}")
    say(f"answers that told the command to wait: {proxy.refusals}")
    say(f"files missing, double or of others: {len(wrong)}; bytes sent per byte: {ratio:.3f}")
    if code != DONE:
        say(f"exit code {code}: {command.errors}")
    return Upload(len(wrong), ratio, code)


def prove(count: int, seed: int, max_bytes: int, limits: Limits) -> Upload:
    """Run it, print what was found, and return it."""
    source = random.Random(seed)  # noqa: S311 - not secret
    with ExitStack() as stack:
        place = stack.enter_context(work_folder(None))
        replicas = started_replicas(
            stack,
            place,
            LIMITS__UPLOADS_AT_ONCE_PER_ACCOUNT="16",
            LIMITS__UPLOADS=limits.uploads,
            LIMITS__REQUESTS=limits.requests,
        )
        folder = place / "measurements"
        files = make_folder(folder, count, max_bytes=max_bytes, seed=seed)
        began = time.monotonic()
        found = asyncio.run(_upload(replicas, folder, files, source))
        seconds = time.monotonic() - began
        kills = replicas[1].kills
    size = sum(files.values()) / MIB
    say(f"seed {seed}: {count} files, {size:.0f} MiB, {kills} kills of a process, {seconds:.0f} s")
    return found


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Kill a command that uploads a folder.")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--max-bytes", type=int, default=MIB)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--uploads", default=NO_LIMIT, help="limit, such as 60/minute")
    parser.add_argument("--requests", default=NO_LIMIT, help="limit of the other requests")
    add_json_option(parser)
    options = parser.parse_args()
    limits = Limits(options.uploads, options.requests)
    found = prove(options.count, options.seed, options.max_bytes, limits)
    figures = {"wrong": found.wrong, "sent_per_byte": found.ratio, "exit_code": found.code}
    write_figures(options.json, figures)
    return 0 if found.is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
