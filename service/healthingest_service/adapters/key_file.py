"""
A secret that is made on this machine and stays there.

For the embedded default, never for an installation.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4


def read_or_make(path: Path, make: Callable[[], str]) -> str:
    """
    The text in *path*; the first call writes it, readable by the owner alone.

    Two processes that begin at one moment read the same text: a link appears whole or not at all.
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
