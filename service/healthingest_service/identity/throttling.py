"""Rules of rate limiting: what a limit says, and what a process that counts alone makes of it."""

import math
import re
from dataclasses import dataclass, replace
from typing import Final, Self

_WINDOWS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_RATE: Final = re.compile(r"([1-9][0-9]{0,8})\s*/\s*(second|minute|hour|day)")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so long a window."""

    amount: int
    window_seconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read e.g. `10/minute`.

        Raises:
            ValueError: not a number of 1 or more, a slash, and second, minute, hour or day.
        """
        match = _RATE.fullmatch(text.strip())
        if match is None:
            message = "a rate is written as 10/minute (second, minute, hour or day)"
            raise ValueError(message)
        return cls(int(match[1]), _WINDOWS[match[2]])


@dataclass(frozen=True, slots=True)
class Rule:
    """
    A rate with the name that answers and metrics give it.

    `alone_divisor` divides the rate while each process counts alone: 1 where being available matters more, 10 where
    somebody guesses passwords.
    """

    name: str
    rate: Rate
    alone_divisor: int = 1

    def alone(self) -> "Rule":
        """The rule of a process that counts alone; never less than one request."""
        amount = max(1, self.rate.amount // self.alone_divisor)
        return replace(self, rate=replace(self.rate, amount=amount))


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one hit. `reset_seconds` is when room appears again, at most the window."""

    rule: Rule
    allowed: bool
    remaining: int
    reset_seconds: float

    @property
    def retry_after_seconds(self) -> int:
        """Whole seconds, at least one: for `Retry-After`."""
        return max(1, math.ceil(self.reset_seconds))
