"""Registers accounts, logs in and out, refreshes tokens, and authenticates requests."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from healthingest_service.identity import refresh_tokens
from healthingest_service.identity.access_tokens import AccessTokens, VerifiedToken
from healthingest_service.identity.errors import (
    InvalidCredentialsError,
    InvalidTokenError,
    RateLimitedError,
)
from healthingest_service.identity.model import (
    Account,
    AccountId,
    NewAccount,
    Principal,
    RefreshToken,
    Registration,
    Scope,
    Session,
    SessionId,
    TokenPair,
)
from healthingest_service.identity.ports import Accounts, LoginThrottle, Sessions
from healthingest_service.identity.registration import (
    PASSWORD_MAX_CHARACTERS,
    admit_registration,
    may_log_in,
)
from healthingest_service.identity.throttling import LOGINS, LoginAttempt

ACCOUNT_SCOPES: Final = frozenset({Scope.UPLOAD_WRITE, Scope.UPLOAD_READ})
"""What somebody who logged in with a password may do."""
_MAX_CACHED_SESSIONS: Final = 10_000
_MAX_KNOWN_TOKENS: Final = 1_000
"""A megabyte of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long things hold."""

    refresh: timedelta = timedelta(days=30)
    refresh_grace: timedelta = timedelta(seconds=10)
    """For a client that asks twice at one moment; see `refresh_tokens`."""
    session_cache: timedelta = timedelta(seconds=5)
    """At most so long does another process honour a token after the logout."""


class AuthService:
    """
    The use cases of identity.

    One instance in each process. Its only state is a cache of tokens and sessions.
    """

    def __init__(  # noqa: PLR0913 - one argument per collaborator, given once, by name
        self,
        *,
        accounts: Accounts,
        sessions: Sessions,
        access_tokens: AccessTokens,
        throttle: LoginThrottle,
        registration: Registration,
        lifetimes: Lifetimes,
        clock: Callable[[], datetime],
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._access_tokens = access_tokens
        self._throttle = throttle
        self._registration = registration
        self._lifetimes = lifetimes
        self._clock = clock
        self._known: dict[str, VerifiedToken] = {}
        self._live_until: dict[SessionId, tuple[AccountId, datetime]] = {}
        self._asking: dict[tuple[SessionId, AccountId, int], asyncio.Future[bool]] = {}
        self._revocations = 0

    async def register(self, new: NewAccount) -> Account:
        """
        Make an account.

        Raises:
            RegistrationClosedError, UnacceptablePasswordError, AccountExistsError,
                IdentityUnavailableError
        """
        admit_registration(new, self._registration)
        return await self._accounts.add(new)

    async def log_in(self, email: str | None, password: str, *, address: str) -> TokenPair:
        """
        Exchange a password for tokens.

        *email* is in its normal form, None for a text that is no address; *address* is the
        client's.

        Raises:
            InvalidCredentialsError: for whatever reason.
            RateLimitedError: after failures; `retry_after_seconds` is some seconds at most.
            IdentityUnavailableError: it cannot be told.
        """
        if len(password) > PASSWORD_MAX_CHARACTERS:
            raise InvalidCredentialsError
        attempt = LoginAttempt(email or "", address)
        wait_seconds = await self._throttle.admit(attempt)
        if wait_seconds > 0:
            raise RateLimitedError(LOGINS, math.ceil(wait_seconds))
        account = await self._accounts.authenticate(email, password)
        if account is None or not may_log_in(account, self._registration):
            await self._throttle.failed(attempt)
            raise InvalidCredentialsError
        await self._throttle.succeeded(attempt)
        now = self._clock()
        session = Session(SessionId(uuid4()), account.id, now)
        token = refresh_tokens.new_token()
        await self._sessions.begin(session, self._stored(token, now))
        return self._pair(account.id, session.id, token, now)

    async def session_of(self, token: str) -> SessionId:
        """
        Return the session of a refresh token, so that its requests can be counted.

        Raises:
            InvalidTokenError: unknown.
            IdentityUnavailableError: it cannot be told.
        """
        if len(token) > refresh_tokens.MAX_CHARACTERS:
            raise InvalidTokenError
        session = await self._sessions.find(refresh_tokens.token_hash(token))
        if session is None:
            raise InvalidTokenError
        return session

    async def refresh(self, token: str, *, address: str) -> TokenPair:
        """
        Exchange a refresh token for new tokens.

        The same one again only within the grace, and then for the same.

        The client's *address* is that of a known device from now on.

        Raises:
            InvalidTokenError: unknown, used before (then the whole session ends), run out, or
                revoked.
            IdentityUnavailableError: it cannot be told; the token may be presented again.
        """
        if len(token) > refresh_tokens.MAX_CHARACTERS:
            raise InvalidTokenError
        now = self._clock()
        salt = refresh_tokens.new_salt()
        child = self._stored(refresh_tokens.child_of(token, salt), now)
        rotation = await self._sessions.rotate(
            refresh_tokens.token_hash(token), child_salt=salt, child=child, at=now
        )
        if (
            rotation.first_used_at is not None
            and now - rotation.first_used_at > self._lifetimes.refresh_grace
        ):
            # Somebody has a token that was used up: a thief, or its owner after the thief. Neither
            # keeps it.
            await self._revoke(rotation.session_id)
            raise InvalidTokenError
        await self._throttle.succeeded(LoginAttempt(rotation.email, address))
        next_token = refresh_tokens.child_of(token, rotation.child_salt)
        return self._pair(rotation.account_id, rotation.session_id, next_token, now)

    async def log_out(self, access_token: str) -> None:
        """
        End the session that the token belongs to: its refresh tokens and all its access tokens.

        Raises:
            InvalidTokenError: the token is not good.
            IdentityUnavailableError: not done; again is safe.
        """
        await self._revoke(self._access_tokens.verify(access_token).session_id)

    async def authenticate(self, access_token: str) -> Principal:
        """
        Tell whose token this is.

        Raises:
            InvalidTokenError: it is not good, or its session has ended.
            IdentityUnavailableError: it cannot be told.
        """
        now = self._clock()
        verified = self._verified(access_token, now)
        session = verified.session_id
        account = verified.principal.account_id
        if not self._is_known_live(session, account, now):
            self._live_until.pop(session, None)
            revocations = self._revocations
            if not await self._is_live(session, account):
                raise InvalidTokenError
            if revocations == self._revocations:  # else it may have ended while we asked
                self._remember(session, account, now)
        return verified.principal

    def _verified(self, access_token: str, now: datetime) -> VerifiedToken:
        """
        A signature is checked once.

        What was good stays so until it runs out, keys being those of this process.
        """
        known = self._known.get(access_token)
        if known is not None and now < known.expires_at:
            return known
        self._known.pop(access_token, None)
        verified = self._access_tokens.verify(access_token)
        if len(self._known) >= _MAX_KNOWN_TOKENS:
            self._known.pop(next(iter(self._known)))
        self._known[access_token] = verified
        return verified

    def _is_known_live(self, session: SessionId, account: AccountId, now: datetime) -> bool:
        """Check the account too: a signature does not prove that the session is the subject's."""
        known_account, until = self._live_until.get(session, (account, now))
        return known_account == account and until > now

    async def _is_live(self, session: SessionId, account: AccountId) -> bool:
        """
        One question, however many requests of a session come at once.

        After a revocation it is asked anew.
        """
        question = session, account, self._revocations
        asking = self._asking.get(question)
        if asking is None:
            asking = self._asking[question] = asyncio.ensure_future(
                self._sessions.is_live(session, account)
            )
            asking.add_done_callback(lambda done: self._answered(question, done))
        return await asyncio.shield(
            asking
        )  # a client that leaves takes the answer away from nobody

    def _answered(
        self, question: tuple[SessionId, AccountId, int], done: "asyncio.Future[bool]"
    ) -> None:
        del self._asking[question]
        if not done.cancelled():
            done.exception()  # seen, also when everybody has left

    def _remember(self, session: SessionId, account: AccountId, now: datetime) -> None:
        if len(self._live_until) >= _MAX_CACHED_SESSIONS:
            self._live_until.pop(next(iter(self._live_until)))
        self._live_until[session] = account, now + self._lifetimes.session_cache

    async def _revoke(self, session: SessionId) -> None:
        self._revocations += 1
        await self._sessions.revoke(session, at=self._clock())
        self._revocations += 1
        self._live_until.pop(session, None)

    def _stored(self, token: str, now: datetime) -> RefreshToken:
        return RefreshToken(refresh_tokens.token_hash(token), now + self._lifetimes.refresh)

    def _pair(self, account: AccountId, session: SessionId, token: str, now: datetime) -> TokenPair:
        access = self._access_tokens.issue(account, session, ACCOUNT_SCOPES, at=now)
        return TokenPair(access, token, int(self._access_tokens.lifetime.total_seconds()))
