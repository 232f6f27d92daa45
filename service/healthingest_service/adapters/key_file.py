"""A secret that is generated on first use and kept in a file, for the embedded default only."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4


def read_or_make(path: Path, make: Callable[[], str]) -> str:
    """
    Return the text in *path*; the first call creates the file with the text of *make*.

    Only the owner can read the file. Concurrent first calls of two processes return the same text,
    since a hard link to the complete file is created atomically.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        draft = path.with_name(f".{uuid4().hex}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text(encoding="utf-8")
