"""Rows of two studies in every table, and what transactions for a study have executed."""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import uuid4

from asyncpg.connection import LoggedQuery
from sqlalchemy import Column, Table, event, insert, text
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from healthingest_service.adapters.database.tables import Base
from support.uploads import NOON

STUDIES: Final = ("study-a", "study-b")
STATES: Final = {
    "study": "open",
    "subject": "active",
    "upload": "stored",
    "upload_outcome": "processed",
    "resumable_upload": "receiving",
    "erasure": "done",
}
_TABLE: Final = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(\w+)")
_ENTRY: Final = "healthingest.study"


def study_column(table: Table) -> str | None:
    """Return the column that names the study of a row; None: rows of *table* have no study."""
    if table.name == "study":
        return "slug"
    return "study" if "study" in table.c else None


def of_studies() -> dict[str, str]:
    """Return the tables whose rows have a study, with its column, as the code declares them."""
    tables = Base.metadata.sorted_tables
    return {table.name: name for table in tables if (name := study_column(table)) is not None}


async def fill(connection: AsyncConnection, names: Collection[str] | None = None) -> None:
    """Insert a row for each of two studies into these tables, or all, as a superuser."""
    # Neither foreign keys nor triggers: a row of a table needs none of another one.
    await connection.execute(text("SET LOCAL session_replication_role = replica"))
    tables = Base.metadata.tables
    wanted = of_studies()
    for name in wanted if names is None else names:
        for study in STUDIES:
            values = _values(tables[name], connection.dialect) | {wanted[name]: study}
            await connection.execute(insert(tables[name]).values(values))


def _values(table: Table, dialect: Dialect) -> dict[str, Any]:
    values = {one.name: _value(one, dialect) for one in table.c if _is_needed(one)}
    return values | ({"state": STATES[table.name]} if "state" in table.c else {})


def _is_needed(column: Column[Any]) -> bool:
    return not column.nullable and column.server_default is None and column.name != "number"


def _value(column: Column[Any], dialect: Dialect) -> object:
    words = str(column.type.compile(dialect))  # e.g. VARCHAR(16)
    values: dict[str, object] = {
        "VARCHAR": uuid4().hex[:16],
        "TEXT": uuid4().hex,
        "UUID": uuid4(),
        "TIMESTAMP": NOON,
        "BIGINT": 1,
        "BOOLEAN": False,
    }
    return values[words.partition(" ")[0].partition("(")[0]]


class Executed(NamedTuple):
    """A statement, and the study to which its transaction was restricted; None: to none."""

    study: str | None
    statement: str
    parameters: Any


@dataclass
class StudyTransactions:
    """
    Notes each statement of an engine, except those that restrict a transaction.

    SQLAlchemy does not see what `Statement` executes; asyncpg tells of it.
    """

    seen: list[Executed] = field(default_factory=list)

    def listen(self, engine: AsyncEngine) -> None:
        """Note everything from now on."""

        @event.listens_for(engine.sync_engine, "begin")
        # ANN401: as SQLAlchemy calls it
        def _begin(connection: Any) -> None:  # noqa: ANN401
            connection.info["study"] = None

        def note(query: LoggedQuery) -> None:
            self.seen.append(Executed(None, query.query, query.args))

        @event.listens_for(engine.sync_engine, "checkout")
        # ANN401: as SQLAlchemy calls it
        def _listen(pooled: Any, _record: object, _proxy: object) -> None:  # noqa: ANN401
            pooled.driver_connection.add_query_logger(note)

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def _note(
            connection: Any,  # noqa: ANN401
            _cursor: Any,  # noqa: ANN401
            statement: str,
            parameters: Any,  # noqa: ANN401
            _context: Any,  # noqa: ANN401
            many: bool,  # noqa: FBT001
        ) -> None:
            first = parameters[0] if many else parameters
            if _ENTRY in statement:
                (connection.info["study"],) = first
            else:
                self.seen.append(Executed(connection.info["study"], statement, first))

    def take(self) -> list[Executed]:
        """Return what was seen, and forget it."""
        taken = self.seen[:]
        self.seen.clear()
        return taken


def tables_in(statement: str) -> frozenset[str]:
    """Return the tables of studies that a statement names."""
    return frozenset(_TABLE.findall(statement)) & of_studies().keys()


def shown(statements: Iterable[str]) -> str:
    """Return statements for a message of a failed test."""
    return json.dumps(sorted(set(statements)), indent=1)
