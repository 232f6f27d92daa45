"""Rules of rate limiting: what a limit says, and what a process that counts alone makes of it."""

import math
import re
from dataclasses import dataclass, replace
from typing import Final, Self

_WINDOWS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_RATE: Final = re.compile(r"([1-9][0-9]{0,8})\s*/\s*(second|minute|hour|day)")
LOGINS: Final = "logins"
"""The name of the rule of logins, in answers and metrics."""
GUESSING_DIVISOR: Final = 10
"""A process that counts alone is one of several: together they must not allow more guesses."""


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

    `alone_divisor` divides the rate while each process counts alone: 1 where being available
    matters more, 10 where somebody guesses passwords.
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


@dataclass(frozen=True, slots=True)
class Backoff:
    """
    How failed logins slow down the next ones.

    The first `free_failures` cost nothing. After them one attempt is admitted at a time, and the
    next one only after a delay that doubles with each failure, from `first_delay_seconds` to
    `max_delay_seconds`.
    """

    free_failures: int
    first_delay_seconds: float
    max_delay_seconds: float

    def delay_seconds(self, failures: int) -> float:
        """The pause after an attempt that had *failures* before it; 0 while they are free."""
        if failures < self.free_failures:
            return 0.0
        doublings = min(failures - self.free_failures, 32)  # more would only overflow
        return min(self.first_delay_seconds * 2.0**doublings, self.max_delay_seconds)

    def alone(self) -> "Backoff":
        """The backoff of a process that counts alone."""
        return replace(self, free_failures=max(1, self.free_failures // GUESSING_DIVISOR))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRules:
    """
    What is counted when logins fail, and for how long.

    A device is an account at an address. `account` and `address` do not apply to a known device,
    one that has logged in or refreshed before: somebody else's wrong passwords must not keep the
    owner out.
    """

    device: Backoff
    account: Backoff
    address: Backoff
    memory_seconds: int
    """A failure is forgotten when no other followed for so long."""
    known_device_seconds: int

    def alone(self) -> "LoginRules":
        """The rules of a process that counts alone."""
        return replace(
            self,
            device=self.device.alone(),
            account=self.account.alone(),
            address=self.address.alone(),
        )


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """
    Who tries to log in, and from where.

    The normal form of the e-mail address, and the client's address.
    """

    email: str
    address: str

    @property
    def device_key(self) -> str:
        """The account at this address."""
        return f"device:{self.email}|{self.address}"

    @property
    def account_key(self) -> str:
        """The account, wherever it is tried from."""
        return f"account:{self.email}"

    @property
    def address_key(self) -> str:
        """The address, whichever account it tries."""
        return f"address:{self.address}"

    def guards(self, rules: LoginRules, *, is_known: bool) -> tuple[tuple[str, Backoff], ...]:
        """The keys that are counted for this attempt, each with its backoff."""
        device = (self.device_key, rules.device)
        if is_known:
            return (device,)
        return (device, (self.account_key, rules.account), (self.address_key, rules.address))
