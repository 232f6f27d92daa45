"""Rate limits that are counted in this process, without or as a fallback for Redis."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from healthingest_service.identity.throttling import (
    PARTS,
    Charge,
    Decision,
    LoginAttempt,
    LoginRules,
    Rule,
    Unit,
    part_at,
    spending,
)

_MAX_KEYS: Final = 20_000
"""
Maximum number of keys of each kind; a key with few hits needs about 1 KiB.

Above it, the least recently used key is removed.
"""


class MemoryLimiter:
    """
    A rate limiter with a sliding window for each key, in memory.

    *clock* returns seconds and must be monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hits: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
        self._spent: OrderedDict[tuple[str, str], dict[int, int]] = OrderedDict()

    async def count(self, *charges: Charge) -> Sequence[Decision]:
        """See `RateLimiter.count`."""
        decisions = list[Decision]()
        for charge in charges:
            decisions.append(self._decide(charge))
            if not decisions[-1].allowed:
                break
        return decisions

    def _decide(self, charge: Charge) -> Decision:
        if charge.rule.unit is Unit.BYTES:
            return self._spend(charge.rule, charge.key, charge.amount)
        return self._hit(charge.rule, charge.key)

    def _hit(self, rule: Rule, key: str) -> Decision:
        now = self._clock()
        window_seconds = rule.rate.window_seconds
        hits = self._hits.setdefault((rule.name, key), deque())
        self._hits.move_to_end((rule.name, key))
        while hits and hits[0] <= now - window_seconds:
            hits.popleft()
        allowed = len(hits) < rule.rate.amount
        if allowed:
            hits.append(now)
        if len(self._hits) > _MAX_KEYS:
            self._hits.popitem(last=False)
        return Decision(rule, allowed, rule.rate.amount - len(hits), hits[0] + window_seconds - now)

    def _spend(self, rule: Rule, key: str, amount: int) -> Decision:
        now = self._clock()
        current = part_at(rule, now)
        known = self._spent.get((rule.name, key), {})
        spent = {part: size for part, size in known.items() if part >= current - PARTS}
        decision = spending(rule, spent, amount, now_seconds=now)
        if decision.allowed and amount:
            spent[current] = spent.get(current, 0) + amount
        self._spent[rule.name, key] = spent
        self._spent.move_to_end((rule.name, key))
        if len(self._spent) > _MAX_KEYS:
            self._spent.popitem(last=False)
        return decision


@dataclass(slots=True)
class _Failures:
    count: int = 0
    forget_at: float = 0.0
    closed_until: float = 0.0


class MemoryLoginThrottle:
    """Failed logins and known devices in memory. *clock* is monotonic, as in `MemoryLimiter`."""

    def __init__(self, rules: LoginRules, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._known_until: OrderedDict[str, float] = OrderedDict()

    async def admit(self, attempt: LoginAttempt) -> float:
        """See `LoginThrottle.admit`."""
        now = self._clock()
        is_known = self._known_until.get(attempt.device_key, now) > now
        guards = [
            (self._of(key, now), backoff)
            for key, backoff in attempt.guards(self._rules, is_known=is_known)
        ]
        wait_seconds = max(failures.closed_until - now for failures, _ in guards)
        if wait_seconds > 0:
            return wait_seconds
        for failures, backoff in guards:
            failures.closed_until = now + backoff.delay_seconds(failures.count)
        return 0.0

    async def failed(self, attempt: LoginAttempt) -> None:
        """See `LoginThrottle.failed`."""
        now = self._clock()
        for key in (attempt.device_key, attempt.account_key, attempt.address_key):
            failures = self._of(key, now)
            failures.count += 1
            failures.forget_at = now + self._rules.memory_seconds
            self._failures[key] = failures
            self._failures.move_to_end(key)
            if len(self._failures) > _MAX_KEYS:
                self._failures.popitem(last=False)

    async def succeeded(self, attempt: LoginAttempt) -> None:
        """See `LoginThrottle.succeeded`."""
        key = attempt.device_key
        self._failures.pop(key, None)
        self._known_until[key] = self._clock() + self._rules.known_device_seconds
        self._known_until.move_to_end(key)
        if len(self._known_until) > _MAX_KEYS:
            self._known_until.popitem(last=False)

    def _of(self, key: str, now: float) -> _Failures:
        found = self._failures.get(key)
        return _Failures() if found is None or found.forget_at <= now else found
