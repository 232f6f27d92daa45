"""The points of an erasure at which a test ends the process, before or after each step."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, TypeVar, cast

T = TypeVar("T")


class ErasurePoint(StrEnum):
    """Before and after each call of a port, named by its method, in the order of the steps."""

    BEFORE_TAKE = "before take"
    AFTER_TAKE = "after take"
    BEFORE_SUBJECTS = "before subjects"
    AFTER_SUBJECTS = "after subjects"
    BEFORE_PUT = "before put"
    AFTER_PUT = "after put"
    BEFORE_RENEW = "before renew"
    AFTER_RENEW = "after renew"
    BEFORE_BATCH = "before batch"
    AFTER_BATCH = "after batch"
    BEFORE_SECOND_PUT = "before second put"
    AFTER_SECOND_PUT = "after second put"
    BEFORE_SECOND_RECORD = "before second record"
    AFTER_SECOND_RECORD = "after second record"
    BEFORE_ERASE = "before erase"
    AFTER_ERASE = "after erase"
    BEFORE_SECOND_ERASE = "before second erase"
    AFTER_SECOND_ERASE = "after second erase"
    BEFORE_FORGET = "before forget"
    AFTER_FORGET = "after forget"
    BEFORE_SECOND_FORGET = "before second forget"
    AFTER_SECOND_FORGET = "after second forget"
    BEFORE_CLOSE_SUBJECTS = "before close_subjects"
    AFTER_CLOSE_SUBJECTS = "after close_subjects"
    BEFORE_KEYS = "before keys"
    AFTER_KEYS = "after keys"
    BEFORE_REMAINS = "before remains"
    AFTER_REMAINS = "after remains"
    BEFORE_LEFTOVERS = "before leftovers"
    AFTER_LEFTOVERS = "after leftovers"
    BEFORE_FINISH = "before finish"
    AFTER_FINISH = "after finish"


class EndedError(Exception):
    """The end of the process, which no code expects."""


class EndsAt:
    """Ends the process at one point, once."""

    def __init__(self, point: ErasurePoint) -> None:
        words = point.split()
        self._moment = words[0]
        self._method = words[-1]
        self._left = 2 if "second" in words else 1

    def around(self, port: T) -> T:
        """Return *port* with the point in it."""
        return cast("T", _Port(port, self))

    async def passes(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401
        """
        Call the method, and return its result.

        Raises:
            EndedError: at the point.
        """
        if name == self._method:
            self._left -= 1
        is_here = name == self._method and self._left == 0
        if is_here and self._moment == "before":
            raise EndedError
        result = await call()
        if is_here:
            raise EndedError
        return result


class _Port:
    def __init__(self, inner: object, ends: EndsAt) -> None:
        self._inner = inner
        self._ends = ends

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._inner, name)
        return lambda *given, **named: self._ends.passes(name, lambda: method(*given, **named))
