"""The cache of device tokens: how soon a revocation is noticed, and how often it is asked for."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from healthingest_service.identity.device_access import DeviceTokens
from healthingest_service.identity.device_tokens import (
    DeviceToken,
    DeviceTokenId,
    new_device_token,
)
from healthingest_service.identity.errors import IdentityUnavailableError, InvalidTokenError
from healthingest_service.identity.model import AccountId, Scope

NOON = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
CACHE = timedelta(seconds=5)
TEXT = new_device_token()
TOKEN = DeviceToken(
    id=DeviceTokenId(UUID(int=1)),
    account_id=AccountId(UUID(int=2)),
    name="watch",
    scopes=frozenset({Scope.UPLOAD_WRITE}),
    created_at=NOON,
    expires_at=NOON + timedelta(days=1),
)


@dataclass
class Store:
    """Has one token; `finds` counts lookups, `gate` delays them, `uses` has what was noted."""

    token: DeviceToken | None = TOKEN
    finds: int = 0
    uses: list[datetime] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    now: datetime = NOON
    is_away: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    async def find(self, _: str) -> DeviceToken | None:
        """Return the token, as it was before the delay."""
        self.finds += 1
        found = self.token
        self.asked.set()
        await self.gate.wait()
        if self.is_away:
            raise IdentityUnavailableError
        return found

    async def note_use(self, _: DeviceTokenId, hour: datetime) -> None:
        """Note the hour, or fail."""
        self.uses.append(hour)
        raise IdentityUnavailableError

    def tokens(self) -> DeviceTokens:
        """Return new use cases."""
        # the other methods of the store are not called here
        return DeviceTokens(self, cache=CACHE, clock=lambda: self.now)  # type: ignore[arg-type]


async def test_a_known_token_asks_nothing() -> None:
    """Until the cache's time is over; a use is noted, and a failure to note it does no harm."""
    store = Store()
    tokens = store.tokens()
    for _ in range(3):
        principal = await tokens.authenticate(TEXT)
    assert (principal.account_id, principal.is_device) == (TOKEN.account_id, True)
    assert store.finds == 1
    assert store.uses == [NOON.replace(minute=0)]
    store.now += CACHE
    await tokens.authenticate(TEXT)
    assert store.finds == 2


async def test_a_used_token_is_noted_once_an_hour() -> None:
    """So that a device that uploads often does not write each time."""
    store = Store(replace(TOKEN, last_used_at=NOON.replace(minute=0)))
    tokens = store.tokens()
    await tokens.authenticate(TEXT)
    assert store.uses == []
    store.now += timedelta(hours=1)
    await tokens.authenticate(TEXT)
    assert store.uses == [NOON.replace(hour=13, minute=0)]


@pytest.mark.parametrize("hears", [True, False])
async def test_a_revocation_elsewhere_is_noticed(*, hears: bool) -> None:
    """At the next request after the notification, and without one when the cache's time is over."""
    store = Store()
    tokens = store.tokens()
    await tokens.authenticate(TEXT)
    store.token = replace(TOKEN, revoked_at=NOON)
    if hears:
        tokens.forget(TOKEN.id)
    else:
        await tokens.authenticate(TEXT)
        store.now += CACHE
    with pytest.raises(InvalidTokenError):
        await tokens.authenticate(TEXT)


async def test_a_lookup_from_before_a_revocation_is_not_remembered() -> None:
    """The answer of the database may be older than the notification."""
    store = Store()
    tokens = store.tokens()
    store.gate.clear()
    early = asyncio.create_task(tokens.authenticate(TEXT))
    await store.asked.wait()
    store.token = replace(TOKEN, revoked_at=NOON)
    tokens.forget_all()
    store.gate.set()
    await early
    with pytest.raises(InvalidTokenError):
        await tokens.authenticate(TEXT)


async def test_concurrent_requests_share_a_lookup() -> None:
    """Also its failure."""
    store = Store(is_away=True)
    tokens = store.tokens()
    store.gate.clear()
    waiting = [asyncio.create_task(tokens.authenticate(TEXT)) for _ in range(10)]
    await store.asked.wait()
    store.gate.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(one) for one in found} == {IdentityUnavailableError}
    assert store.finds == 1


async def test_a_token_ends_while_it_is_known() -> None:
    """At its second, not when the cache's time is over."""
    store = Store(replace(TOKEN, expires_at=NOON + timedelta(seconds=1)))
    tokens = store.tokens()
    await tokens.authenticate(TEXT)
    store.now += timedelta(seconds=1)
    with pytest.raises(InvalidTokenError):
        await tokens.authenticate(TEXT)
