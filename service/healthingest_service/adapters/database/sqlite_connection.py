"""Connections to SQLite whose cursors are closed when a statement fails."""

import sqlite3
from collections.abc import Iterable
from typing import Any, Self

from typing_extensions import override


class _Cursor(sqlite3.Cursor):
    @override
    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        try:
            return super().execute(sql, parameters)
        except sqlite3.Error:
            self.close()
            raise

    @override
    def executemany(self, sql: str, rows: Iterable[Any], /) -> Self:
        try:
            return super().executemany(sql, rows)
        except sqlite3.Error:
            self.close()
            raise


class ClosingConnection(sqlite3.Connection):
    """
    Closes a cursor when its statement fails, in the thread of the connection.

    SQLAlchemy leaves such a cursor to the garbage collector, which may run in the thread of the
    event loop while the connection waits for the lock of another one. To free the cursor it waits
    for the connection and holds the interpreter lock: nobody can release the other lock, and all
    requests stand still until SQLite gives up.
    """

    # mypy: callers here give no class of cursors
    @override
    def cursor(self) -> sqlite3.Cursor:  # type: ignore[override]
        return super().cursor(_Cursor)
