import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import httpx
import pytest
from sqlalchemy import event

from healthingest_service.adapters.database.account_tables import AccountRow
from healthingest_service.api.app import create_app
from support.edge import AVRO, PASSWORD, Edge, open_edge
from support.samples import good_file

if TYPE_CHECKING:
    from sqlalchemy import Table

ACCOUNTS = cast("Table", AccountRow.__table__)


async def test_registers_and_shows_no_secret(edge: Edge) -> None:
    """A new account is shown as it is kept: address in lower case, no password, no hash."""
    answer = await edge.http.post(
        "/auth/register",
        json={
            "email": "Ada@Clinic.example",
            "password": PASSWORD,
            "first_name": "Ada",
            "last_name": "Example",
        },
    )
    account = answer.json()
    assert answer.status_code == 201
    assert (account["email"], account["first_name"], account["last_name"]) == (
        "ada@clinic.example",
        "Ada",
        "Example",
    )
    assert account["created_at"].endswith("Z")
    assert "password" not in answer.text


async def test_has_one_account_for_an_address(edge: Edge) -> None:
    """The same address in other letters is taken."""
    await edge.registered("ada@clinic.example")
    answer = await edge.http.post(
        "/auth/register", json={"email": "ADA@clinic.example", "password": PASSWORD}
    )
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
async def test_refuses_wrong_fields_without_repeating_them(
    edge: Edge, change: dict[str, object], code: str
) -> None:
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
async def test_refuses_what_is_no_registration(
    edge: Edge, content: bytes, kind: str, status: int
) -> None:
    """Broken JSON, another type, a long body: each its status, all of them problems."""
    answer = await edge.http.post("/auth/register", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )


async def test_answers_every_failed_login_alike(edge: Edge) -> None:
    """Unknown, wrong password, inactive: one status, one body, one set of headers."""
    known = await edge.registered()
    inactive = await edge.registered()
    async with edge.runtime.engine.begin() as connection:
        await connection.execute(
            ACCOUNTS.update().where(ACCOUNTS.c.email == inactive).values(is_active=False)
        )
    answers = [
        await edge.login("nobody@clinic.example"),
        await edge.login(known, "wrong horse"),
        await edge.login(inactive),
        await edge.login(known, "x" * 2000),
    ]
    ids = [answer.headers["x-correlation-id"] for answer in answers]
    assert {answer.status_code for answer in answers} == {401}
    assert (
        len({answer.text.replace(id_, "") for answer, id_ in zip(answers, ids, strict=True)}) == 1
    )
    assert {answer.headers["www-authenticate"] for answer in answers} == {
        'Bearer realm="healthingest"'
    }


async def test_exchanges_a_refresh_token_once(edge: Edge) -> None:
    """New tokens open the API; asked twice at one moment, the same refresh token comes."""
    tokens = (await edge.login(await edge.registered())).json()
    first, second = await asyncio.gather(
        *(
            edge.http.post("/auth/jwt/refresh", json={"refresh_token": tokens["refresh_token"]})
            for _ in range(2)
        )
    )
    assert (first.status_code, second.status_code) == (200, 200)
    assert (
        first.json()["refresh_token"] == second.json()["refresh_token"] != tokens["refresh_token"]
    )
    user = {"Authorization": f"Bearer {first.json()['access_token']}"}
    assert (await edge.upload(good_file(1), user)).status_code == 201


async def test_refuses_made_up_refresh_tokens(edge: Edge) -> None:
    """Unknown and overlong tokens are invalid, no more is told."""
    for token in ("x" * 43, "x" * 10_000, ""):
        answer = await edge.http.post("/auth/jwt/refresh", json={"refresh_token": token})
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (
            401,
            "invalid-token",
        )


async def test_logging_out_ends_the_session(edge: Edge) -> None:
    """After a logout neither token opens anything; another session of the account lives on."""
    email = await edge.registered()
    tokens = [(await edge.login(email)).json() for _ in range(2)]
    users = [{"Authorization": f"Bearer {one['access_token']}"} for one in tokens]
    assert (await edge.upload(good_file(1), users[0])).status_code == 201
    assert (await edge.http.post("/auth/jwt/logout", headers=users[0])).status_code == 204
    assert (await edge.upload(good_file(1), users[0])).status_code == 401
    refreshed = await edge.http.post(
        "/auth/jwt/refresh", json={"refresh_token": tokens[0]["refresh_token"]}
    )
    assert refreshed.status_code == 401
    assert (await edge.upload(good_file(1), users[1])).status_code == 200


WRONG = "wrong horse battery"
PROXY = {"trusted_proxies": ["192.0.2.0/24"]}
"""The edge's client is a proxy that is believed: a test sets where a request comes from."""


async def guess(edge: Edge, email: str, address: str, password: str = WRONG) -> httpx.Response:
    """The answer to a login from *address*."""
    form = {"username": email, "password": password}
    return await edge.http.post("/auth/jwt/login", data=form, headers={"X-Forwarded-For": address})


async def test_nobody_locks_the_owner_out(tmp_path: Path) -> None:
    """Ten wrong passwords slow down their address, and not the owner at another address."""
    async with open_edge(tmp_path, server=PROXY) as edge:
        email = await edge.registered()
        answers = [await guess(edge, email, "198.51.100.9") for _ in range(10)]
        statuses = [answer.status_code for answer in answers]
        assert statuses[:6] == [401] * 6
        assert 429 in statuses
        assert all(
            0 < int(one.headers["retry-after"]) <= 5 for one in answers if one.status_code == 429
        )
        assert (await guess(edge, email, "198.51.100.10", PASSWORD)).status_code == 200


async def test_an_account_under_attack_opens_to_known_devices(tmp_path: Path) -> None:
    """
    Beyond the ceiling of the account new addresses wait a moment.

    One that has refreshed a token does not.
    """
    limits = {"login_failures_per_account": 3, "login_delay_seconds_max": 60.0}
    async with open_edge(tmp_path, server=PROXY, limits=limits) as edge:
        email = await edge.registered()
        tokens = (await guess(edge, email, "203.0.113.1", PASSWORD)).json()
        moved = {"X-Forwarded-For": "203.0.113.2"}
        refresh = {"refresh_token": tokens["refresh_token"]}
        assert (
            await edge.http.post("/auth/jwt/refresh", json=refresh, headers=moved)
        ).status_code == 200
        for number in range(3):
            assert (await guess(edge, email, f"198.51.100.{number}")).status_code == 401
        # at once, because a busy machine may need longer for one hash than the other must wait
        fourth, honest = await asyncio.gather(
            guess(edge, email, "198.51.100.3"), guess(edge, email, "198.51.100.99", PASSWORD)
        )
        assert (fourth.status_code, honest.status_code) == (401, 429)
        for known in ("203.0.113.1", "203.0.113.2"):
            assert (await guess(edge, email, known, PASSWORD)).status_code == 200


async def test_devices_behind_one_address_are_no_attack(edge: Edge) -> None:
    """Forty logins and two hundred refreshes from one address: none is told to wait."""
    emails = [await edge.registered() for _ in range(4)]
    logins = [await edge.login(email) for _ in range(10) for email in emails]
    assert {answer.status_code for answer in logins} == {200}
    for answer in logins:
        token = answer.json()["refresh_token"]
        for _ in range(5):
            refreshed = await edge.http.post("/auth/jwt/refresh", json={"refresh_token": token})
            assert refreshed.status_code == 200
            token = refreshed.json()["refresh_token"]


async def test_refreshes_are_counted_by_session(tmp_path: Path) -> None:
    """
    One session too often: 429, and its token stays good.

    Another session of the account goes on.
    """
    async with open_edge(tmp_path, limits={"refreshes": "2/hour"}) as edge:
        email = await edge.registered()
        one, other = [(await edge.login(email)).json()["refresh_token"] for _ in range(2)]
        for _ in range(2):
            answer = await edge.http.post("/auth/jwt/refresh", json={"refresh_token": one})
            one = answer.json()["refresh_token"]
        assert (
            await edge.http.post("/auth/jwt/refresh", json={"refresh_token": one})
        ).status_code == 429
        assert (
            await edge.http.post("/auth/jwt/refresh", json={"refresh_token": other})
        ).status_code == 200


@pytest.mark.parametrize(
    ("registered", "stored"),
    [
        ("x@xn--exmple-cua.com", "x@ex\u00e4mple.com"),
        ("e\u0301va@clinic.example", "\u00e9va@clinic.example"),
        ("x@\uff43\uff4c\uff49\uff4e\uff49\uff43.example", "x@clinic.example"),
        ("Ada@CLINIC.example", "ada@clinic.example"),
    ],
)
async def test_an_address_logs_in_as_it_was_typed(edge: Edge, registered: str, stored: str) -> None:
    """
    Punycode, decomposed letters, full-width letters, capitals.

    One normal form, stored and looked up.
    """
    answer = await edge.http.post(
        "/auth/register", json={"email": registered, "password": PASSWORD}
    )
    assert (answer.status_code, answer.json()["email"]) == (201, stored)
    assert [
        (await edge.login(typed)).status_code for typed in (registered, stored, f" {stored} ")
    ] == [200] * 3
    again = await edge.http.post("/auth/register", json={"email": stored, "password": PASSWORD})
    assert again.status_code == 409


@pytest.mark.parametrize(
    "email", ["Ada <ada@clinic.example>", "ada", "a\u0000da@clinic.example", ""]
)
async def test_what_is_no_address_neither_registers_nor_logs_in(edge: Edge, email: str) -> None:
    """
    A display name, a text without a domain, a control character.

    422 at one door, 401 at the other.
    """
    answer = await edge.http.post("/auth/register", json={"email": email, "password": PASSWORD})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "invalid_email")
    assert (await edge.login(email)).status_code == 401


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "12345678",
        "Password1",
        "        ",
        "aaaaaaaabbbb",
        "ada.lovelace",
        "Ada.Lovelace@clinic.example",
    ],
)
async def test_refuses_a_password_that_is_guessed_first(edge: Edge, password: str) -> None:
    """The most common ones, too few different characters, the address or its first part."""
    given = {"email": "ada.lovelace@clinic.example", "password": password}
    answer = await edge.http.post("/auth/register", json=given)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (
        422,
        "unacceptable-password",
    )


async def test_a_long_password_counts_to_its_end(edge: Edge) -> None:
    """Each of 1024 characters is compared."""
    password = "correct horse" + "x" * 1010 + "y"
    given = {"email": "ada@clinic.example", "password": password}
    assert (await edge.http.post("/auth/register", json=given)).status_code == 201
    assert (await edge.login(given["email"], password[:-1])).status_code == 401
    assert (await edge.login(given["email"], password)).status_code == 200


async def test_a_new_installation_has_no_account(edge: Edge) -> None:
    """Neither an administrator nor any other one."""
    async with edge.runtime.engine.connect() as connection:
        assert (await connection.execute(ACCOUNTS.select())).all() == []


@pytest.mark.parametrize("name", ["a\u0000b", "a\r\nb", "a\u202eb", "a\u2066b", "\u2028"])
async def test_refuses_a_name_that_is_not_printed_as_it_is(edge: Edge, name: str) -> None:
    """Control characters, and characters that change the direction of other text."""
    for field in ("first_name", "last_name"):
        given = {"email": "ada@clinic.example", "password": PASSWORD, field: name}
        answer = await edge.http.post("/auth/register", json=given)
        assert (answer.status_code, answer.json()["errors"]) == (
            422,
            [{"location": [field], "code": "unprintable_characters"}],
        )


async def test_a_closed_installation_makes_no_accounts(tmp_path: Path) -> None:
    """Registration closed: 403."""
    async with open_edge(tmp_path, identity={"registration": "Closed"}) as edge:
        answer = await edge.http.post(
            "/auth/register", json={"email": "ada@clinic.example", "password": PASSWORD}
        )
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (
            403,
            "registration-closed",
        )


async def test_only_the_verified_log_in_where_so_set(tmp_path: Path) -> None:
    """Verified only: an account can be made, but opens nothing before it is verified."""
    async with open_edge(tmp_path, identity={"registration": "VerifiedOnly"}) as edge:
        email = await edge.registered()
        assert (await edge.login(email)).status_code == 401
        async with edge.runtime.engine.begin() as connection:
            await connection.execute(ACCOUNTS.update().values(is_verified=True))
        assert (await edge.login(email)).status_code == 200


async def test_secrets_are_not_cached(edge: Edge) -> None:
    """Answers with tokens say so, and have the form of OAuth 2.0."""
    answer = await edge.login(await edge.registered())
    assert answer.headers["cache-control"] == "no-store"
    assert {"access_token", "refresh_token", "token_type", "expires_in"} == set(
        json.loads(answer.text)
    )


async def test_a_full_queue_of_hashes_is_told_at_the_door(edge: Edge) -> None:
    """
    While all slots are taken, logins and registrations are answered with 503 and no statement.

    Uploads go on.
    """
    user = await edge.signed_in()
    email = await edge.registered()
    full = create_app(replace(edge.deps, is_password_queue_full=lambda: True))
    asked = list[str]()
    event.listen(
        edge.runtime.engine.sync_engine,
        "before_cursor_execute",
        lambda *given: asked.append(given[2]),
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=full), base_url="http://test"
    ) as http:
        login = await http.post("/auth/jwt/login", data={"username": email, "password": PASSWORD})
        new = {"email": "new@clinic.example", "password": PASSWORD}
        registration = await http.post("/auth/register", json=new)
        assert asked == []
        for answer in (login, registration):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert answer.json()["type"].endswith("/service-unavailable")
            assert answer.json()["cause"] == "accounts"
        assert (
            await http.post("/v1/upload", content=good_file(1), headers=AVRO | user)
        ).status_code == 201
