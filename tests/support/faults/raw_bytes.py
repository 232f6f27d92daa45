"""
Searches the raw bytes on disk: contents, names and extended attributes of all files of a folder.

The folders belong to servers that have ended.
"""

import mmap
import os
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

from support.faults.people import MARK

_WORDS = re.compile(rb"%s|[0-9a-f]{64}|[A-Za-z0-9+/]{43}=" % MARK)
"""Marks, and SHA-256 in hexadecimal and Base64."""


def found_below(
    folder: Path, wanted: AbstractSet[bytes], *, without: tuple[Path, ...] = (), before: bytes = b""
) -> dict[str, int]:
    """
    Return the number of occurrences of *wanted* words by file, without files that have none.

    Occurrences directly after *before* are allowed. Files and folders *without* are left
    out.
    """
    found = {}
    for path in _files(folder, without):
        if count := found_in(path, wanted, before=before):
            found[str(path.relative_to(folder))] = count
    return found


def found_in(path: Path, wanted: AbstractSet[bytes], *, before: bytes = b"") -> int:
    """Return the number of occurrences in a file, its name and its attributes."""
    return sum(_count(text, wanted, before) for text in _texts(path))


def _count(text: bytes | mmap.mmap, wanted: AbstractSet[bytes], before: bytes) -> int:
    return sum(
        match[0] in wanted
        and not (before and text[max(0, match.start() - len(before)) : match.start()] == before)
        for match in _WORDS.finditer(text)
    )


def _files(folder: Path, without: tuple[Path, ...]) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        here = Path(root)
        folders[:] = [name for name in folders if here / name not in without]
        yield from (here / name for name in (*folders, *names) if here / name not in without)


def _texts(path: Path) -> Iterator[bytes | mmap.mmap]:
    """Yield name, extended attributes and content; a file may vanish meanwhile."""
    yield path.name.encode()
    with suppress(FileNotFoundError):
        for name in os.listxattr(path, follow_symlinks=False):
            yield os.getxattr(path, name, follow_symlinks=False)
        if path.is_file() and not path.is_symlink() and path.stat().st_size:
            with (
                path.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view,
            ):
                yield view
