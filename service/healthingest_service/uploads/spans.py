"""Spans of a trace: the stages of an upload, as far as the use case knows them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Spans(Protocol):
    """Records how long a stage takes, and the type of the error that ends it."""

    def __call__(self, name: str, /) -> AbstractContextManager[None]:
        """Return the context of the stage *name*."""
        ...


@contextmanager
def no_spans(_name: str) -> Iterator[None]:
    """Record nothing."""
    yield
