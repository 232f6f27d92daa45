"""Rules of rate limits and login throttling, also for a process without shared counters."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self

_WINDOWS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_RATE: Final = re.compile(r"([1-9][0-9]{0,8})\s*/\s*(second|minute|hour|day)")
LOGINS: Final = "logins"
"""The name of the rule for logins, in responses and metrics."""
PARTS: Final = 24
"""
Amounts are counted in so many parts of the window, so the memory for a key does not grow.

An amount leaves the window with its whole part: at most one part too late, never too early.
"""
GUESSING_DIVISOR: Final = 10
"""
Divides limits of password guesses while processes count alone.

Several processes together must not allow more guesses than with shared counters.
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of requests, or of bytes, in a time window."""

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


class Unit(StrEnum):
    """What a rule counts, in words of draft-ietf-httpapi-ratelimit-headers-10."""

    REQUESTS = "requests"
    BYTES = "content-bytes"


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
    unit: Unit = Unit.REQUESTS

    def alone(self) -> "Rule":
        """Return the rule for a process that counts alone; at least one request."""
        amount = max(1, self.rate.amount // self.alone_divisor)
        return replace(self, rate=replace(self.rate, amount=amount))


@dataclass(frozen=True, slots=True)
class Charge:
    """
    An amount of a key that is counted against a rule.

    A rule of requests counts 1. A rule of bytes counts `amount` bytes; 0 asks whether any remain.
    """

    rule: Rule
    key: str
    amount: int = 1

    def alone(self) -> "Charge":
        """Return the charge for a process that counts alone."""
        return replace(self, rule=self.rule.alone())


@dataclass(frozen=True, slots=True)
class Decision:
    """
    The result of counting one charge.

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


def part_at(rule: Rule, now_seconds: float) -> int:
    """Return the number of the part in which an amount is counted now."""
    return math.floor(now_seconds * PARTS / rule.rate.window_seconds)


def spending(rule: Rule, spent: Mapping[int, int], amount: int, *, now_seconds: float) -> Decision:
    """
    Decide whether *amount* remains; 0 asks whether anything does.

    *spent* has the amounts in the window by their part. `reset_seconds` is the time until *amount*
    remains if it is refused, else until the oldest amount leaves the window.
    """
    left = rule.rate.amount - sum(spent.values())
    missing = max(amount, 1) - left
    if missing <= 0:
        oldest = min(spent, default=part_at(rule, now_seconds))
        reset_seconds = _until_gone(rule, oldest, now_seconds)
        return Decision(rule, allowed=True, remaining=left - amount, reset_seconds=reset_seconds)
    last = part_at(rule, now_seconds)
    for part in sorted(spent):
        last = part
        missing -= spent[part]
        if missing <= 0:
            break
    reset_seconds = _until_gone(rule, last, now_seconds)
    return Decision(rule, allowed=False, remaining=max(left, 0), reset_seconds=reset_seconds)


def _until_gone(rule: Rule, part: int, now_seconds: float) -> float:
    return (part + PARTS + 1) * rule.rate.window_seconds / PARTS - now_seconds


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
