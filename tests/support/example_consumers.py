"""Runs the example consumers as processes, as their user would."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from support.deadlines import HANG_SECONDS

EXAMPLES: Final = Path(__file__).parents[2] / "examples" / "consumers"


@contextmanager
def example(
    folder: Path, name: str, *more: str, server: str, url: str, token: str
) -> Iterator[Path]:
    """Run an example; yields its database."""
    folder.mkdir()
    (folder / "secret").mkdir()
    (folder / "secret" / "url").write_text(url, encoding="utf-8")
    (folder / "token").write_text(token, encoding="utf-8")
    database = folder / "counts.sqlite"
    given = ("--secret", "secret", "--token", "token", "--server", server)
    with (folder / "example.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / name), *given, "--database", str(database), *more],
            cwd=folder,
            stderr=log,
        )
        try:
            yield database
            assert process.poll() is None, (folder / "example.log").read_text(encoding="utf-8")
        finally:
            process.kill()
            process.wait(HANG_SECONDS)


def eventually(found: Callable[[], Any], wanted: object) -> None:
    """Wait until *found* returns what is wanted."""
    deadline = time.monotonic() + HANG_SECONDS
    while (last := found()) != wanted:
        assert time.monotonic() < deadline, last
        time.sleep(0.05)


def counted(database: Path) -> list[tuple[Any, ...]]:
    """Return the rows of an example: upload id, study, subject, record type, records."""
    with sqlite3.connect(database) as connection:
        return connection.execute("SELECT * FROM records").fetchall()
