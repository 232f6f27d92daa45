"""
The journal beside a folder: what was uploaded, and where the upload of a large file goes on.

It is a SQLite database, so a command that is killed leaves it as it was after its last entry.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from healthingest_client.errors import ClientError
from healthingest_client.file_upload import About, LocalFile

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS file (
    server TEXT NOT NULL, study TEXT NOT NULL, subject TEXT NOT NULL, name TEXT NOT NULL,
    size_bytes INTEGER NOT NULL, changed_ns INTEGER NOT NULL,
    location TEXT, upload_id TEXT,
    PRIMARY KEY (server, study, subject, name)
)
"""
_FIND: Final = """
SELECT location, upload_id FROM file
WHERE server = ? AND study = ? AND subject = ? AND name = ? AND size_bytes = ? AND changed_ns = ?
"""
_RECORD: Final = "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
MEMORY: Final = Path(":memory:")
"""The path of a journal that ends with the command."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a file: where its upload goes on, or its id once it is accepted."""

    location: str | None = None
    upload_id: str | None = None


@dataclass(frozen=True, slots=True)
class Destination:
    """Where files go: the server and whom they are about."""

    server: str
    about: About


def journal_of(folder: Path) -> Path:
    """Return the path of the journal of *folder*, which lies beside it."""
    whole = folder.resolve()
    return whole.with_name(f".{whole.name}.healthingest-journal")


class UploadJournal:
    """
    The journal of one folder. One process at a time has it open.

    An entry counts only for a file of the same size and time of change.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection

    def __enter__(self) -> Self:
        """
        Open the journal.

        Raises:
            ClientError: it cannot be opened, or another command has it open.
        """
        try:
            self._connection = sqlite3.connect(self._path, timeout=0, isolation_level=None)
        except sqlite3.OperationalError as error:
            message = f"{self._path}: cannot be opened; choose another place with --journal"
            raise ClientError(message) from error
        try:
            # The lock is held until the journal is closed, or the process ends.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("BEGIN EXCLUSIVE")
            self._connection.execute(_TABLE)
            self._connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise ClientError(self._why(error)) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def find(self, destination: Destination, name: str, file: LocalFile) -> Entry:
        """Return what is known of the file *name* in its present state."""
        rows = self._execute(_FIND, *_key(destination, name), file.size_bytes, file.changed_ns)
        return Entry(*rows[0]) if rows else Entry()

    def record(self, destination: Destination, name: str, file: LocalFile, entry: Entry) -> None:
        """Record what is known of the file *name*; it is durable when this returns."""
        key = _key(destination, name)
        values = (file.size_bytes, file.changed_ns, entry.location, entry.upload_id)
        self._execute(_RECORD, *key, *values)

    def _execute(self, statement: str, *values: str | int | None) -> list[tuple[str | None, ...]]:
        """
        Return the rows of a statement.

        Raises:
            ClientError: the journal cannot be read or written.
        """
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise ClientError(self._why(error)) from error

    def _why(self, error: sqlite3.DatabaseError) -> str:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            return f"{self._path}: another `healthingest upload` is at work on this folder"
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            return f"{self._path}: is no journal; remove it, or choose another one with --journal"
        return f"{self._path}: cannot be written; choose another place with --journal"


def _key(destination: Destination, name: str) -> tuple[str, str, str, str]:
    about = destination.about
    return destination.server, about.study or "", about.subject or "", name
