"""
The keys and endpoints of one identity provider, kept in memory.

Requests wait for the provider only if no usable key is known. A provider that is away does no harm
as long as its keys are not too old, and requests with invented key ids cannot flood it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from healthingest_service.identity.errors import ProviderUnavailableError
from healthingest_service.identity.oidc import Endpoints, ProviderKeys, VerificationKey


@dataclass(frozen=True, slots=True)
class KeyAges:
    """
    When keys are fetched again, in seconds.

    `fresh`: they are used without asking. Until `usable` they are used while new ones are fetched.
    `between`: the shortest time between two requests to the provider.
    """

    fresh: float = 300.0
    usable: float = 86_400.0
    between: float = 2.0


class KeyCache:
    """
    The keys that *fetch* returns; concurrent requests share one fetch.

    *fetch* raises `ProviderUnavailableError`, and has a deadline of its own.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[ProviderKeys]],
        *,
        clock: Callable[[], float],
        ages: KeyAges | None = None,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._ages = ages or KeyAges()
        self._keys: ProviderKeys | None = None
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._failed = False
        self._running: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None) -> tuple[VerificationKey, frozenset[str]] | None:
        """
        Return the key with *key_id* and its algorithms, or None if the provider has no such key.

        Raises:
            ProviderUnavailableError: the provider does not answer, and the key is not known.
        """
        known = self._in_memory(key_id)
        if known is not None:
            if self._age() > self._ages.fresh and self._may_ask():
                self._begin()
            return known
        await self._ask()
        if self._failed or self._keys is None:
            raise ProviderUnavailableError
        return self._keys.find(key_id)

    async def endpoints(self) -> Endpoints:
        """
        Return the endpoints of the provider.

        Raises:
            ProviderUnavailableError: the provider does not answer, or nobody can sign in there.
        """
        if self._keys is None or self._age() > self._ages.usable:
            await self._ask()
        elif self._age() > self._ages.fresh and self._may_ask():
            self._begin()
        keys = self._keys
        if keys is None or keys.endpoints is None or self._age() > self._ages.usable:
            raise ProviderUnavailableError
        return keys.endpoints

    async def check(self) -> None:
        """
        Check the provider; it is asked only if the keys are not fresh.

        Raises:
            ProviderUnavailableError: the last answer is missing or unusable.
        """
        if self._age() > self._ages.fresh:
            await self._ask()
        if self._failed:
            raise ProviderUnavailableError

    async def close(self) -> None:
        """End a running fetch."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    def _in_memory(self, key_id: str | None) -> tuple[VerificationKey, frozenset[str]] | None:
        """Return the key if it is in memory, and not too old to be used."""
        if self._keys is None or self._age() > self._ages.usable:
            return None
        return self._keys.find(key_id)

    async def _ask(self) -> None:
        """Wait for the running fetch, else for a new one if the provider may be asked now."""
        if self._running is not None or self._may_ask():
            await asyncio.shield(self._running or self._begin())

    def _may_ask(self) -> bool:
        return self._running is None and self._clock() - self._tried_at >= self._ages.between

    def _begin(self) -> asyncio.Task[None]:
        self._tried_at = self._clock()
        self._running = asyncio.create_task(self._refresh())
        return self._running

    async def _refresh(self) -> None:
        try:
            self._keys = await self._fetch()
        except ProviderUnavailableError:
            self._failed = True
        else:
            self._failed = False
            self._fetched_at = self._clock()
        finally:
            self._running = None
