"""
Statements that each upload executes, without what SQLAlchemy does at each execution.

SQLAlchemy Core is where the statement is written, and compiles it once. asyncpg executes its text
on a connection of the engine's pool, in autocommit mode, and keeps it prepared. See decision 0103.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Final

import asyncpg
from sqlalchemy import ClauseElement, CursorResult, Select, TextualSelect
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.engine import is_postgresql, transaction, turn
from healthingest_service.uploads.errors import LedgerUnavailableError

_PERMANENT_ERRORS: Final = (
    asyncpg.DataError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.SyntaxOrAccessError,
)
"""Errors that occur again when the statement is repeated; they propagate unchanged."""
_UNCLEAR_ERRORS: Final = (
    TimeoutError,
    PoolTimeoutError,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    DBAPIError,  # of a new connection
)
Convert = Callable[[Any], Any]


class Statement:
    """
    A statement that is executed often, each time as a transaction of its own.

    Its parameters are given by name. *clause* has no list that grows with the values (`IN`).
    """

    def __init__(self, clause: ClauseElement) -> None:
        self._clause: Any = clause
        self._compiled: _Compiled | None = None

    async def execute(
        self, engine: AsyncEngine, values: Mapping[str, Any], *, timeout_seconds: float
    ) -> int:
        """
        Execute the statement, and return the number of rows that it changed.

        Raises:
            LedgerUnavailableError: unclear whether it was executed.
        """
        if not is_postgresql(engine):
            return (await self._by_core(engine, values, timeout_seconds, writes=True)).rowcount
        compiled = self._compile(engine.dialect)
        async with _connection(engine, timeout_seconds) as connection:
            status: str = await connection.execute(compiled.text, *compiled.arguments(values))
        return int(status.rpartition(" ")[2])  # such as "INSERT 0 1"

    async def fetch(
        self, engine: AsyncEngine, values: Mapping[str, Any], *, timeout_seconds: float
    ) -> Sequence[Any]:
        """
        Execute the query, and return its rows; columns are attributes.

        Raises:
            LedgerUnavailableError: the database gave no clear answer.
        """
        if not is_postgresql(engine):
            return (await self._by_core(engine, values, timeout_seconds, writes=False)).all()
        compiled = self._compile(engine.dialect)
        async with _connection(engine, timeout_seconds) as connection:
            found = await connection.fetch(compiled.text, *compiled.arguments(values))
        return [compiled.row(record) for record in found]

    async def _by_core(
        self,
        engine: AsyncEngine,
        values: Mapping[str, Any],
        timeout_seconds: float,
        *,
        writes: bool,
    ) -> CursorResult[Any]:
        async with transaction(
            engine, timeout_seconds=timeout_seconds, writes=writes, single=True
        ) as connection:
            return await connection.execute(self._clause, values)

    def _compile(self, dialect: Dialect) -> "_Compiled":
        if self._compiled is None:
            self._compiled = _Compiled(self._clause, dialect)
        return self._compiled


class _Compiled:
    """The text of a statement for asyncpg, and how its values and columns are converted."""

    def __init__(self, clause: Any, dialect: Dialect) -> None:  # noqa: ANN401 - any construct
        compiled = clause.compile(dialect=dialect)
        self.text: Final = str(compiled)
        self._constants: Final = {
            name: bind.effective_value for name, bind in compiled.binds.items() if not bind.required
        }
        self._binds: Final[Sequence[tuple[str, Convert | None]]] = [
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup
        ]
        is_query = isinstance(clause, Select | TextualSelect)
        columns = list(clause.selected_columns) if is_query else []
        self._columns: Final[Sequence[tuple[str, Convert | None]]] = [
            (one.name, one.type.dialect_impl(dialect).result_processor(dialect, None))
            for one in columns
        ]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the values by position; those that the clause has itself come from it."""
        given = {**self._constants, **values}
        return [
            given[name] if convert is None else convert(given[name])
            for name, convert in self._binds
        ]

    def row(self, record: asyncpg.Record) -> Any:  # noqa: ANN401 - columns differ
        """Return a row with the columns as attributes."""
        found = zip(self._columns, record, strict=True)
        return SimpleNamespace(
            **{
                name: value if convert is None else convert(value)
                for (name, convert), value in found
            }
        )


@asynccontextmanager
async def _connection(engine: AsyncEngine, timeout_seconds: float) -> AsyncIterator[Any]:
    """
    Lend a connection of the pool for one statement, within a deadline.

    Raises:
        LedgerUnavailableError: unclear whether the statement was executed.
    """
    try:
        async with asyncio.timeout(timeout_seconds), turn(engine):
            pooled = await engine.raw_connection()
            try:
                yield pooled.driver_connection
            except asyncpg.PostgresError:  # the server has answered
                raise
            except BaseException:
                pooled.invalidate()  # the statement may still run on it
                raise
            finally:
                pooled.close()
    except _PERMANENT_ERRORS:
        raise
    except _UNCLEAR_ERRORS as error:
        raise LedgerUnavailableError from error
