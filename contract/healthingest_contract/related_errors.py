"""Walks from an error to the errors that it came from."""

from collections.abc import Iterator
from typing import Final

_MAX_ERRORS: Final = 20


def related_errors(error: BaseException, *attributes: str) -> Iterator[BaseException]:
    """
    Yield *error*, its causes and contexts, and the members of groups; at most 20 errors.

    *attributes* are names under which libraries keep the original error, such as `os_error`.
    """
    waiting = [error]
    for _ in range(_MAX_ERRORS):
        if not waiting:
            return
        one = waiting.pop(0)
        yield one
        inner = (one.__cause__, one.__context__, *(getattr(one, name, None) for name in attributes))
        waiting += [other for other in inner if isinstance(other, BaseException)]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
