"""Counts the cost of validating a file; it is the same on every machine, whatever its load."""

import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from avrogate import Code, Gate, Policy, RefusedError, Work

CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Cost:
    """
    `calls` counts calls of interpreted functions and of libraries.

    `peak_bytes` is the largest allocation at any time.
    """

    code: Code | None
    work: Work
    calls: int = 0
    peak_bytes: int = 0


def calls_of(file: bytes) -> Cost:
    """Return the cost in calls, with the last finding's code."""
    with _counted() as counter:
        code, work = work_of(file)
    return Cost(code, work, calls=counter.calls)


def memory_of(file: bytes) -> Cost:
    """Return the peak of bytes from Python's allocators, in addition to the file."""
    tracemalloc.start()
    try:
        code, work = work_of(file)
        return Cost(code, work, peak_bytes=tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def work_of(file: bytes, policy: Policy | None = None) -> tuple[Code | None, Work]:
    """Return the last finding's code, or None for a valid file, and the gate's own count."""
    gate = Gate(policy or Policy())
    code = None
    try:
        for start in range(0, len(file), CHUNK_BYTES):
            gate.feed(file[start : start + CHUNK_BYTES])
        gate.finish()
    except RefusedError as refused:
        code = refused.findings[-1].code
    return code, gate.work()


class _Counter:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _frame: FrameType, event: str, _argument: object) -> None:
        if event in {"call", "c_call"}:
            self.calls += 1


@contextmanager
def _counted() -> Iterator[_Counter]:
    before = sys.getprofile()
    counter = _Counter()
    sys.setprofile(counter)
    try:
        yield counter
    finally:
        sys.setprofile(before)
