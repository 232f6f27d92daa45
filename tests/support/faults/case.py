"""What a case is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from support.faults.world import World

Act = Callable[[World], Awaitable[bool]]
HIT_SECONDS = 20.0


class CannotError(Exception):
    """
    A case that this machine does not allow; the text says why.

    It is printed and counted, and no failure.
    """


@dataclass(frozen=True)
class Case:
    """
    `act` meets the world with one fault, and says whether it struck.

    Raises `CannotError`. What it finds wrong by itself it adds to `World.wrong`.
    """

    name: str
    act: Act
