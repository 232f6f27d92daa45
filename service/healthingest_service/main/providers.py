"""Opens the identity providers that the settings name."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from urllib.parse import urlsplit

from healthingest_contract import environment as env
from healthingest_service.adapters.oidc import open_provider_client
from healthingest_service.health.board import Check
from healthingest_service.identity.key_cache import KeyCache
from healthingest_service.identity.oidc import Issuer
from healthingest_service.identity.provider_login import CodeExchange, OidcClient, SignInProvider
from healthingest_service.main.tls_files import as_settings_error, oidc_tls_material
from healthingest_service.settings import Settings
from healthingest_service.settings.groups import OidcIssuerSettings
from healthingest_service.studies.group_roles import GroupRule
from healthingest_service.studies.model import StudySlug


@dataclass(frozen=True, slots=True)
class Providers:
    """
    Each issuer with its keys, by its URL, and those at which users sign in.

    `exchange` is None if there are no issuers.
    """

    by_url: Mapping[str, tuple[Issuer, KeyCache]] = field(default_factory=dict)
    for_sign_in: Mapping[str, SignInProvider] = field(default_factory=dict)
    exchange: CodeExchange | None = None
    group_rules: Mapping[str, Sequence[GroupRule]] = field(default_factory=dict)


async def open_providers(settings: Settings, stack: AsyncExitStack) -> Providers:
    """Return the providers; their keys are fetched when they are needed."""
    oidc = settings.oidc
    if not oidc.issuers:
        return Providers()
    opening = open_provider_client(
        timeout_seconds=oidc.timeout_seconds, tls=oidc_tls_material(settings)
    )
    with as_settings_error(env.OIDC_CA_FILE):
        client = await stack.enter_async_context(opening)
    with as_settings_error(env.OIDC_CLIENT_SECRETS):
        secrets = oidc.secrets_by_url()
    found: dict[str, tuple[Issuer, KeyCache]] = {}
    for_sign_in: dict[str, SignInProvider] = {}
    for wanted in oidc.issuers:
        issuer = Issuer(
            wanted.url,
            wanted.audience,
            wanted.groups_claim,
            frozenset(wanted.required_groups),
            frozenset(wanted.required_scopes),
        )
        keys = KeyCache(partial(client.keys, issuer.url), clock=monotonic)
        stack.push_async_callback(keys.close)
        found[issuer.url] = issuer, keys
        registered = _client(wanted, secrets.get(wanted.url))
        if registered is not None:
            for_sign_in[issuer.url] = SignInProvider(issuer=issuer, keys=keys, client=registered)
    rules = {wanted.url: _group_rules(wanted) for wanted in oidc.issuers}
    return Providers(found, for_sign_in, client, rules)


def _group_rules(wanted: OidcIssuerSettings) -> tuple[GroupRule, ...]:
    return tuple(
        GroupRule(one.group, StudySlug(one.study), one.roles) for one in wanted.group_roles
    )


def _client(wanted: OidcIssuerSettings, secret: str | None) -> OidcClient | None:
    if wanted.client_id is None:
        return None
    return OidcClient(
        name=wanted.name or urlsplit(wanted.url).hostname or wanted.url,
        client_id=wanted.client_id,
        redirect_uris=wanted.redirect_uris,
        scopes=wanted.scopes,
        secret=secret,
    )


def provider_checks(providers: Providers) -> tuple[Check, ...]:
    """Return a health check of all providers; uploads with other tokens succeed without them."""
    if not providers.by_url:
        return ()

    async def answer() -> None:
        for _, keys in providers.by_url.values():
            await keys.check()

    return (Check("oidc", answer, required=False),)
