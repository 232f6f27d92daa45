"""
Why the database ends a process.

By PostgreSQL's error codes and types along the chain, never by a text.
"""

from collections.abc import Iterator
from typing import Final

from alembic.util import CommandError

from healthingest_contract.stop_causes import StopCause
from healthingest_service.uploads.errors import LedgerUnavailableError

_BY_STATE: Final = {
    "25006": StopCause.DATABASE_READ_ONLY,
    "28P01": StopCause.DATABASE_LOGIN_REFUSED,
    "28000": StopCause.DATABASE_LOGIN_REFUSED,
    "3D000": StopCause.DATABASE_MISSING,
    "42501": StopCause.DATABASE_PERMISSION_DENIED,
    "53300": StopCause.DATABASE_CONNECTION_LIMIT,
    "53100": StopCause.DATABASE_FULL,
    "55P03": StopCause.DATABASE_LOCKED,
    "57014": StopCause.DATABASE_LOCKED,
}
"""
Source: PostgreSQL documentation, "PostgreSQL Error Codes".

57014 is a statement that ran out of its time.
"""
_OF_OBJECTS: Final = "42"
"""Class 42: a table or column that is there already, or is not there."""
_LONGEST_CHAIN: Final = 20


def database_cause(error: BaseException) -> StopCause | None:
    """The cause; None: it is none of the database's."""
    chain = list(_chain(error))
    states = [str(state) for one in chain if (state := getattr(one, "sqlstate", None))]
    known = next((_BY_STATE[state] for state in states if state in _BY_STATE), None)
    if known is not None:
        return known
    if any(isinstance(one, CommandError) for one in chain):
        return StopCause.SCHEMA_UNKNOWN
    if any(state.startswith(_OF_OBJECTS) for state in states):
        return StopCause.SCHEMA_DIFFERS
    if any(isinstance(one, LedgerUnavailableError) for one in chain):
        return StopCause.DATABASE_UNREACHABLE
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """With what it was raised from, what SQLAlchemy keeps inside, and every error of a group."""
    waiting = [error]
    count = 0
    while waiting and count < _LONGEST_CHAIN:
        one = waiting.pop(0)
        count += 1
        yield one
        inner = (one.__cause__, one.__context__, getattr(one, "orig", None))
        waiting += [other for other in inner if isinstance(other, BaseException)]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
