"""Sign-in at identity providers over HTTP, on SQLite and on PostgreSQL."""

import asyncio
import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from pydantic import SecretStr
from sqlalchemy import update

from healthingest_service.adapters.database.account_tables import AccountRow
from healthingest_service.adapters.oidc import MAX_BYTES
from healthingest_service.audit.model import Action, Outcome
from healthingest_service.identity.oidc import account_of
from healthingest_service.settings.groups import (
    GroupRoleSettings,
    OidcIssuerSettings,
    OidcSettings,
)
from healthingest_service.studies.model import Member, Role, StudySlug
from support.deadlines import HANG_SECONDS
from support.edge import Edge, open_edge
from support.servers.oidc_mock import MockProvider, mock_provider
from support.servers.oidc_provider import (
    AUDIENCE,
    CLIENT_ID,
    OidcProvider,
    SigningKey,
    open_oidc_provider,
)
from support.servers.process import ServerUnavailableError
from support.studies import study

PAGE = "https://app.example/signed-in"
PAST = 1_000_000_000
Opening = Callable[..., AbstractAsyncContextManager[Edge]]
"""Opens an API with settings of one identity provider."""


@dataclass(frozen=True)
class Attempt:
    """What a page keeps between the redirect and the login."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def challenge(self) -> str:
        """The challenge of the verifier (RFC 7636, 4.2)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def body(self, issuer: str, code: str, **other: str) -> dict[str, str]:
        """Return the request to log in, with *other* values."""
        return {
            "issuer": issuer,
            "code": code,
            "code_verifier": self.verifier,
            "redirect_uri": PAGE,
            "nonce": self.nonce,
        } | other


@pytest.fixture(name="provider")
async def _provider() -> AsyncIterator[OidcProvider]:
    async with open_oidc_provider() as provider:
        yield provider


@pytest.fixture(scope="module", name="mock")
def _mock() -> Iterator[MockProvider]:
    try:
        with mock_provider() as provider:
            yield provider
    except ServerUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(name="opening")
def _opening(tmp_path: Path, database_url: str) -> Opening:
    """Open an API with that database, at whose providers users sign in."""

    @asynccontextmanager
    async def opening(
        issuer: str,
        *,
        secret: str | None = None,
        timeout_seconds: float = 60,
        **fields: Any,  # noqa: ANN401 - as the settings take them
    ) -> AsyncIterator[Edge]:
        one = OidcIssuerSettings(
            url=issuer,
            audience=AUDIENCE,
            client_id=CLIENT_ID,
            redirect_uris=(PAGE,),
            **fields,
        )
        oidc = OidcSettings(
            issuers=(one,),
            timeout_seconds=timeout_seconds,
            client_secrets=SecretStr(json.dumps({issuer: secret})) if secret else None,
        )
        async with open_edge(tmp_path, database={"url": database_url}, oidc=oidc) as edge:
            yield edge

    return opening


def begun(provider: OidcProvider, attempt: Attempt, subject: str = "ada", **other: str) -> str:
    """Return the code after a sign-in of *subject* at the provider."""
    given = {"redirect_uri": PAGE, "nonce": attempt.nonce, "challenge": attempt.challenge}
    return provider.code(subject, **(given | other))


async def sent(edge: Edge, body: dict[str, str]) -> httpx.Response:
    """Return the answer to a request to log in."""
    return await edge.http.post("/auth/oidc/login", json=body)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Return status and problem code."""
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


def bearer(answer: httpx.Response) -> dict[str, str]:
    """Return the header with the access token of a login."""
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def test_signs_in_at_a_provider_of_another_project(
    opening: Opening, mock: MockProvider
) -> None:
    """The page learns from the list where to send the browser; the code gives a session."""
    attempt = Attempt()
    # It knows clients with a secret only, and accepts any one.
    scopes = ("openid", "email")
    async with opening(mock.issuer, secret="any", name="Clinic", scopes=scopes) as edge:
        (listed,) = (await edge.http.get("/auth/oidc")).json()["providers"]
        assert listed == {
            "name": "Clinic",
            "issuer": mock.issuer,
            "authorization_endpoint": f"{mock.issuer}/oauth2/authorize",
            "client_id": CLIENT_ID,
            "redirect_uris": [PAGE],
            "scopes": ["openid", "email"],
        }
        code = await mock.code(
            listed["authorization_endpoint"],
            "ada",
            client_id=CLIENT_ID,
            redirect_uri=PAGE,
            scope=" ".join(listed["scopes"]),
            nonce=attempt.nonce,
            code_challenge=attempt.challenge,
            code_challenge_method="S256",
        )
        answer = await sent(edge, attempt.body(mock.issuer, code))
        headers = bearer(answer)
        assert answer.headers["Cache-Control"] == "no-store"
        account = (await edge.http.get("/auth/me", headers=headers)).json()
        assert account["id"] == str(account_of(mock.issuer, "ada"))
        assert "ada" not in account["email"]
        again = await sent(edge, attempt.body(mock.issuer, code))
        assert code_of(again) == (401, "invalid-authorization-code")
        assert (await edge.http.get("/auth/me", headers=headers)).status_code == 200


async def test_bearer_tokens_and_sign_in_have_one_account(
    opening: Opening, provider: OidcProvider
) -> None:
    """The session is that of the account of the provider's access tokens."""
    attempt = Attempt()
    async with opening(provider.issuer) as edge:
        await edge.http.get(
            "/v1/uploads", headers={"Authorization": f"Bearer {provider.token('ada')}"}
        )
        answer = await sent(edge, attempt.body(provider.issuer, begun(provider, attempt)))
        account = (await edge.http.get("/auth/me", headers=bearer(answer))).json()
        assert account["id"] == str(account_of(provider.issuer, "ada"))
        refreshed = await edge.http.post(
            "/auth/jwt/refresh", json={"refresh_token": answer.json()["refresh_token"]}
        )
        assert (
            await edge.http.post("/auth/jwt/logout", headers=bearer(refreshed))
        ).status_code == 204


@pytest.mark.parametrize("methods", [["client_secret_basic"], ["client_secret_post"]], ids=str)
async def test_a_client_with_a_secret_authenticates(
    opening: Opening, provider: OidcProvider, methods: list[str]
) -> None:
    """In the header or the form, as the provider supports it; a wrong secret is our fault: 503."""
    provider.secret = "s:cret+ä"
    provider.metadata["token_endpoint_auth_methods_supported"] = methods
    attempt = Attempt()
    async with opening(provider.issuer, secret=provider.secret) as edge:
        body = attempt.body(provider.issuer, begun(provider, attempt))
        assert (await sent(edge, body)).status_code == 200
        provider.secret = "another"
        answer = await sent(edge, attempt.body(provider.issuer, begun(provider, attempt)))
        assert code_of(answer) == (503, "service-unavailable")
        assert answer.json()["cause"] == "identity-provider"


async def test_a_code_is_worth_nothing_to_others(opening: Opening, provider: OidcProvider) -> None:
    """A stolen code lacks the verifier or the nonce, and a code is exchanged once."""
    mine, other = Attempt(), Attempt()
    async with opening(provider.issuer) as edge:
        code = begun(provider, mine)
        wrong = other.body(provider.issuer, code, nonce=mine.nonce)
        assert code_of(await sent(edge, wrong)) == (401, "invalid-authorization-code")
        stolen = begun(provider, mine)
        wrong = mine.body(provider.issuer, stolen, nonce=other.nonce)
        assert code_of(await sent(edge, wrong)) == (401, "invalid-authorization-code")
        body = mine.body(provider.issuer, begun(provider, mine))
        assert (await sent(edge, body)).status_code == 200
        assert code_of(await sent(edge, body)) == (401, "invalid-authorization-code")


async def test_only_configured_places_are_used(opening: Opening, provider: OidcProvider) -> None:
    """A foreign redirect URI or provider is refused, and the provider is not asked."""
    attempt = Attempt()
    async with opening(provider.issuer) as edge:
        code = begun(provider, attempt)
        for uri in ("https://evil.example/", f"{PAGE}/", f"{PAGE}?x=1"):
            answer = await sent(edge, attempt.body(provider.issuer, code, redirect_uri=uri))
            assert code_of(answer) == (403, "redirect-uri-not-permitted")
        answer = await sent(edge, attempt.body(f"{provider.issuer}/", code))
        assert code_of(answer) == (404, "identity-provider-not-found")
        assert (provider.exchanges, provider.fetches) == (0, 0)


async def test_a_redirect_of_another_provider_is_refused(
    opening: Opening, provider: OidcProvider
) -> None:
    """With RFC 9207 the redirect names its provider; without the name it is refused, too."""
    provider.metadata["authorization_response_iss_parameter_supported"] = True
    attempt = Attempt()
    async with opening(provider.issuer) as edge:
        code = begun(provider, attempt)
        body = attempt.body(provider.issuer, code)
        for wrong in (body, body | {"iss": "https://evil.example"}):
            assert code_of(await sent(edge, wrong)) == (401, "invalid-authorization-code")
        assert provider.exchanges == 0
        assert (await sent(edge, body | {"iss": provider.issuer})).status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"aud": [CLIENT_ID, "another"]},
        {"azp": "another"},
        {"iss": "https://another.example"},
        {"exp": PAST},
        {"nonce": None},
        {"nonce": 7},
        {"sub": None},
    ],
    ids=str,
)
async def test_a_wrong_id_token_is_refused(
    opening: Opening, provider: OidcProvider, claims: dict[str, object]
) -> None:
    """Nothing of it is in the answer, and no session begins."""
    provider.id_claims = claims
    attempt = Attempt()
    async with opening(provider.issuer) as edge:
        answer = await sent(edge, attempt.body(provider.issuer, begun(provider, attempt)))
        assert code_of(answer) == (401, "invalid-authorization-code")


async def test_an_id_token_of_another_key_is_refused(
    opening: Opening, provider: OidcProvider
) -> None:
    """The signature is that of a published key; a new key of the provider is found."""
    attempt = Attempt()
    async with opening(provider.issuer) as edge:
        claims = jwt.decode(provider.token(), options={"verify_signature": False})
        forged = SigningKey(provider.keys[0].id)
        claims |= {"aud": CLIENT_ID, "nonce": attempt.nonce}
        token = jwt.encode(claims, forged.private, "RS256", headers={"kid": forged.id})
        provider.answer = f'{{"id_token": "{token}"}}'.encode()
        answer = await sent(edge, attempt.body(provider.issuer, begun(provider, attempt)))
        assert code_of(answer) == (401, "invalid-authorization-code")


async def test_the_groups_of_the_id_token_decide(opening: Opening, provider: OidcProvider) -> None:
    """Without a required group there is no account and no session."""
    attempt = Attempt()
    async with opening(provider.issuer, required_groups=("clinic",)) as edge:
        provider.id_claims = {"groups": ["guests"]}
        answer = await sent(edge, attempt.body(provider.issuer, begun(provider, attempt)))
        assert code_of(answer) == (403, "group-missing")
        provider.id_claims = {}
        answer = await sent(edge, attempt.body(provider.issuer, begun(provider, attempt)))
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"{}", b'{"id_token": 7}', b'{"id_token": "%s"}' % (b"x" * MAX_BYTES)],
    ids=["empty", "list", "without", "number", "long"],
)
async def test_an_unusable_answer_is_an_outage(
    opening: Opening, provider: OidcProvider, answer: bytes
) -> None:
    """It is read up to a limit."""
    provider.answer = answer
    attempt = Attempt()
    async with opening(provider.issuer) as edge:
        found = await sent(edge, attempt.body(provider.issuer, begun(provider, attempt)))
        assert code_of(found) == (503, "service-unavailable")


async def test_a_provider_that_hangs_has_a_deadline(
    opening: Opening, provider: OidcProvider
) -> None:
    """Then the answer is 503, and other logins continue meanwhile."""
    attempt = Attempt()
    provider.open.clear()
    async with opening(provider.issuer, timeout_seconds=2) as edge, asyncio.timeout(HANG_SECONDS):
        code = begun(provider, attempt)
        hanging = asyncio.create_task(sent(edge, attempt.body(provider.issuer, code)))
        await edge.signed_in()
        answer = await hanging
        assert code_of(answer) == (503, "service-unavailable")
        assert "Retry-After" in answer.headers


async def test_a_provider_that_is_down_is_an_outage(
    opening: Opening, provider: OidcProvider
) -> None:
    """It is listed without an endpoint, so that a page can say so; own logins continue."""
    provider.status = 500
    attempt = Attempt()
    async with opening(provider.issuer) as edge:
        (listed,) = (await edge.http.get("/auth/oidc")).json()["providers"]
        assert listed["authorization_endpoint"] is None
        assert listed["name"] == "127.0.0.1"
        answer = await sent(edge, attempt.body(provider.issuer, begun(provider, attempt)))
        assert code_of(answer) == (503, "service-unavailable")
        assert answer.json()["cause"] == "identity-provider"
        assert provider.exchanges == 0
        await edge.signed_in()


async def test_a_provider_without_pkce_offers_no_sign_in(
    opening: Opening, provider: OidcProvider
) -> None:
    """PKCE with S256 is required (RFC 9700, 2.1.1); its access tokens are still accepted."""
    provider.metadata["code_challenge_methods_supported"] = ["plain"]
    attempt = Attempt()
    async with opening(provider.issuer) as edge:
        answer = await sent(edge, attempt.body(provider.issuer, begun(provider, attempt)))
        assert code_of(answer) == (503, "service-unavailable")
        headers = {"Authorization": f"Bearer {provider.token()}"}
        assert (await edge.http.get("/v1/uploads", headers=headers)).status_code == 200


async def roles_at(edge: Edge, headers: dict[str, str]) -> dict[str, list[str]]:
    """Return the caller's roles, by study."""
    answer = await edge.http.get("/v1/studies", headers=headers)
    assert answer.status_code == 200, answer.text
    return {one["slug"]: one["roles"] for one in answer.json()["studies"] if one["roles"]}


def rule(group: str, *roles: Role) -> GroupRoleSettings:
    """Return the rule that gives *roles* in the study `sleep`."""
    return GroupRoleSettings(group=group, study="sleep", roles=frozenset(roles))


async def test_roles_follow_the_groups_of_a_sign_in(opening: Opening, mock: MockProvider) -> None:
    """A user who gains a group gets its roles; who loses it, loses them, and no others."""
    subject = secrets.token_hex(8)
    given = (rule("readers", Role.READER), rule("managers", Role.MANAGER, Role.READER))
    account = account_of(mock.issuer, subject)

    async def signed_in(edge: Edge, *groups: str) -> dict[str, str]:
        await mock.set_user(subject, groups=groups)
        attempt = Attempt()
        code = await mock.code(
            f"{mock.issuer}/oauth2/authorize",
            subject,
            client_id=CLIENT_ID,
            redirect_uri=PAGE,
            scope="openid",
            nonce=attempt.nonce,
        )
        return bearer(await sent(edge, attempt.body(mock.issuer, code)))

    async with opening(mock.issuer, secret="any", group_roles=given) as edge:
        await edge.deps.studies.create(study("sleep"))
        headers = await signed_in(edge)
        assert await roles_at(edge, headers) == {}
        await edge.deps.studies.put_member(
            StudySlug("sleep"), Member(account, frozenset({Role.UPLOADER}))
        )
        headers = await signed_in(edge, "readers", "managers", "others")
        assert await roles_at(edge, headers) == {"sleep": ["manager", "reader", "uploader"]}
        members = await edge.http.get("/v1/studies/sleep/members", headers=headers)
        assert members.json()["members"] == [
            {
                "account_id": str(account),
                "roles": ["uploader"],
                "group_roles": ["manager", "reader"],
            }
        ]
        assert await roles_at(edge, await signed_in(edge, "readers")) == {
            "sleep": ["reader", "uploader"]
        }
        assert await roles_at(edge, headers) == {"sleep": ["reader", "uploader"]}
        assert await roles_at(edge, await signed_in(edge)) == {"sleep": ["uploader"]}


async def test_roles_follow_the_groups_of_the_newest_access_token(
    opening: Opening, provider: OidcProvider
) -> None:
    """An older token is still valid, but gives back no role; a lost required group takes them."""
    given = (rule("clinic", Role.READER),)
    async with opening(provider.issuer, group_roles=given, required_groups=("staff",)) as edge:
        await edge.deps.studies.create(study("sleep"))
        now = int(time.time())
        tokens = [
            provider.token(iat=now - 60, groups=["staff", "clinic"], jti="1"),
            provider.token(iat=now - 50, groups=["staff"], jti="2"),
            provider.token(iat=now - 55, groups=["staff", "clinic"], jti="3"),
            provider.token(iat=now - 40, groups=["staff", "clinic"], jti="4"),
        ]
        found = [await roles_at(edge, {"Authorization": f"Bearer {token}"}) for token in tokens]
        assert found == [{"sleep": ["reader"]}, {}, {}, {"sleep": ["reader"]}]
        guest = provider.token(iat=now - 30, groups=["clinic"], jti="5")
        for token, status in ((guest, 403), (tokens[3], 200)):
            headers = {"Authorization": f"Bearer {token}"}
            assert (await edge.http.get("/v1/uploads", headers=headers)).status_code == status
        assert await roles_at(edge, {"Authorization": f"Bearer {tokens[3]}"}) == {}


async def test_sign_ins_are_recorded_and_counted(opening: Opening, provider: OidcProvider) -> None:
    """A success with account and session, a refusal with its reason; both count for the limit."""
    attempt = Attempt()
    async with opening(provider.issuer) as edge:
        body = attempt.body(provider.issuer, begun(provider, attempt))
        answer = await sent(edge, body)
        assert answer.headers["RateLimit-Policy"]
        await sent(edge, body)
        found = [one.event for one in await edge.runtime.audit.unchained(after=0, limit=9)]
        done, refused = (one for one in found if one.action is Action.LOGIN)
        assert (done.outcome, done.account_id) == (
            Outcome.DONE,
            account_of(provider.issuer, "ada"),
        )
        session = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
        assert done.object_id == session["sid"]
        assert (refused.outcome, refused.reason) == (
            Outcome.REFUSED,
            "invalid-authorization-code",
        )


async def test_a_deactivated_account_does_not_sign_in(
    opening: Opening, provider: OidcProvider
) -> None:
    """Although the provider accepts its user."""
    attempt = Attempt()
    async with opening(provider.issuer) as edge:
        answer = await sent(edge, attempt.body(provider.issuer, begun(provider, attempt)))
        assert answer.status_code == 200
        column = AccountRow.__table__.c
        async with edge.runtime.engine.begin() as connection:
            this = column.id == account_of(provider.issuer, "ada")
            await connection.execute(update(AccountRow).where(this).values(is_active=False))
        answer = await sent(edge, attempt.body(provider.issuer, begun(provider, attempt)))
        assert code_of(answer) == (401, "invalid-credentials")
