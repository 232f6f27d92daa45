import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self
from uuid import uuid4

import pytest
from typing_extensions import override

from healthingest_service.adapters.database.accounts import DatabaseAccounts
from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.sessions import DatabaseSessions
from healthingest_service.adapters.memory_limiter import MemoryLoginThrottle
from healthingest_service.adapters.password_pool import open_password_pool
from healthingest_service.identity.access_tokens import AccessTokens, SigningKeys, new_key_pem
from healthingest_service.identity.auth_service import ACCOUNT_SCOPES, AuthService, Lifetimes
from healthingest_service.identity.errors import IdentityUnavailableError, InvalidTokenError
from healthingest_service.identity.model import (
    AccountId,
    NewAccount,
    Registration,
    SessionId,
    TokenPair,
)
from healthingest_service.identity.ports import Sessions
from support.login_rules import LOGIN_RULES
from support.migrated import migrate_by_copy

EMAIL = "ada@clinic.example"
PASSWORD = "correct horse battery"
ADDRESS = "192.0.2.1"


class CountedSessions(DatabaseSessions, Sessions):
    """
    Sessions that count how often they are asked whether one lives.

    Out of reach, or slow for once, when told so.
    """

    asked = 0
    is_down = False
    answered: asyncio.Event | None = None

    @override
    async def is_live(self, session_id: SessionId, account_id: AccountId) -> bool:
        self.asked += 1
        if self.is_down:
            raise IdentityUnavailableError
        answer = await super().is_live(session_id, account_id)
        slow = self.answered
        if slow is not None:
            self.answered = None
            await slow.wait()
        return answer


class House:
    """A auth over SQLite, a second one beside it, and a clock that the test sets."""

    def __init__(self, accounts: DatabaseAccounts, sessions: CountedSessions) -> None:
        self.sessions = sessions
        self.now = datetime.now(UTC)
        self.tokens = AccessTokens(
            keys=SigningKeys.from_pem(new_key_pem()),
            issuer="us",
            audience="us",
            lifetime=timedelta(minutes=10),
        )
        self.auth, self.other = (
            AuthService(
                accounts=accounts,
                sessions=sessions,
                access_tokens=self.tokens,
                throttle=MemoryLoginThrottle(LOGIN_RULES),
                registration=Registration.OPEN,
                lifetimes=Lifetimes(),
                clock=lambda: self.now,
            )
            for _ in range(2)
        )

    async def logged_in(self) -> TokenPair:
        """Tokens of an account."""
        return await self.auth.log_in(EMAIL, PASSWORD, address=ADDRESS)


@pytest.fixture(name="house")
async def _house(tmp_path: Path) -> AsyncIterator[House]:
    url = f"sqlite+aiosqlite:///{tmp_path}/health.db"
    await migrate_by_copy(url)
    async with (
        open_engine(url, pool_size=2, timeout_seconds=5) as engine,
        open_password_pool(threads=1, queue_limit=4) as passwords,
    ):
        accounts = DatabaseAccounts(engine, passwords, timeout_seconds=5)
        house = House(accounts, CountedSessions(engine, timeout_seconds=5))
        await house.auth.register(NewAccount(EMAIL, PASSWORD))
        yield house


async def test_a_stolen_refresh_token_ends_the_session(house: House) -> None:
    """A used token, presented after the grace period, ends all tokens of its session."""
    first = await house.logged_in()
    second = await house.auth.refresh(first.refresh_token, address=ADDRESS)
    assert (await house.auth.authenticate(second.access_token)).account_id
    house.now += timedelta(seconds=11)
    for token in (first.refresh_token, second.refresh_token):
        with pytest.raises(InvalidTokenError):
            await house.auth.refresh(token, address=ADDRESS)
    with pytest.raises(InvalidTokenError):
        await house.auth.authenticate(second.access_token)


async def test_a_known_token_runs_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it was good a moment ago does not make it last longer."""
    tokens = await house.logged_in()
    assert await house.auth.authenticate(tokens.access_token)
    house.now += timedelta(minutes=10, seconds=11)

    class Later(datetime):
        """The clock of PyJWT."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            """As late as in the house."""
            return cls.fromtimestamp(house.now.timestamp(), tz)

    monkeypatch.setattr("jwt.api_jwt.datetime", Later)
    with pytest.raises(InvalidTokenError):
        await house.auth.authenticate(tokens.access_token)


async def test_a_second_exchange_within_the_grace_gives_the_same(house: House) -> None:
    """Nine seconds later the same successor comes, and the session lives on."""
    first = await house.logged_in()
    second = await house.auth.refresh(first.refresh_token, address=ADDRESS)
    house.now += timedelta(seconds=9)
    assert (
        await house.other.refresh(first.refresh_token, address=ADDRESS)
    ).refresh_token == second.refresh_token
    assert await house.auth.refresh(second.refresh_token, address=ADDRESS)


async def test_a_refresh_token_runs_out(house: House) -> None:
    """After thirty days unused it opens nothing."""
    first = await house.logged_in()
    house.now += timedelta(days=30, seconds=1)
    with pytest.raises(InvalidTokenError):
        await house.auth.refresh(first.refresh_token, address=ADDRESS)


async def test_a_session_ends_however_often_it_is_refreshed(house: House) -> None:
    """Ninety days after its login; until then it is refreshed."""
    began = house.now
    tokens = await house.logged_in()
    for day in (29, 58, 87):
        house.now = began + timedelta(days=day)
        tokens = await house.auth.refresh(tokens.refresh_token, address=ADDRESS)
    house.now = began + timedelta(days=90)
    with pytest.raises(InvalidTokenError):
        await house.auth.refresh(tokens.refresh_token, address=ADDRESS)
    account = (await house.logged_in()).account_id
    assert len(await house.sessions.live_sessions(account, at=house.now, limit=9)) == 1


async def test_a_logout_is_heard_of_everywhere_soon(house: House) -> None:
    """Here at once; by another process within five seconds, in which it may trust its memory."""
    tokens = await house.logged_in()
    await house.other.authenticate(tokens.access_token)
    await house.auth.authenticate(tokens.access_token)
    await house.auth.log_out(tokens.access_token)
    with pytest.raises(InvalidTokenError):
        await house.auth.authenticate(tokens.access_token)
    house.now += timedelta(seconds=5)
    with pytest.raises(InvalidTokenError):
        await house.other.authenticate(tokens.access_token)


async def test_a_crowd_asks_once(house: House) -> None:
    """Concurrent requests of one session share a lookup, also when the first is cancelled."""
    tokens = await house.logged_in()
    crowd = [
        asyncio.ensure_future(house.auth.authenticate(tokens.access_token)) for _ in range(100)
    ]
    await asyncio.sleep(0)
    crowd[0].cancel()
    principals = await asyncio.gather(*crowd[1:])
    assert len({principal.account_id for principal in principals}) == 1
    assert house.sessions.asked == 1


async def test_a_crowd_hears_that_it_cannot_be_told(house: House) -> None:
    """All of them; the next one asks again."""
    tokens = await house.logged_in()
    house.sessions.is_down = True
    crowd = (house.auth.authenticate(tokens.access_token) for _ in range(100))
    heard = await asyncio.gather(*crowd, return_exceptions=True)
    assert {type(one) for one in heard} == {IdentityUnavailableError}
    assert house.sessions.asked == 1
    house.sessions.is_down = False
    assert await house.auth.authenticate(tokens.access_token)


async def test_a_question_asked_before_a_logout_is_no_answer_after_it(house: House) -> None:
    """Whoever comes after the logout does not join those who asked before."""
    tokens = await house.logged_in()
    house.sessions.answered = answered = asyncio.Event()
    early = asyncio.ensure_future(house.auth.authenticate(tokens.access_token))
    # ASYNC110: it has been read, and is on its way
    while house.sessions.answered is not None:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    await house.auth.log_out(tokens.access_token)
    late = asyncio.ensure_future(house.auth.authenticate(tokens.access_token))
    await asyncio.sleep(0)
    answered.set()
    with pytest.raises(InvalidTokenError):
        await late
    assert await early
    with pytest.raises(InvalidTokenError):
        await house.auth.authenticate(tokens.access_token)


async def test_a_token_of_another_account_opens_nothing(house: House) -> None:
    """A token whose subject is not its session's account is refused, also for a known session."""
    tokens = await house.logged_in()
    principal = await house.auth.authenticate(tokens.access_token)
    session = await house.auth.session_of(tokens.refresh_token)
    assert principal.account_id
    forged = house.tokens.issue(AccountId(uuid4()), session, ACCOUNT_SCOPES, at=house.now)
    for auth in (house.auth, house.other):
        with pytest.raises(InvalidTokenError):
            await auth.authenticate(forged)
    assert await house.auth.authenticate(tokens.access_token)
