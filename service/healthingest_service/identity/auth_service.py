"""Registers accounts, logs in and out, refreshes tokens, and authenticates requests."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from healthingest_service.identity.shared_calls import SharedCalls
from healthingest_service.identity.throttling import LOGINS, LoginAttempt

ACCOUNT_SCOPES: Final = frozenset(Scope)
"""The scopes of a token that was issued for a password."""
_MAX_CACHED_SESSIONS: Final = 10_000
_MAX_CACHED_TOKENS: Final = 1_000
"""Maximum number of cached access tokens; they need about 1 MB."""


_Lookup = tuple[SessionId, AccountId, int]
"""Session, account, and the number of revocations before the lookup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """Lifetimes of refresh tokens, of sessions and of the session cache."""

    refresh: timedelta = timedelta(days=30)
    session: timedelta = timedelta(days=90)
    """Longest time from a login to the last refresh of its session."""
    refresh_grace: timedelta = timedelta(seconds=10)
    """Time in which a used refresh token returns the same child again; see `refresh_tokens`."""
    session_cache: timedelta = timedelta(seconds=5)
    """Longest time that another process accepts an access token after a logout."""


async def admit(throttle: LoginThrottle, attempt: LoginAttempt) -> None:
    """
    Return if the attempt to check a password is admitted now.

    Raises:
        RateLimitedError: too many failures; `retry_after_seconds` is a few seconds at most.
    """
    wait_seconds = await throttle.admit(attempt)
    if wait_seconds > 0:
        raise RateLimitedError(LOGINS, math.ceil(wait_seconds))


class AuthService:
    """
    The use cases of identity.

    Each process has one instance. Its only state is a cache of tokens and sessions.
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
        self._verified_tokens: dict[str, VerifiedToken] = {}
        self._live_until: dict[SessionId, tuple[AccountId, datetime]] = {}
        self._lookups: SharedCalls[_Lookup, bool] = SharedCalls()
        self._revocations = 0

    async def register(self, new: NewAccount) -> Account:
        """
        Create an account and return it.

        Raises:
            RegistrationClosedError, UnacceptablePasswordError: the policy or a password rule
                forbids it.
            AccountExistsError, IdentityUnavailableError: as in `Accounts.add`.
        """
        admit_registration(new, self._registration)
        return await self._accounts.add(new)

    async def log_in(
        self,
        email: str | None,
        password: str,
        *,
        address: str,
        longest: timedelta | None = None,
    ) -> TokenPair:
        """
        Exchange a password for tokens.

        *email* is in its normal form, or None if the text is no e-mail address. *address* is the
        client's IP address. *longest* is as in `begin_session`.

        Raises:
            InvalidCredentialsError: e-mail or password is wrong, or the account may not log in.
            RateLimitedError: too many failures; `retry_after_seconds` is a few seconds at most.
            IdentityUnavailableError: the accounts cannot be read.
        """
        if len(password) > PASSWORD_MAX_CHARACTERS:
            raise InvalidCredentialsError
        attempt = LoginAttempt(email or "", address)
        await admit(self._throttle, attempt)
        account = await self._accounts.authenticate(email, password)
        if account is None or not may_log_in(account, self._registration):
            await self._throttle.failed(attempt)
            raise InvalidCredentialsError
        await self._throttle.succeeded(attempt)
        return await self.begin_session(account, longest=longest)

    async def begin_session(
        self, account: Account, *, longest: timedelta | None = None
    ) -> TokenPair:
        """
        Begin a session of an account whose owner was authenticated, and return its tokens.

        With *longest* the session ends then, also if it is refreshed, or earlier with the lifetime
        of sessions.

        Raises:
            InvalidCredentialsError: the account was closed, or its password changed, meanwhile.
            IdentityUnavailableError: no clear answer; repeating is safe.
        """
        now = self._clock()
        ends_at = None if longest is None else now + longest
        session = Session(SessionId(uuid4()), account.id, now, ends_at)
        token = refresh_tokens.new_token()
        stored = self._stored(token, now).ending(ends_at).ending(now + self._lifetimes.session)
        await self._sessions.begin(session, stored, password_version=account.password_version)
        return self._pair(account.id, session.id, token, now)

    async def session_of(self, token: str) -> SessionId:
        """
        Return the session of a refresh token, so that its requests can be counted.

        Raises:
            InvalidTokenError: the token is unknown.
            IdentityUnavailableError: the sessions cannot be read.
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

        Within the grace period the same token can be exchanged again, for the same refresh token.
        The client's *address* counts as a known device afterwards.

        Raises:
            InvalidTokenError: the token is unknown, expired, revoked, or was used before, or its
                session has reached its lifetime. After a second use the whole session is revoked.
            IdentityUnavailableError: no clear answer; the client may repeat the request.
        """
        if len(token) > refresh_tokens.MAX_CHARACTERS:
            raise InvalidTokenError
        now = self._clock()
        salt = refresh_tokens.new_salt()
        child = self._stored(refresh_tokens.child_of(token, salt), now)
        rotation = await self._sessions.rotate(
            refresh_tokens.token_hash(token),
            child_salt=salt,
            child=child,
            at=now,
            longest=self._lifetimes.session,
        )
        if (
            rotation.first_used_at is not None
            and now - rotation.first_used_at > self._lifetimes.refresh_grace
        ):
            # A used token was presented again: it may have been stolen, so the session ends.
            await self._revoke(rotation.session_id)
            raise InvalidTokenError
        await self._throttle.succeeded(LoginAttempt(rotation.email, address))
        next_token = refresh_tokens.child_of(token, rotation.child_salt)
        return self._pair(rotation.account_id, rotation.session_id, next_token, now)

    async def log_out(self, access_token: str) -> Principal:
        """
        End the session of the token, and return the principal of the token.

        Its refresh tokens and access tokens become invalid.

        Raises:
            InvalidTokenError: the token is not valid.
            IdentityUnavailableError: the session may still be valid; repeating is safe.
        """
        verified = self._access_tokens.verify(access_token)
        await self._revoke(verified.session_id)
        return verified.principal

    async def authenticate(self, access_token: str) -> Principal:
        """
        Return the principal of an access token.

        Raises:
            InvalidTokenError: the token is not valid, or its session has ended.
            IdentityUnavailableError: the sessions cannot be read.
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
            if revocations == self._revocations:  # else the session may have ended meanwhile
                self._remember(session, account, now)
        return verified.principal

    def _verified(self, access_token: str, now: datetime) -> VerifiedToken:
        """Verify a token, or return it from the cache of valid tokens."""
        cached = self._verified_tokens.get(access_token)
        if cached is not None and now < cached.expires_at:
            return cached
        self._verified_tokens.pop(access_token, None)
        verified = self._access_tokens.verify(access_token)
        if len(self._verified_tokens) >= _MAX_CACHED_TOKENS:
            self._verified_tokens.pop(next(iter(self._verified_tokens)))
        self._verified_tokens[access_token] = verified
        return verified

    def _is_known_live(self, session: SessionId, account: AccountId, now: datetime) -> bool:
        """Return whether the cache has the session, with this account, as live."""
        known_account, until = self._live_until.get(session, (account, now))
        return known_account == account and until > now

    async def _is_live(self, session: SessionId, account: AccountId) -> bool:
        """
        Look the session up in the database.

        Concurrent requests of one session share one lookup; after a revocation a new one begins.
        """
        lookup = session, account, self._revocations
        return await self._lookups.run(lookup, lambda: self._sessions.is_live(session, account))

    def _remember(self, session: SessionId, account: AccountId, now: datetime) -> None:
        if len(self._live_until) >= _MAX_CACHED_SESSIONS:
            self._live_until.pop(next(iter(self._live_until)))
        self._live_until[session] = account, now + self._lifetimes.session_cache

    async def _revoke(self, session: SessionId) -> None:
        self._revocations += 1
        await self._sessions.revoke(session, at=self._clock())
        self._revocations += 1
        self._live_until.pop(session, None)

    @contextmanager
    def revoking(self, account: AccountId) -> Iterator[None]:
        """
        Let this process look up every session of *account* again after the context.

        The caller revokes sessions within the context.
        """
        self._revocations += 1
        try:
            yield
        finally:
            self._revocations += 1
            for session, (owner, _) in tuple(self._live_until.items()):
                if owner == account:
                    del self._live_until[session]

    def _stored(self, token: str, now: datetime) -> RefreshToken:
        return RefreshToken(refresh_tokens.token_hash(token), now + self._lifetimes.refresh)

    def _pair(self, account: AccountId, session: SessionId, token: str, now: datetime) -> TokenPair:
        access = self._access_tokens.issue(account, session, ACCOUNT_SCOPES, at=now)
        seconds = int(self._access_tokens.lifetime.total_seconds())
        return TokenPair(access, token, seconds, account, session)
