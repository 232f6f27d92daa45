import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from healthingest_service.adapters.database.account_tables import AccountRow
from support.edge import PASSWORD, Edge, open_edge
from support.samples import good_file

if TYPE_CHECKING:
    from sqlalchemy import Table

ACCOUNTS = cast("Table", AccountRow.__table__)


async def test_registers_and_shows_no_secret(edge: Edge) -> None:
    """A new account is shown as it is kept: address in lower case, no password, no hash."""
    answer = await edge.http.post(
        "/auth/register",
        json={"email": "Ada@Clinic.example", "password": PASSWORD, "first_name": "Ada", "last_name": "Example"},
    )
    account = answer.json()
    assert answer.status_code == 201
    assert (account["email"], account["first_name"], account["last_name"]) == ("ada@clinic.example", "Ada", "Example")
    assert account["created_at"].endswith("Z")
    assert "password" not in answer.text


async def test_has_one_account_for_an_address(edge: Edge) -> None:
    """The same address in other letters is taken."""
    await edge.registered("ada@clinic.example")
    answer = await edge.http.post("/auth/register", json={"email": "ADA@clinic.example", "password": PASSWORD})
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (409, "account-exists")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"password": "short"}, "unacceptable-password"),
        ({"password": "x" * 1025}, "unacceptable-password"),
        ({"password": "ada@clinic.example"}, "unacceptable-password"),
        ({"email": "marker-no-address"}, "invalid-request"),
        ({"is_superuser": True}, "invalid-request"),
        ({"marker-field": 1}, "invalid-request"),
        ({"first_name": 5}, "invalid-request"),
    ],
)
async def test_refuses_wrong_fields_without_repeating_them(edge: Edge, change: dict[str, object], code: str) -> None:
    """What is wrong is named by place and code; nothing that was sent comes back."""
    given = {"email": "ada@clinic.example", "password": PASSWORD} | change
    answer = await edge.http.post("/auth/register", json=given)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (422, code)
    assert "marker" not in answer.text
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 422),
        (b"\xff", "application/json", 422),
        (b"{}", "text/plain", 415),
        (b'{"x": "' + b"y" * 20_000 + b'"}', "application/json", 413),
    ],
)
async def test_refuses_what_is_no_registration(edge: Edge, content: bytes, kind: str, status: int) -> None:
    """Broken JSON, another type, a long body: each its status, all of them problems."""
    answer = await edge.http.post("/auth/register", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_answers_every_failed_login_alike(edge: Edge) -> None:
    """Unknown, wrong password, inactive: one status, one body, one set of headers."""
    known, inactive = await edge.registered(), await edge.registered()
    async with edge.ground.engine.begin() as connection:
        await connection.execute(ACCOUNTS.update().where(ACCOUNTS.c.email == inactive).values(is_active=False))
    answers = [
        await edge.login("nobody@clinic.example"),
        await edge.login(known, "wrong horse"),
        await edge.login(inactive),
        await edge.login(known, "x" * 2000),
    ]
    ids = [answer.headers["x-correlation-id"] for answer in answers]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text.replace(id_, "") for answer, id_ in zip(answers, ids, strict=True)}) == 1
    assert {answer.headers["www-authenticate"] for answer in answers} == {'Bearer realm="healthingest"'}


async def test_exchanges_a_refresh_token_once(edge: Edge) -> None:
    """New tokens open the API; asked twice at one moment, the same refresh token comes."""
    tokens = (await edge.login(await edge.registered())).json()
    first, second = await asyncio.gather(
        *(edge.http.post("/auth/jwt/refresh", json={"refresh_token": tokens["refresh_token"]}) for _ in range(2))
    )
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["refresh_token"] == second.json()["refresh_token"] != tokens["refresh_token"]
    user = {"Authorization": f"Bearer {first.json()['access_token']}"}
    assert (await edge.upload(good_file(1), user)).status_code == 201


async def test_refuses_made_up_refresh_tokens(edge: Edge) -> None:
    """Unknown and overlong tokens are invalid, no more is told."""
    for token in ("x" * 43, "x" * 10_000, ""):
        answer = await edge.http.post("/auth/jwt/refresh", json={"refresh_token": token})
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (401, "invalid-token")


async def test_logging_out_ends_the_session(edge: Edge) -> None:
    """After a logout neither token opens anything; another session of the account lives on."""
    email = await edge.registered()
    tokens = [(await edge.login(email)).json() for _ in range(2)]
    users = [{"Authorization": f"Bearer {one['access_token']}"} for one in tokens]
    assert (await edge.upload(good_file(1), users[0])).status_code == 201
    assert (await edge.http.post("/auth/jwt/logout", headers=users[0])).status_code == 204
    assert (await edge.upload(good_file(1), users[0])).status_code == 401
    refreshed = await edge.http.post("/auth/jwt/refresh", json={"refresh_token": tokens[0]["refresh_token"]})
    assert refreshed.status_code == 401
    assert (await edge.upload(good_file(1), users[1])).status_code == 200


async def test_limits_guesses_by_account_and_address(tmp_path: Path) -> None:
    """Guesses at one account end whatever address they come from; so do guesses of one address at many accounts."""
    trusted = {"trusted_proxies": ["192.0.2.0/24"]}
    async with open_edge(tmp_path, limits={"logins": "3/minute"}, server=trusted) as edge:
        statuses = []
        for number in range(4):
            answer = await edge.http.post(
                "/auth/jwt/login",
                data={"username": "ada@clinic.example", "password": "guess"},
                headers={"X-Forwarded-For": f"198.51.100.{number}"},
            )
            statuses.append(answer.status_code)
        assert statuses == [401, 401, 401, 429]
        many = [(await edge.login(f"{name}@clinic.example")).status_code for name in "abcd"]
        assert many == [401, 401, 401, 429]


async def test_a_closed_installation_makes_no_accounts(tmp_path: Path) -> None:
    """Registration closed: 403."""
    async with open_edge(tmp_path, identity={"registration": "Closed"}) as edge:
        answer = await edge.http.post("/auth/register", json={"email": "ada@clinic.example", "password": PASSWORD})
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (403, "registration-closed")


async def test_only_the_verified_log_in_where_so_set(tmp_path: Path) -> None:
    """Verified only: an account can be made, but opens nothing before it is verified."""
    async with open_edge(tmp_path, identity={"registration": "VerifiedOnly"}) as edge:
        email = await edge.registered()
        assert (await edge.login(email)).status_code == 401
        async with edge.ground.engine.begin() as connection:
            await connection.execute(ACCOUNTS.update().values(is_verified=True))
        assert (await edge.login(email)).status_code == 200


async def test_secrets_are_not_cached(edge: Edge) -> None:
    """Answers with tokens say so, and have the form of OAuth 2.0."""
    answer = await edge.login(await edge.registered())
    assert answer.headers["cache-control"] == "no-store"
    assert {"access_token", "refresh_token", "token_type", "expires_in"} == set(json.loads(answer.text))
