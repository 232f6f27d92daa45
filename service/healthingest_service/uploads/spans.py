"""The port for the spans of a trace: the use case names the stages of an upload."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Spans(Protocol):
    """Records how long a stage takes, and the type of the error that ends it."""

    def __call__(self, name: str, /) -> AbstractContextManager[None]:
        """Return a context that records the stage *name*."""
        ...


@contextmanager
def no_spans(_name: str) -> Iterator[None]:
    """Record nothing."""
    yield
