"""Uploads many files at the same time, each once, and goes on where an earlier command ended."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from healthingest_client.async_client import AsyncClient
from healthingest_client.documents import Receipt
from healthingest_client.errors import (
    ClientError,
    FileChangedError,
    ProblemError,
)
from healthingest_client.file_upload import Advance, LocalFile, Sending
from healthingest_client.upload_journal import (
    MEMORY,
    Destination,
    Entry,
    UploadJournal,
    journal_of,
)

PATTERN: Final = "*.avro"
AT_ONCE: Final = 4
"""The number of uploads of an account that a server admits at the same time by default."""

_ABOUT_A_FILE: Final = frozenset({400, 409, 410, 413, 415, 422})
_ABOUT_ALL: Final = frozenset(
    {
        "about:blank",
        "consent-outdated",
        "invalid-request",
        "invalid-subject",
        "study-closed",
        "study-erased",
        "subject-erased",
        "subject-missing",
    }
)
"""Codes that every other file would get, too, and answers of a proxy."""

Status = Literal["accepted", "uploaded-before", "refused", "unreadable"]


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to upload: its name in messages, its name in the journal, and the journal."""

    shown: str
    name: str
    file: LocalFile
    journal: UploadJournal = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of a file; `sent_bytes` counts bytes that this command sent."""

    file: str
    status: Status
    size_bytes: int
    sent_bytes: int = 0
    receipt: Receipt | None = None
    upload_id: str | None = None
    error: str | None = None
    problem: ProblemError | None = None


class FolderUpload:
    """
    Uploads files with bounded parallelism.

    *show* gets the result of each file. An error that concerns all files, such as an unreachable
    server, ends the work and is raised.
    """

    def __init__(
        self,
        client: AsyncClient,
        destination: Destination,
        *,
        show: Callable[[FileResult], None],
        advance: Advance,
    ) -> None:
        self._client = client
        self._destination = destination
        self._show = show
        self._advance = advance
        self._error: Exception | None = None

    async def run(self, files: Iterable[FoundFile], *, at_once: int) -> None:
        """
        Upload *files*, at most *at_once* at the same time.

        Raises:
            ClientError: no file can be uploaded now.
        """
        waiting = iter(files)
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(self._work(waiting))
        if self._error is not None:
            raise self._error

    async def _work(self, waiting: Iterator[FoundFile]) -> None:
        for found in waiting:
            if self._error is not None:
                return
            try:
                result = await self._result(found)
            except (ClientError, OSError) as error:
                self._error = self._error or error
                return
            self._show(result)

    async def _result(self, found: FoundFile) -> FileResult:
        entry = found.journal.find(self._destination, found.name, found.file)
        size_bytes = found.file.size_bytes
        if entry.upload_id is not None:
            self._advance(size_bytes)
            return FileResult(found.shown, "uploaded-before", size_bytes, upload_id=entry.upload_id)
        sending = Sending(
            found.file,
            self._destination.about,
            location=entry.location,
            begun=lambda location: self._record(found, Entry(location)),
            advance=self._advance,
        )
        try:
            receipt = await self._client.send_file(sending)
        except ProblemError as error:
            if not is_about_the_file(error):
                raise
            return FileResult(found.shown, "refused", size_bytes, sending.sent_bytes, problem=error)
        except (FileChangedError, OSError) as error:
            text = error.strerror if isinstance(error, OSError) else str(error)
            return FileResult(found.shown, "unreadable", size_bytes, sending.sent_bytes, error=text)
        upload_id = receipt["upload_id"]
        self._record(found, Entry(upload_id=upload_id))
        return FileResult(
            found.shown, "accepted", size_bytes, sending.sent_bytes, receipt, upload_id
        )

    def _record(self, found: FoundFile, entry: Entry) -> None:
        found.journal.record(self._destination, found.name, found.file, entry)


def is_about_the_file(error: ProblemError) -> bool:
    """Return whether other files may succeed: this one is refused, or was erased."""
    return error.status in _ABOUT_A_FILE and error.code not in _ABOUT_ALL


def find_files(
    paths: Iterable[Path], *, pattern: str, journal: Path | None, stack: ExitStack
) -> Iterator[FoundFile]:
    """
    Yield the files of *paths*: the files themselves, and those of folders that match *pattern*.

    A folder has its journal beside it, other files none; with *journal* all have this one. The
    journals are closed by *stack*. Hidden files of folders are left out.

    Raises:
        ClientError, OSError: a path does not exist, or a journal cannot be used.
    """
    opened: dict[Path, UploadJournal] = {}

    def at(path: Path) -> UploadJournal:
        if path not in opened:
            opened[path] = stack.enter_context(UploadJournal(path))
        return opened[path]

    for path in paths:
        if not path.is_dir():
            whole = path.resolve().as_posix()
            yield FoundFile(str(path), whole, LocalFile.at(path), at(journal or MEMORY))
            continue
        own = at(journal or journal_of(path))
        for file in sorted(path.rglob(pattern)):
            relative = file.relative_to(path)
            if not file.is_file() or any(part.startswith(".") for part in relative.parts):
                continue
            name = file.resolve() if journal else relative
            yield FoundFile(str(file), name.as_posix(), LocalFile.at(file), own)
