"""
Fault points, their modes, and the files that arm them.

A file in a folder has the name of its point.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from support.erasure_points import ErasurePoint

VARIABLE: Final = "FAULT_POINTS"
"""The variable with the name of the folder."""
HITS: Final = "hits"


class Point(StrEnum):
    """
    A place in a process where a fault can be injected, in the order of an upload's steps.

    A multipart object passes `between_parts` before its second part, and `after_parts` before its
    completion.
    """

    BEFORE_BODY = "before_body"
    MID_BODY = "mid_body"
    AFTER_SPOOL = "after_spool"
    AFTER_GATE = "after_gate"
    BEFORE_BEGIN = "before_begin"
    AFTER_BEGIN = "after_begin"
    BEFORE_PUT = "before_put"
    MID_PUT = "mid_put"
    BETWEEN_PARTS = "between_parts"
    AFTER_PARTS = "after_parts"
    AFTER_PUT = "after_put"
    BEFORE_COMPLETE = "before_complete"
    AFTER_COMPLETE = "after_complete"
    MID_REPLY = "mid_reply"
    AFTER_REPLY = "after_reply"
    RELAY_AFTER_CLAIM = "relay_after_claim"
    RELAY_BEFORE_PUBLISH = "relay_before_publish"
    RELAY_WHILE_PUBLISHING = "relay_while_publishing"
    RELAY_AFTER_CONFIRM = "relay_after_confirm"
    RELAY_BEFORE_SETTLE = "relay_before_settle"
    RELAY_AFTER_SETTLE = "relay_after_settle"
    JANITOR_AFTER_TAKING = "janitor_after_taking"
    JANITOR_AFTER_HEAD = "janitor_after_head"
    JANITOR_AFTER_COMPLETE = "janitor_after_complete"
    JANITOR_AFTER_ABANDON = "janitor_after_abandon"


class ResumablePoint(StrEnum):
    """
    Before and after each step of a resumable upload, in their order.

    The steps of the whole file that follow the last byte are those of `Point`.
    """

    BEFORE_CREATE = "resumable_before_create"
    AFTER_CREATE = "resumable_after_create"
    BEFORE_TAKE = "resumable_before_take"
    AFTER_TAKE = "resumable_after_take"
    BEFORE_BEGIN_PART = "resumable_before_begin_part"
    AFTER_BEGIN_PART = "resumable_after_begin_part"
    BEFORE_PUT = "resumable_before_put"
    AFTER_PUT = "resumable_after_put"
    BEFORE_ADD_PART = "resumable_before_add_part"
    AFTER_ADD_PART = "resumable_after_add_part"
    BEFORE_RELEASE = "resumable_before_release"
    AFTER_RELEASE = "resumable_after_release"
    BEFORE_STORED_PARTS = "resumable_before_stored_parts"
    AFTER_STORED_PARTS = "resumable_after_stored_parts"
    BEFORE_FINISH = "resumable_before_finish"
    AFTER_FINISH = "resumable_after_finish"


AnyPoint = Point | ErasurePoint | ResumablePoint
POINTS: Final[dict[str, AnyPoint]] = {
    str(point): point for kind in (Point, ErasurePoint, ResumablePoint) for point in kind
}


class Mode(StrEnum):
    """
    The fault at the point.

    After `hang` and `delay` the process continues; a hang is longer than leases and claims.
    """

    KILL = "kill"
    RAISE = "raise"
    HANG = "hang"
    DELAY = "delay"


_SECONDS: Final = {Mode.HANG: 30.0, Mode.DELAY: 0.2}


class FaultInjectedError(Exception):
    """The error of `raise`, which no code expects."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One armed fault. Its text is `point mode [seconds]`."""

    point: AnyPoint
    mode: Mode
    seconds: float

    def __str__(self) -> str:
        return f"{self.point} {self.mode} {self.seconds}"

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """
        Read it back.

        Raises:
            ValueError: no such point or mode.
        """
        point, mode, *seconds = text.split()
        if point not in POINTS:
            message = f"no such point: {point}"
            raise ValueError(message)
        return cls(
            POINTS[point],
            Mode(mode),
            float(seconds[0]) if seconds else _SECONDS.get(Mode(mode), 0.0),
        )


class Faults:
    """
    The faults of the folder, for every process that shares it.

    The first process that reaches a point takes its fault, once. It writes a line to `hits` before
    the fault takes effect, so a test can prove that the point was reached.
    """

    def __init__(self, folder: Path, *, kill: Callable[[], None] | None = None) -> None:
        self._folder = folder
        self._kill = kill or (lambda: os.kill(os.getpid(), signal.SIGKILL))

    async def at(self, point: AnyPoint) -> None:
        """
        Pass *point*, or not.

        Raises:
            FaultInjectedError: as armed.
        """
        fault = self._take(point)
        if fault is not None:
            self._strike(fault)
            await asyncio.sleep(fault.seconds)

    def at_in_thread(self, point: AnyPoint) -> None:
        """
        The same where no event loop runs.

        Raises:
            FaultInjectedError: as armed.
        """
        fault = self._take(point)
        if fault is not None:
            self._strike(fault)
            time.sleep(fault.seconds)

    def _take(self, point: AnyPoint) -> Fault | None:
        armed = self._folder / point
        try:
            fault = Fault.parse(armed.read_text(encoding="ascii"))
            armed.unlink()  # of several processes exactly one succeeds
        except FileNotFoundError:
            return None
        with (self._folder / HITS).open("a", encoding="ascii") as hits:
            hits.write(f"{fault} {os.getpid()}\n")
        return fault

    def _strike(self, fault: Fault) -> None:
        if fault.mode is Mode.KILL:
            self._kill()
        if fault.mode is Mode.RAISE:
            raise FaultInjectedError(fault.point)


def arm(folder: Path, fault: Fault) -> None:
    """Arm *fault*. A reader sees the whole file or none."""
    draft = folder / f"{fault.point}.draft"
    draft.write_text(str(fault), encoding="ascii")
    draft.replace(folder / fault.point)


def disarm(folder: Path) -> None:
    """Remove all armed faults."""
    for point in POINTS:
        (folder / point).unlink(missing_ok=True)


def hits(folder: Path) -> tuple[Fault, ...]:
    """Return the faults that took effect, in their order."""
    try:
        lines = (folder / HITS).read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return ()
    return tuple(Fault.parse(line) for line in lines)
