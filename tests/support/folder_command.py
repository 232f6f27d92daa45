"""The command `healthingest upload FOLDER` as a process that is killed while it works."""

import asyncio
import hashlib
import json
import random
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from support.avro_files import write_file
from support.deadlines import HANG_SECONDS

DONE: Final = 0


@dataclass
class FolderCommand:
    """
    A command on one folder, and what its runs have printed.

    `statuses` counts the JSON lines of all runs, and `runs` the processes.
    """

    url: str
    token_file: Path
    folder: Path
    patience_seconds: int = 120
    runs: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    errors: str = ""

    async def run(self, *, kill_after: int | None = None) -> int:
        """
        Run it; returns the exit code.

        It is killed after it has uploaded *kill_after* files.
        """
        self.runs += 1
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "healthingest_client.main",
            *("--server", self.url, "--token-file", str(self.token_file)),
            *("--patience", str(self.patience_seconds)),
            *("upload", "--json", str(self.folder)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        accepted = 0
        async for line in process.stdout:
            status: str = json.loads(line)["status"]
            self.statuses[status] += 1
            accepted += status == "accepted"
            if accepted == kill_after:
                process.send_signal(signal.SIGKILL)
                break
        self.errors += (await process.stderr.read()).decode()
        return await process.wait()

    async def run_killed(self, kills: list[int]) -> int:
        """Kill it after so many uploads of each run, then let it end; returns its exit code."""
        async with asyncio.timeout(HANG_SECONDS * len(kills)):
            for kill_after in kills:
                assert await self.run(kill_after=kill_after) == -signal.SIGKILL, self.errors
            return await self.run()


def make_folder(folder: Path, count: int, *, max_bytes: int, seed: int) -> dict[str, int]:
    """Write *count* different files of random sizes; returns the size of each by its SHA-256."""
    source = random.Random(seed)  # noqa: S311 - not secret
    made: dict[str, int] = {}
    for number in range(count):
        path = folder / f"{number // 100:02}" / f"{number:05}.avro"
        content = write_file(path, source.randint(1, max_bytes), source.getrandbits(64))
        made[hashlib.sha256(content).hexdigest()] = len(content)
    return made


def wrong_uploads(files: dict[str, int], uploads: list[Any]) -> list[str]:
    """Return what is wrong: files that are missing, that came twice, or that nobody sent."""
    found = Counter(one["file_hash"] for one in uploads)
    missing = [f"missing: {one}" for one in files if one not in found]
    doubles = [f"twice: {one}" for one, number in found.items() if number > 1]
    return missing + doubles + [f"not sent: {one}" for one in found if one not in files]
