"""Tokens of an identity provider at the API: real HTTP to the provider, embedded adapters."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import insert

from healthingest_service.adapters.database.account_tables import AccountRow
from healthingest_service.adapters.database.accounts import (
    EXTERNAL_DOMAIN,
    NO_PASSWORD,
    external_account,
)
from healthingest_service.audit.model import Action
from healthingest_service.identity.oidc import account_of
from healthingest_service.settings.groups import OidcIssuerSettings, OidcSettings
from support import samples
from support.edge import PASSWORD, Edge, open_edge
from support.servers.oidc_provider import AUDIENCE, OidcProvider, SigningKey, open_oidc_provider


@pytest.fixture(name="provider")
async def _provider() -> AsyncIterator[OidcProvider]:
    async with open_oidc_provider() as provider:
        yield provider


@asynccontextmanager
async def trusting(folder: Path, provider: OidcProvider, *groups: str) -> AsyncIterator[Edge]:
    """Open an API that accepts the provider's tokens, of callers in one of *groups*."""
    issuer = OidcIssuerSettings(url=provider.issuer, audience=AUDIENCE, required_groups=groups)
    async with open_edge(folder, oidc=OidcSettings(issuers=(issuer,))) as edge:
        yield edge


def bearer(token: str) -> dict[str, str]:
    """Return the header with a token."""
    return {"Authorization": f"Bearer {token}"}


async def test_a_user_of_the_provider_uploads(tmp_path: Path, provider: OidcProvider) -> None:
    """Every token of the user belongs to one account, whose uploads nobody else sees."""
    async with trusting(tmp_path, provider) as edge:
        sent = await edge.upload(samples.good_file(), bearer(provider.token()))
        assert sent.status_code == 201, sent.text
        place = sent.headers["Location"]
        again = await edge.http.get(place, headers=bearer(provider.token()))
        assert again.status_code == 200
        for other in (bearer(provider.token("bob")), await edge.signed_in()):
            assert (await edge.http.get(place, headers=other)).status_code == 404


async def test_the_first_request_with_a_token_is_a_login(
    tmp_path: Path, provider: OidcProvider
) -> None:
    """Recorded once for each token, with its id; not for a token that is refused."""
    async with trusting(tmp_path, provider) as edge:
        first, second = (bearer(provider.token(jti=name)) for name in ("1", "2"))
        for headers in (first, first, second, bearer(provider.token(exp=1))):
            await edge.http.get("/v1/uploads", headers=headers)
        found = await edge.runtime.audit.unchained(after=0, limit=9)
        logins = [one.event for one in found if one.event.action is Action.LOGIN]
        assert {one.account_id for one in logins} == {account_of(provider.issuer, "ada")}
        assert len({one.token_id for one in logins}) == len(logins) == 2


async def test_own_tokens_need_no_provider(tmp_path: Path, provider: OidcProvider) -> None:
    """While the provider is away, its users get 503 with a time to wait, and all others upload."""
    provider.status = 500
    async with trusting(tmp_path, provider) as edge:
        answer = await edge.upload(samples.good_file(), bearer(provider.token()))
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers
        assert (await edge.upload(samples.good_file(), await edge.signed_in())).status_code == 201
        await edge.deps.health.check_once()
        assert not edge.deps.health.outcomes["oidc"].up
        assert edge.deps.health.is_ready


async def test_other_tokens_are_refused(tmp_path: Path, provider: OidcProvider) -> None:
    """Another provider, another audience, an expired token, a key that is not the provider's."""
    async with open_oidc_provider() as stranger, trusting(tmp_path, provider) as edge:
        for token in (
            stranger.token(),
            stranger.token(iss=provider.issuer),
            provider.token(aud="another"),
            provider.token(exp=1),
        ):
            answer = await edge.upload(samples.good_file(), bearer(token))
            assert answer.status_code == 401, answer.text
            assert token not in answer.text
        assert stranger.fetches == 0


async def test_a_provider_must_be_the_one_it_claims(tmp_path: Path, provider: OidcProvider) -> None:
    """A discovery document of another issuer is not used."""
    provider.claimed_issuer = "https://another.example"
    async with trusting(tmp_path, provider) as edge:
        answer = await edge.upload(samples.good_file(), bearer(provider.token()))
        assert answer.status_code == 503
    assert provider.fetches == 0


async def test_only_required_groups_upload(tmp_path: Path, provider: OidcProvider) -> None:
    """Others are authenticated, may do nothing, and get no account."""
    async with trusting(tmp_path, provider, "clinic", "devices") as edge:
        refused = await edge.upload(samples.good_file(), bearer(provider.token(groups=["guests"])))
        assert refused.status_code == 403
        answer = await edge.upload(samples.good_file(), bearer(provider.token()))
        assert answer.status_code == 201


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"scope": "openid ingest"}, 201),
        ({"scp": ["ingest"]}, 201),
        ({"scp": "ingest"}, 201),
        ({"scope": "openid ingestion"}, 403),
        ({"scope": "openid", "scp": ["ingest"]}, 403),
        ({"scope": 1}, 403),
        ({}, 403),
    ],
)
async def test_required_scopes_decide(
    tmp_path: Path, provider: OidcProvider, claims: dict[str, object], status: int
) -> None:
    """A token without all of them is authentic, and may do nothing."""
    issuer = OidcIssuerSettings(url=provider.issuer, audience=AUDIENCE, required_scopes=("ingest",))
    async with open_edge(tmp_path, oidc=OidcSettings(issuers=(issuer,))) as edge:
        answer = await edge.upload(samples.good_file(), bearer(provider.token("ada", **claims)))
        assert answer.status_code == status, answer.text


async def test_old_and_new_keys_are_accepted(tmp_path: Path, provider: OidcProvider) -> None:
    """While the provider publishes both, all concurrent requests succeed with one fetch."""
    async with trusting(tmp_path, provider) as edge:
        old = [provider.token(f"user {number}") for number in range(4)]
        provider.keys.insert(0, SigningKey())
        new = [provider.token(f"user {number}") for number in range(4)]
        answers = await asyncio.gather(
            *(edge.http.get("/v1/uploads", headers=bearer(token)) for token in old + new)
        )
        assert [answer.status_code for answer in answers] == [200] * 8
        assert provider.fetches == 1


async def test_a_deactivated_account_is_refused(tmp_path: Path, provider: OidcProvider) -> None:
    """The provider's token stays valid, and opens nothing in this installation."""
    async with trusting(tmp_path, provider) as edge:
        async with edge.runtime.engine.begin() as connection:
            account = account_of(provider.issuer, "ada")
            row = external_account(account, EXTERNAL_DOMAIN) | {"is_active": False}
            await connection.execute(insert(AccountRow).values(row))
        answer = await edge.http.get("/v1/uploads", headers=bearer(provider.token()))
        assert answer.status_code == 401


async def test_nobody_signs_in_as_a_user_of_the_provider(
    tmp_path: Path, provider: OidcProvider
) -> None:
    """The account has no password, and its address can be neither registered nor used."""
    async with trusting(tmp_path, provider) as edge:
        await edge.http.get("/v1/uploads", headers=bearer(provider.token()))
        email = external_account(account_of(provider.issuer, "ada"), EXTERNAL_DOMAIN)["email"]
        for password in (NO_PASSWORD, PASSWORD):
            assert (await edge.login(str(email), password)).status_code == 401
        account = {"email": email, "password": PASSWORD}
        assert (await edge.http.post("/auth/register", json=account)).status_code == 422
