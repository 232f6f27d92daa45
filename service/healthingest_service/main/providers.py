"""Opens the identity providers that the settings name."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from time import monotonic

from healthingest_contract import environment as env
from healthingest_service.adapters.oidc import open_provider_client
from healthingest_service.health.board import Check
from healthingest_service.identity.key_cache import KeyCache
from healthingest_service.identity.oidc import Issuer
from healthingest_service.main.tls_files import as_settings_error, oidc_tls_material
from healthingest_service.settings import Settings

Providers = Mapping[str, tuple[Issuer, KeyCache]]
"""Each issuer with its keys, by its URL."""


async def open_providers(settings: Settings, stack: AsyncExitStack) -> Providers:
    """Return the providers; their keys are fetched when they are needed."""
    oidc = settings.oidc
    if not oidc.issuers:
        return {}
    opening = open_provider_client(
        timeout_seconds=oidc.timeout_seconds, tls=oidc_tls_material(settings)
    )
    with as_settings_error(env.OIDC_CA_FILE):
        client = await stack.enter_async_context(opening)
    found: dict[str, tuple[Issuer, KeyCache]] = {}
    for wanted in oidc.issuers:
        issuer = Issuer(
            wanted.url, wanted.audience, wanted.groups_claim, frozenset(wanted.required_groups)
        )
        keys = KeyCache(partial(client.keys, issuer.url), clock=monotonic)
        stack.push_async_callback(keys.close)
        found[issuer.url] = issuer, keys
    return found


def provider_checks(providers: Providers) -> tuple[Check, ...]:
    """Return a health check of all providers; uploads with other tokens succeed without them."""
    if not providers:
        return ()

    async def answer() -> None:
        for _, keys in providers.values():
            await keys.check()

    return (Check("oidc", answer, required=False),)
