"""Authenticates bearer tokens: of logins, of devices, and of identity providers."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeVar

from healthingest_service.identity.auth_service import ACCOUNT_SCOPES, AuthService
from healthingest_service.identity.device_access import DeviceTokens
from healthingest_service.identity.device_tokens import PREFIX
from healthingest_service.identity.errors import InvalidTokenError
from healthingest_service.identity.key_cache import KeyCache
from healthingest_service.identity.model import AccountId, Principal
from healthingest_service.identity.oidc import (
    ExternalCaller,
    Issuer,
    issuer_in,
    key_id_in,
    verify,
)
from healthingest_service.identity.ports import Accounts, GroupMemberships
from healthingest_service.identity.shared_calls import SharedCalls

_MAX_CACHED: Final = 1_000

Key = TypeVar("Key")
Value = TypeVar("Value")


class BearerTokens:
    """
    The tokens that the API accepts.

    Each process has one instance. Its only state is a cache of the providers' tokens and of the
    state of their accounts. When a process sees a provider's token for the first time, its groups
    are followed and *on_login* is called; without the success of both it is not accepted.
    """

    def __init__(  # noqa: PLR0913 - one argument per collaborator, given once, by name
        self,
        own: AuthService,
        *,
        devices: DeviceTokens,
        providers: Mapping[str, tuple[Issuer, KeyCache]],
        accounts: Accounts,
        account_cache: timedelta,
        clock: Callable[[], datetime],
        groups: GroupMemberships,
        on_login: Callable[[Principal], Awaitable[None]],
    ) -> None:
        self._own = own
        self._devices = devices
        self._providers = providers
        self._accounts = accounts
        self._account_cache = account_cache
        self._clock = clock
        self._groups = groups
        self._on_login = on_login
        self._verified: dict[str, tuple[Issuer, ExternalCaller]] = {}
        self._active_until: dict[AccountId, datetime] = {}
        self._admissions: SharedCalls[AccountId, bool] = SharedCalls()
        self._first_uses: SharedCalls[str, tuple[Issuer, ExternalCaller]] = SharedCalls()

    async def authenticate(self, token: str) -> Principal:
        """
        Return the principal of a token. A provider's user gets an account at the first request.

        A caller without a required group is authenticated, and has no scopes.

        Raises:
            InvalidTokenError: the token is not valid, or the account is not active.
            IdentityUnavailableError: sessions, accounts or the provider's keys are unavailable.
        """
        if token.startswith(PREFIX):
            return await self._devices.authenticate(token)
        if not self._providers:
            return await self._own.authenticate(token)
        provider = self._providers.get(issuer_in(token) or "")
        if provider is None:
            return await self._own.authenticate(token)
        known = self._cached(token)
        if known is None:
            known = await self._first_uses.run(token, lambda: self._first_use(token, *provider))
        issuer, caller = known
        if not issuer.accepts(caller):
            return Principal(caller.account_id, frozenset(), caller.token_id)
        await self._check_account(caller.account_id)
        return _principal(caller)

    def _cached(self, token: str) -> tuple[Issuer, ExternalCaller] | None:
        known = self._verified.get(token)
        if known is not None and self._clock() < known[1].expires_at:
            return known
        self._verified.pop(token, None)
        return None

    async def _first_use(
        self, token: str, issuer: Issuer, keys: KeyCache
    ) -> tuple[Issuer, ExternalCaller]:
        """Verify a token; requests with it wait until its groups are followed."""
        found = await keys.find(key_id_in(token))
        if found is None:
            raise InvalidTokenError
        caller = verify(token, issuer, *found)
        is_admitted = issuer.accepts(caller)
        if is_admitted:
            await self._check_account(caller.account_id)
        await self._groups.follow(issuer, caller)
        if is_admitted:
            await self._on_login(_principal(caller))
        verified = issuer, caller
        _remember(self._verified, token, verified)
        return verified

    async def _check_account(self, account_id: AccountId) -> None:
        now = self._clock()
        if self._active_until.get(account_id, now) > now:
            return
        active = await self._admissions.run(
            account_id, lambda: self._accounts.admit_external(account_id)
        )
        if not active:
            self._active_until.pop(account_id, None)
            raise InvalidTokenError
        _remember(self._active_until, account_id, now + self._account_cache)


def _principal(caller: ExternalCaller) -> Principal:
    return Principal(caller.account_id, ACCOUNT_SCOPES, caller.token_id)


def _remember(cache: dict[Key, Value], key: Key, value: Value) -> None:
    cache.pop(key, None)
    if len(cache) >= _MAX_CACHED:
        cache.pop(next(iter(cache)))
    cache[key] = value
