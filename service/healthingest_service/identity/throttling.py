"""Rules of rate limits and login throttling, also for a process without shared counters."""

import math
import re
from dataclasses import dataclass, replace
from typing import Final, Self

_WINDOWS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_RATE: Final = re.compile(r"([1-9][0-9]{0,8})\s*/\s*(second|minute|hour|day)")
LOGINS: Final = "logins"
"""The name of the rule for logins, in responses and metrics."""
GUESSING_DIVISOR: Final = 10
"""
Divides limits of password guesses while processes count alone.

Several processes together must not allow more guesses than with shared counters.
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of requests in a time window."""

    amount: int
    window_seconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Parse a text such as `10/minute`.

        Raises:
            ValueError: *text* is not a number of at least 1, a slash, and a unit: second, minute,
                hour or day.
        """
        match = _RATE.fullmatch(text.strip())
        if match is None:
            message = "must be a rate such as 10/minute (second, minute, hour or day)"
            raise ValueError(message)
        return cls(int(match[1]), _WINDOWS[match[2]])


@dataclass(frozen=True, slots=True)
class Rule:
    """
    A rate limit with its name in responses and metrics.

    `alone_divisor` divides the rate while each process counts alone: 1 if availability matters
    more, `GUESSING_DIVISOR` for limits of password guesses.
    """

    name: str
    rate: Rate
    alone_divisor: int = 1

    def alone(self) -> "Rule":
        """Return the rule for a process that counts alone; at least one request."""
        amount = max(1, self.rate.amount // self.alone_divisor)
        return replace(self, rate=replace(self.rate, amount=amount))


@dataclass(frozen=True, slots=True)
class Decision:
    """
    The result of counting one request.

    `reset_seconds` is the time until the oldest counted request leaves the window.
    """

    rule: Rule
    allowed: bool
    remaining: int
    reset_seconds: float

    @property
    def retry_after_seconds(self) -> int:
        """The value of `Retry-After`: whole seconds, at least 1."""
        return max(1, math.ceil(self.reset_seconds))


@dataclass(frozen=True, slots=True)
class Backoff:
    """
    The delays between logins after failures.

    The first `free_failures` cause no delay. After them, the next attempt is admitted only after a
    delay, which doubles with each failure from `first_delay_seconds` to `max_delay_seconds`.
    """

    free_failures: int
    first_delay_seconds: float
    max_delay_seconds: float

    def delay_seconds(self, failures: int) -> float:
        """Return the delay after an attempt with *failures* before it."""
        if failures < self.free_failures:
            return 0.0
        doublings = min(failures - self.free_failures, 32)  # avoids an overflow
        return min(self.first_delay_seconds * 2.0**doublings, self.max_delay_seconds)

    def alone(self) -> "Backoff":
        """Return the backoff for a process that counts alone."""
        return replace(self, free_failures=max(1, self.free_failures // GUESSING_DIVISOR))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRules:
    """
    The rules for failed logins.

    A device is an account with a client address. It is known after a login or refresh. `account`
    and `address` do not apply to known devices, so wrong passwords of others cannot lock the owner
    out.
    """

    device: Backoff
    account: Backoff
    address: Backoff
    memory_seconds: int
    """Failures are forgotten after this time without another failure."""
    known_device_seconds: int

    def alone(self) -> "LoginRules":
        """Return the rules for a process that counts alone."""
        return replace(
            self,
            device=self.device.alone(),
            account=self.account.alone(),
            address=self.address.alone(),
        )


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """
    A login attempt: e-mail address in its normal form, and client address.

    `email` is empty if the client sent no valid e-mail address.
    """

    email: str
    address: str

    @property
    def device_key(self) -> str:
        """The key of the account at this client address."""
        return f"device:{self.email}|{self.address}"

    @property
    def account_key(self) -> str:
        """The key of the account at any client address."""
        return f"account:{self.email}"

    @property
    def address_key(self) -> str:
        """The key of the client address with any account."""
        return f"address:{self.address}"

    def guards(self, rules: LoginRules, *, is_known: bool) -> tuple[tuple[str, Backoff], ...]:
        """Return the keys that limit this attempt, each with its backoff; the device is first."""
        device = (self.device_key, rules.device)
        if is_known:
            return (device,)
        return (device, (self.account_key, rules.account), (self.address_key, rules.address))
