"""The keys of an identity provider in memory: when the provider is asked, and by whom."""

import asyncio
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from healthingest_service.identity.errors import ProviderUnavailableError
from healthingest_service.identity.key_cache import KeyAges, KeyCache
from healthingest_service.identity.oidc import ProviderKeys

AGES = KeyAges(fresh=300, usable=3600, between=10)
KEY = Ed25519PrivateKey.generate().public_key(), frozenset({"EdDSA"})


@dataclass
class Provider:
    """A provider with a clock: `ids` are its keys, `away` makes it fail, `gate` delays it."""

    ids: tuple[str, ...] = ("one",)
    away: bool = False
    seconds: float = 1000.0
    fetches: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def fetch(self) -> ProviderKeys:
        """Return the keys."""
        self.fetches += 1
        self.asked.set()
        await self.gate.wait()
        if self.away:
            raise ProviderUnavailableError
        return ProviderKeys(dict.fromkeys(self.ids, KEY))

    def cache(self) -> KeyCache:
        """Return a new cache of this provider's keys."""
        return KeyCache(self.fetch, clock=lambda: self.seconds, ages=AGES)


async def test_concurrent_requests_share_one_fetch() -> None:
    """Later requests within the fresh time ask nothing."""
    provider = Provider()
    provider.gate.clear()
    cache = provider.cache()
    waiting = [asyncio.create_task(cache.find("one")) for _ in range(20)]
    await provider.asked.wait()
    provider.gate.set()
    assert await asyncio.gather(*waiting) == [KEY] * 20
    provider.seconds += AGES.fresh
    assert await cache.find("one") == KEY
    assert provider.fetches == 1


async def test_a_cancelled_request_cancels_no_other() -> None:
    """The fetch continues for those that wait."""
    provider = Provider()
    provider.gate.clear()
    cache = provider.cache()
    first, second = (asyncio.create_task(cache.find("one")) for _ in range(2))
    await provider.asked.wait()
    first.cancel()
    provider.gate.set()
    assert await second == KEY
    assert provider.fetches == 1


async def test_old_keys_are_used_while_new_ones_are_fetched() -> None:
    """No request waits for the provider then, and one that is away does no harm."""
    provider = Provider()
    cache = provider.cache()
    await cache.find("one")
    provider.seconds += AGES.fresh + 1
    provider.gate.clear()
    assert await cache.find("one") == KEY
    await asyncio.sleep(0)
    assert provider.fetches == 2
    provider.away = True
    provider.gate.set()
    with pytest.raises(ProviderUnavailableError):
        await cache.check()
    assert await cache.find("one") == KEY
    assert provider.fetches == 2


async def test_too_old_keys_are_not_used() -> None:
    """Then requests wait for the provider, and fail while it is away."""
    provider = Provider()
    cache = provider.cache()
    await cache.find("one")
    provider.seconds += AGES.usable + 1
    provider.away = True
    for _ in range(3):
        with pytest.raises(ProviderUnavailableError):
            await cache.find("one")
    assert provider.fetches == 2
    provider.away = False
    provider.seconds += AGES.between
    assert await cache.find("one") == KEY


async def test_a_new_key_is_found_at_once() -> None:
    """The first token of a new key fetches the keys again; the old one is no longer known."""
    provider = Provider()
    cache = provider.cache()
    await cache.find("one")
    provider.ids = ("two",)
    provider.seconds += AGES.between
    assert await cache.find("two") == KEY
    assert await cache.find("one") is None


async def test_invented_key_ids_cannot_flood_the_provider() -> None:
    """It is asked once in the shortest time between two requests."""
    provider = Provider()
    cache = provider.cache()
    await cache.find("one")
    for number in range(100):
        assert await cache.find(f"invented {number}") is None
    assert provider.fetches == 1
    provider.seconds += AGES.between
    await asyncio.gather(*(cache.find(f"invented {number}") for number in range(100)))
    assert provider.fetches == 2


async def test_a_provider_that_is_away_from_the_start() -> None:
    """No token can be verified, so the error is that of an unavailable service."""
    provider = Provider(away=True)
    cache = provider.cache()
    for _ in range(5):
        with pytest.raises(ProviderUnavailableError):
            await cache.find("one")
    assert provider.fetches == 1


async def test_closing_ends_a_running_fetch() -> None:
    """Nothing is left behind."""
    provider = Provider()
    provider.gate.clear()
    cache = provider.cache()
    waiting = asyncio.create_task(cache.find("one"))
    await provider.asked.wait()
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
