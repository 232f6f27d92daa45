from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from support.edge import PASSWORD, Edge, open_edge
from support.samples import good_file

NEXT = "another horse battery"
EMAIL = "ada@clinic.example"


def code_of(answer: httpx.Response) -> str:
    """Return the problem code of an answer."""
    return str(answer.json()["type"]).rpartition("/")[2]


async def signed_in(edge: Edge, email: str = EMAIL, password: str = PASSWORD) -> dict[str, str]:
    """Return the headers of a new session."""
    tokens = (await edge.login(email, password)).json()
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def sessions_of(edge: Edge, headers: dict[str, str]) -> list[dict[str, object]]:
    """Return the listed sessions."""
    answer = await edge.http.get("/auth/sessions", headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, object]] = answer.json()["sessions"]
    return found


async def test_shows_the_own_account(edge: Edge) -> None:
    """The account of the token: what registration answered, without a password."""
    registered = await edge.http.post(
        "/auth/register", json={"email": EMAIL, "password": PASSWORD, "first_name": "Ada"}
    )
    answer = await edge.http.get("/auth/me", headers=await signed_in(edge))
    assert (answer.status_code, answer.json()) == (200, registered.json())
    assert answer.headers["cache-control"] == "no-store"
    assert (await edge.http.get("/auth/me")).status_code == 401


async def test_changes_the_own_names(edge: Edge) -> None:
    """A given name changes, null removes it, others stay; nothing else can be changed."""
    await edge.registered(EMAIL)
    user = await signed_in(edge)

    async def change(**names: object) -> httpx.Response:
        return await edge.http.patch("/auth/me", headers=user, json=names)

    await change(first_name="Ada", last_name="Example")
    answer = await change(last_name=None)
    assert (answer.json()["first_name"], answer.json()["last_name"]) == ("Ada", None)
    assert (await edge.http.get("/auth/me", headers=user)).json() == answer.json()
    for wrong in ({"email": "x@clinic.example"}, {"is_verified": True}, {"first_name": "a\x07"}):
        refused = await change(**wrong)
        assert (refused.status_code, code_of(refused)) == (422, "invalid-request")


async def test_lists_and_ends_sessions(edge: Edge) -> None:
    """Every login is a session; an ended session has no valid access token."""
    await edge.registered(EMAIL)
    here, there = await signed_in(edge), await signed_in(edge)
    listed = await sessions_of(edge, here)
    assert [one["is_current"] for one in listed].count(True) == 1
    other = next(one for one in listed if not one["is_current"])
    assert other["refreshed_at"] is None
    assert (await edge.http.get("/auth/me", headers=there)).status_code == 200
    ended = await edge.http.delete(f"/auth/sessions/{other['id']}", headers=here)
    assert ended.status_code == 204
    assert (await edge.http.get("/auth/me", headers=there)).status_code == 401
    assert [one["is_current"] for one in await sessions_of(edge, here)] == [True]


async def test_shows_the_hour_of_a_refresh(edge: Edge) -> None:
    """The time of the last refresh has no minutes."""
    await edge.registered(EMAIL)
    tokens = (await edge.login(EMAIL)).json()
    refreshed = await edge.http.post(
        "/auth/jwt/refresh", json={"refresh_token": tokens["refresh_token"]}
    )
    user = {"Authorization": f"Bearer {refreshed.json()['access_token']}"}
    (one,) = await sessions_of(edge, user)
    assert str(one["refreshed_at"]).endswith(":00:00Z")


async def test_ends_all_other_sessions(edge: Edge) -> None:
    """The session of the request stays."""
    await edge.registered(EMAIL)
    here, *others = [await signed_in(edge) for _ in range(3)]
    for one in others:
        assert (await edge.http.get("/auth/me", headers=one)).status_code == 200
    assert (await edge.http.delete("/auth/sessions", headers=here)).status_code == 204
    assert [(await edge.http.get("/auth/me", headers=one)).status_code for one in others] == [
        401,
        401,
    ]
    assert len(await sessions_of(edge, here)) == 1


async def test_answers_sessions_of_others_like_unknown_ones(edge: Edge) -> None:
    """Foreign, unknown, ended and malformed ids get one answer, and nothing is ended."""
    await edge.registered(EMAIL)
    user, ended = await signed_in(edge), await signed_in(edge)
    stranger = await edge.signed_in()
    foreign = (await sessions_of(edge, stranger))[0]["id"]
    gone = next(one["id"] for one in await sessions_of(edge, ended) if one["is_current"])
    await edge.http.post("/auth/jwt/logout", headers=ended)
    answers = [
        await edge.http.delete(f"/auth/sessions/{one}", headers=user)
        for one in (foreign, uuid4(), gone, "x")
    ]
    texts = {one.text.replace(one.headers["x-correlation-id"], "") for one in answers}
    assert ({one.status_code for one in answers}, len(texts)) == ({404}, 1)
    assert code_of(answers[0]) == "session-not-found"
    assert (await edge.http.get("/auth/me", headers=stranger)).status_code == 200


async def test_changes_the_password(edge: Edge) -> None:
    """The new one logs in, the old one does not; all other sessions end."""
    await edge.registered(EMAIL)
    here = await signed_in(edge)
    there = (await edge.login(EMAIL)).json()
    answer = await edge.http.post(
        "/auth/change-password",
        headers=here,
        json={"current_password": PASSWORD, "new_password": NEXT},
    )
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await edge.upload(good_file(1), here)).status_code == 201
    revoked = await edge.http.post(
        "/auth/jwt/refresh", json={"refresh_token": there["refresh_token"]}
    )
    assert revoked.status_code == 401
    assert (await edge.login(EMAIL)).status_code == 401
    assert (await edge.login(EMAIL, NEXT)).status_code == 200


@pytest.mark.parametrize(
    ("current", "new", "status", "code"),
    [
        ("wrong horse", NEXT, 403, "wrong-password"),
        ("x" * 2000, NEXT, 403, "wrong-password"),
        (PASSWORD, "short", 422, "unacceptable-password"),
        (PASSWORD, EMAIL, 422, "unacceptable-password"),
    ],
)
async def test_refuses_a_password_change(
    edge: Edge, current: str, new: str, status: int, code: str
) -> None:
    """The current password is required, and the new one follows the rules; nothing changes."""
    await edge.registered(EMAIL)
    answer = await edge.http.post(
        "/auth/change-password",
        headers=await signed_in(edge),
        json={"current_password": current, "new_password": new},
    )
    assert (answer.status_code, code_of(answer)) == (status, code)
    assert (await edge.login(EMAIL)).status_code == 200


async def test_counts_wrong_current_passwords_as_failed_logins(tmp_path: Path) -> None:
    """A stolen access token does not allow more guesses than the login."""
    async with open_edge(
        tmp_path, limits={"login_failures_per_device": 1, "login_delay_seconds_max": 60.0}
    ) as edge:
        await edge.registered(EMAIL)
        user = await signed_in(edge)
        given = {"current_password": "wrong horse", "new_password": NEXT}
        answers = [
            await edge.http.post("/auth/change-password", headers=user, json=given)
            for _ in range(3)
        ]
        assert [one.status_code for one in answers] == [403, 403, 429]
        assert answers[2].headers["retry-after"]
        assert (await edge.login(EMAIL)).status_code == 429


async def close(edge: Edge, headers: dict[str, str], password: str = PASSWORD) -> httpx.Response:
    """Return the answer to the closing of an account."""
    return await edge.http.request(
        "DELETE", "/auth/me", headers=headers, json={"password": password}
    )


async def test_closes_an_account(edge: Edge) -> None:
    """
    Login and tokens end at once, and nothing personal is left in the row.

    The upload stays with the id, and the address can be registered again.
    """
    await edge.http.post(
        "/auth/register",
        json={
            "email": EMAIL,
            "password": PASSWORD,
            "first_name": "marker-first",
            "last_name": "marker-last",
        },
    )
    tokens = (await edge.login(EMAIL)).json()
    user = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert (await edge.upload(good_file(1), user)).status_code == 201
    refused = await close(edge, user, "wrong horse")
    assert (refused.status_code, code_of(refused)) == (403, "wrong-password")
    assert (await close(edge, user)).status_code == 204
    assert (await edge.http.get("/auth/me", headers=user)).status_code == 401
    refreshed = await edge.http.post(
        "/auth/jwt/refresh", json={"refresh_token": tokens["refresh_token"]}
    )
    assert (refreshed.status_code, (await edge.login(EMAIL)).status_code) == (401, 401)
    async with edge.runtime.engine.connect() as connection:
        (row,) = (await connection.exec_driver_sql("SELECT * FROM account")).all()
        (upload,) = (await connection.exec_driver_sql("SELECT owner_id FROM upload")).all()
    assert EMAIL not in str(row)
    assert "marker" not in str(row)
    assert "argon2" not in str(row)
    assert row.id.replace("-", "") == upload.owner_id.replace("-", "")
    await edge.registered(EMAIL)
    again = await signed_in(edge)
    assert (await edge.http.get("/v1/uploads", headers=again)).json()["uploads"] == []


async def test_the_last_administrator_stays(edge: Edge) -> None:
    """It is refused until another active account is an administrator."""
    emails = [await edge.registered() for _ in range(2)]
    first, second = [await signed_in(edge, email) for email in emails]

    async def promote(email: str) -> None:
        async with edge.runtime.engine.begin() as connection:
            await connection.exec_driver_sql(
                "UPDATE account SET is_superuser = true WHERE email = ?", (email,)
            )

    await promote(emails[0])
    refused = await close(edge, first)
    assert (refused.status_code, code_of(refused)) == (409, "last-administrator")
    await promote(emails[1])
    assert (await close(edge, first)).status_code == 204
    assert (await close(edge, second)).status_code == 409
