"""Creates, lists, revokes and authenticates device tokens."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from healthingest_service.audit.model import AuditEvent
from healthingest_service.identity.device_tokens import (
    MAX_TOKENS,
    DeviceToken,
    DeviceTokenId,
    DeviceTokenPage,
    device_token_hash,
    hour_of,
    is_device_token,
    new_device_token,
)
from healthingest_service.identity.errors import (
    IdentityUnavailableError,
    InvalidTokenError,
    TooManyTokensError,
)
from healthingest_service.identity.model import AccountId, Binding, Principal, Scope
from healthingest_service.identity.ports import DeviceTokenStore
from healthingest_service.identity.shared_calls import SharedCalls

_MAX_CACHED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDeviceToken:
    """The wish for a token: its name, scopes and, unless it is valid for ever, lifetime."""

    name: str
    scopes: frozenset[Scope]
    lifetime: timedelta | None
    binding: Binding | None = None


class DeviceTokens:
    """
    The use cases of device tokens.

    Each process has one instance. It remembers valid tokens for *cache*, unless it hears of a
    revocation.
    """

    def __init__(
        self, store: DeviceTokenStore, *, cache: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._cache = cache
        self._clock = clock
        self._known: dict[str, tuple[DeviceToken, datetime]] = {}
        self._lookups: SharedCalls[tuple[str, int], DeviceToken | None] = SharedCalls()
        self._revocations = 0

    async def create(
        self,
        account: AccountId,
        new: NewDeviceToken,
        *,
        event: Callable[[DeviceTokenId], AuditEvent],
    ) -> tuple[DeviceToken, str]:
        """
        Create a token of *account*; returns it with its text, which is shown only once.

        The token is stored together with its *event*, so none is left behind whose text nobody got
        because the event could not be recorded.

        Raises:
            TooManyTokensError: the account has as many tokens as it may have.
            IdentityUnavailableError: no clear answer; a token that was created is in the list.
        """
        now = self._clock()
        if len(await self._store.list_of(account, at=now)) >= MAX_TOKENS:
            raise TooManyTokensError
        text = new_device_token()
        token = DeviceToken(
            id=DeviceTokenId(uuid4()),
            account_id=account,
            name=new.name,
            scopes=new.scopes,
            created_at=now,
            expires_at=None if new.lifetime is None else now + new.lifetime,
            binding=new.binding,
        )
        await self._store.add(token, device_token_hash(text), event(token.id))
        return token, text

    async def list_of(self, account: AccountId) -> tuple[DeviceToken, ...]:
        """
        Return the valid tokens of *account*, newest first.

        Raises:
            IdentityUnavailableError: the tokens cannot be read.
        """
        return await self._store.list_of(account, at=self._clock())

    async def revoke(self, account: AccountId, token_id: DeviceTokenId) -> None:
        """
        Revoke a token of *account*. It is no error if it is revoked already.

        Raises:
            DeviceTokenNotFoundError: the account never had such a token.
            IdentityUnavailableError: the token may still be valid; repeating is safe.
        """
        await self._store.revoke(account, token_id, at=self._clock())
        self.forget(token_id)

    async def list_in_study(
        self, study: str, subject: str | None, *, limit: int, cursor: DeviceTokenId | None
    ) -> DeviceTokenPage:
        """
        Return the valid tokens of *study*, or of one *subject* in it, by id.

        Raises:
            IdentityUnavailableError: the tokens cannot be read.
        """
        return await self._store.list_in_study(
            study, subject, at=self._clock(), limit=limit, cursor=cursor
        )

    async def revoke_in_study(self, study: str, token_id: DeviceTokenId) -> None:
        """
        Revoke a token of *study*. It is no error if it is revoked already.

        Raises:
            DeviceTokenNotFoundError: the study never had such a token.
            IdentityUnavailableError: the token may still be valid; repeating is safe.
        """
        await self._store.revoke_in_study(study, token_id, at=self._clock())
        self.forget(token_id)

    def forget(self, token_id: DeviceTokenId) -> None:
        """Look the token up at its next use, because it was revoked, here or elsewhere."""
        self._revocations += 1
        for key, (token, _) in list(self._known.items()):
            if token.id == token_id:
                del self._known[key]

    def forget_all(self) -> None:
        """Look every token up at its next use, because revocations may have been missed."""
        self._revocations += 1
        self._known.clear()

    async def authenticate(self, text: str) -> Principal:
        """
        Return the principal of a device token.

        Raises:
            InvalidTokenError: the token is unknown, expired or revoked, or its account inactive.
            IdentityUnavailableError: the tokens cannot be read.
        """
        if not is_device_token(text):
            raise InvalidTokenError
        now = self._clock()
        token = await self._token(device_token_hash(text), now)
        if token is None or not token.is_valid(now):
            raise InvalidTokenError
        return Principal(
            token.account_id, token.scopes, str(token.id), is_device=True, binding=token.binding
        )

    async def _token(self, key: str, now: datetime) -> DeviceToken | None:
        token, until = self._known.get(key, (None, now))
        if until > now:
            return token
        revocations = self._revocations
        token = await self._lookups.run((key, revocations), lambda: self._store.find(key))
        self._known.pop(key, None)
        if token is not None and token.is_valid(now) and revocations == self._revocations:
            if len(self._known) >= _MAX_CACHED:
                self._known.pop(next(iter(self._known)))
            self._known[key] = token, now + self._cache
            await self._note_use(token, now)
        return token

    async def _note_use(self, token: DeviceToken, now: datetime) -> None:
        hour = hour_of(now)
        if token.last_used_at is None or token.last_used_at < hour:
            with suppress(IdentityUnavailableError):  # the next lookup notes it
                await self._store.note_use(token.id, hour)
