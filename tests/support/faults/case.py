"""A case of the run."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from support.faults.world import World

Act = Callable[[World], Awaitable[bool]]
HIT_SECONDS = 20.0


class CannotError(Exception):
    """
    A case that is impossible on this machine; the text has the reason.

    It is printed and counted, and is no failure.
    """


@dataclass(frozen=True)
class Case:
    """
    `act` injects one fault, and returns whether it took effect.

    Raises `CannotError`. Errors that it finds itself are added to `World.wrong`.
    """

    name: str
    act: Act
