"""
Sign-in at an identity provider: authorization code with PKCE (RFC 7636, RFC 9700).

A page redirects the browser, and gives the code here. A code is exchanged for an ID token, and that
for tokens of a login; tokens of the provider are not kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from healthingest_service.identity.auth_service import AuthService
from healthingest_service.identity.errors import (
    GroupMissingError,
    InvalidAuthorizationCodeError,
    InvalidCredentialsError,
    InvalidTokenError,
    ProviderNotFoundError,
    ProviderUnavailableError,
    RedirectUriError,
)
from healthingest_service.identity.key_cache import KeyCache
from healthingest_service.identity.model import TokenPair
from healthingest_service.identity.oidc import (
    Endpoints,
    ExternalCaller,
    Issuer,
    key_id_in,
    verify_id_token,
)
from healthingest_service.identity.ports import Accounts, GroupMemberships


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcClient:
    """The registration at an identity provider; without `secret` it is that of a public client."""

    name: str
    client_id: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...] = ("openid",)
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInProvider:
    """An identity provider at which users sign in."""

    issuer: Issuer
    keys: KeyCache
    client: OidcClient


@dataclass(frozen=True, slots=True)
class ListedProvider:
    """A provider that offers sign-in; `endpoints` is None while it does not answer."""

    issuer: str
    client: OidcClient
    endpoints: Endpoints | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """
    The end of a sign-in, as the page gives it.

    `code_verifier` and `nonce` are those with which it began, `redirected_from` is the parameter
    `iss` of the redirect (RFC 9207).
    """

    issuer: str
    code: str = field(repr=False)
    code_verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    redirect_uri: str
    redirected_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeGrant:
    """A code, and what proves that this client may exchange it (RFC 6749, 4.1.3)."""

    code: str = field(repr=False)
    code_verifier: str = field(repr=False)
    redirect_uri: str
    client_id: str
    client_secret: str | None = field(repr=False)


class CodeExchange(Protocol):
    """The token endpoints of identity providers."""

    async def exchange(self, issuer: str, endpoints: Endpoints, grant: CodeGrant) -> str:
        """
        Exchange a code for an ID token, and return the token; it is not verified.

        A provider accepts a code once: a second call raises `InvalidAuthorizationCodeError`.

        Raises:
            InvalidAuthorizationCodeError: the provider refuses the code.
            ProviderUnavailableError: no answer within the deadline, an unusable one, or the
                provider refuses this client; a log line has the cause.
        """
        ...


class ProviderLogin:
    """
    Sign-in of users of identity providers.

    A session ends *longest* after the sign-in, however often it is refreshed.
    """

    def __init__(  # noqa: PLR0913 - one argument per collaborator, given once, by name
        self,
        *,
        providers: Mapping[str, SignInProvider],
        exchange: CodeExchange | None,
        accounts: Accounts,
        auth: AuthService,
        groups: GroupMemberships,
        longest: timedelta,
    ) -> None:
        self._providers = providers
        self._exchange = exchange
        self._accounts = accounts
        self._auth = auth
        self._groups = groups
        self._longest = longest

    async def providers(self) -> Sequence[ListedProvider]:
        """Return the providers that offer sign-in, in the order of the settings."""
        return [
            ListedProvider(url, one.client, await _endpoints_or_none(one.keys))
            for url, one in self._providers.items()
        ]

    async def log_in(self, given: SignIn) -> TokenPair:
        """
        Exchange a code for tokens. A user gets an account at the first sign-in.

        Raises:
            ProviderNotFoundError: the settings name no such provider, or it offers no sign-in.
            RedirectUriError: the redirect URI is not configured; the provider is not asked.
            InvalidAuthorizationCodeError: the provider refuses the code, the redirect came from
                another provider, or the ID token is wrong.
            GroupMissingError: the user has none of the required groups.
            InvalidCredentialsError: the account is not active.
            IdentityUnavailableError: no clear answer of the provider or the database.
        """
        provider = self._providers.get(given.issuer)
        if provider is None or self._exchange is None:
            raise ProviderNotFoundError
        if given.redirect_uri not in provider.client.redirect_uris:
            raise RedirectUriError
        endpoints = await provider.keys.endpoints()
        if not _is_from(given, endpoints):
            raise InvalidAuthorizationCodeError
        grant = CodeGrant(
            code=given.code,
            code_verifier=given.code_verifier,
            redirect_uri=given.redirect_uri,
            client_id=provider.client.client_id,
            client_secret=provider.client.secret,
        )
        token = await self._exchange.exchange(given.issuer, endpoints, grant)
        user = await _user(token, provider, given.nonce)
        if not provider.issuer.admits(user.groups):
            await self._groups.follow(provider.issuer, user)
            raise GroupMissingError
        if not await self._accounts.admit_external(user.account_id):
            raise InvalidCredentialsError
        await self._groups.follow(provider.issuer, user)
        account = await self._accounts.get(user.account_id)
        if account is None:  # closed meanwhile
            raise InvalidCredentialsError
        return await self._auth.begin_session(account, longest=self._longest)


async def _endpoints_or_none(keys: KeyCache) -> Endpoints | None:
    try:
        return await keys.endpoints()
    except ProviderUnavailableError:
        return None


def _is_from(given: SignIn, endpoints: Endpoints) -> bool:
    """Return whether the redirect came from this provider, against mix-up (RFC 9700, 4.4)."""
    if given.redirected_from is None:
        return not endpoints.sends_issuer
    return given.redirected_from == given.issuer


async def _user(token: str, provider: SignInProvider, nonce: str) -> ExternalCaller:
    try:
        found = await provider.keys.find(key_id_in(token, is_id_token=True))
        if found is None:
            raise InvalidAuthorizationCodeError
        return verify_id_token(
            token, provider.issuer, found, client_id=provider.client.client_id, nonce=nonce
        )
    except InvalidTokenError:
        raise InvalidAuthorizationCodeError from None
