"""The points of an erasure at which a fault is injected, before or after each step."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

T = TypeVar("T")
_SECOND = "second_"


class ErasurePoint(StrEnum):
    """Before and after each call of a port, named by its method, in the order of the steps."""

    BEFORE_TAKE = "before_take"
    AFTER_TAKE = "after_take"
    BEFORE_SUBJECTS = "before_subjects"
    AFTER_SUBJECTS = "after_subjects"
    BEFORE_PUT = "before_put"
    AFTER_PUT = "after_put"
    BEFORE_RENEW = "before_renew"
    AFTER_RENEW = "after_renew"
    BEFORE_BATCH = "before_batch"
    AFTER_BATCH = "after_batch"
    BEFORE_SECOND_PUT = "before_second_put"
    AFTER_SECOND_PUT = "after_second_put"
    BEFORE_SECOND_RECORD = "before_second_record"
    AFTER_SECOND_RECORD = "after_second_record"
    BEFORE_ERASE = "before_erase"
    AFTER_ERASE = "after_erase"
    BEFORE_SECOND_ERASE = "before_second_erase"
    AFTER_SECOND_ERASE = "after_second_erase"
    BEFORE_FORGET = "before_forget"
    AFTER_FORGET = "after_forget"
    BEFORE_SECOND_FORGET = "before_second_forget"
    AFTER_SECOND_FORGET = "after_second_forget"
    BEFORE_CLOSE_SUBJECTS = "before_close_subjects"
    AFTER_CLOSE_SUBJECTS = "after_close_subjects"
    BEFORE_KEYS = "before_keys"
    AFTER_KEYS = "after_keys"
    BEFORE_REMAINS = "before_remains"
    AFTER_REMAINS = "after_remains"
    BEFORE_LEFTOVERS = "before_leftovers"
    AFTER_LEFTOVERS = "after_leftovers"
    BEFORE_FINISH = "before_finish"
    AFTER_FINISH = "after_finish"


class EndedError(Exception):
    """The end of the process, which no code expects."""


class EndsAt:
    """
    Ends the process at one point, once: no later call of its ports has an effect.

    A point is `before_` or `after_`, `second_` if the first call passes, and the method.
    """

    def __init__(self, point: str) -> None:
        self._moment, _, step = point.partition("_")
        self._method = step.removeprefix(_SECOND)
        self._left = 2 if step.startswith(_SECOND) else 1
        self.has_ended = False

    def around(self, port: T) -> T:
        """Return *port* with the point in it."""
        return cast("T", _Port(port, self))

    async def passes(self, name: str, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401
        """
        Call the method, and return its result.

        Raises:
            EndedError: at the point.
        """
        if self.has_ended:
            raise EndedError
        if name == self._method:
            self._left -= 1
        is_here = name == self._method and self._left == 0
        if is_here and self._moment == "before":
            self.has_ended = True
            raise EndedError
        result = await call()
        if is_here:
            self.has_ended = True
            raise EndedError
        return result


class _Port:
    def __init__(self, inner: object, ends: EndsAt) -> None:
        self._inner = inner
        self._ends = ends

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._inner, name)
        if not iscoroutinefunction(method):  # a generator, or a value
            return method  # type: ignore[no-any-return] # whatever it is
        return lambda *given, **named: self._ends.passes(name, lambda: method(*given, **named))
