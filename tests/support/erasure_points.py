"""The points of an erasure at which a fault is injected, before or after each step."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

T = TypeVar("T")
PREFIX = "erasure_"
"""Of all points, so that none has the name of a point of an upload."""
_SECOND = "second_"


class ErasurePoint(StrEnum):
    """Before and after each call of a port, named by its method, in the order of the steps."""

    BEFORE_TAKE = "erasure_before_take"
    AFTER_TAKE = "erasure_after_take"
    BEFORE_SUBJECTS = "erasure_before_subjects"
    AFTER_SUBJECTS = "erasure_after_subjects"
    BEFORE_PUT = "erasure_before_put"
    AFTER_PUT = "erasure_after_put"
    BEFORE_RENEW = "erasure_before_renew"
    AFTER_RENEW = "erasure_after_renew"
    BEFORE_BATCH = "erasure_before_batch"
    AFTER_BATCH = "erasure_after_batch"
    BEFORE_SECOND_PUT = "erasure_before_second_put"
    AFTER_SECOND_PUT = "erasure_after_second_put"
    BEFORE_SECOND_RECORD = "erasure_before_second_record"
    AFTER_SECOND_RECORD = "erasure_after_second_record"
    BEFORE_ERASE = "erasure_before_erase"
    AFTER_ERASE = "erasure_after_erase"
    BEFORE_SECOND_ERASE = "erasure_before_second_erase"
    AFTER_SECOND_ERASE = "erasure_after_second_erase"
    BEFORE_FORGET = "erasure_before_forget"
    AFTER_FORGET = "erasure_after_forget"
    BEFORE_SECOND_FORGET = "erasure_before_second_forget"
    AFTER_SECOND_FORGET = "erasure_after_second_forget"
    BEFORE_CLOSE_SUBJECTS = "erasure_before_close_subjects"
    AFTER_CLOSE_SUBJECTS = "erasure_after_close_subjects"
    BEFORE_KEYS = "erasure_before_keys"
    AFTER_KEYS = "erasure_after_keys"
    BEFORE_REMAINS = "erasure_before_remains"
    AFTER_REMAINS = "erasure_after_remains"
    BEFORE_LEFTOVERS = "erasure_before_leftovers"
    AFTER_LEFTOVERS = "erasure_after_leftovers"
    BEFORE_FINISH = "erasure_before_finish"
    AFTER_FINISH = "erasure_after_finish"


class EndedError(Exception):
    """The end of the process, which no code expects."""


class EndsAt:
    """
    Ends the process at one point, once: no later call of its ports has an effect.

    After the prefix a point is `before_` or `after_`, `second_` if the first call passes, and the
    method.
    """

    def __init__(self, point: str) -> None:
        self._moment, _, step = point.removeprefix(PREFIX).partition("_")
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
