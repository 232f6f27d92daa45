"""The routes of device tokens, and uploads with them."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from healthingest_service.identity.device_tokens import MAX_TOKENS, new_device_token
from healthingest_service.settings.groups import LimitsSettings
from support import samples
from support.edge import Edge, open_edge


async def created(edge: Edge, owner: dict[str, str], **given: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a new token."""
    answer = await edge.http.post("/v1/tokens", json={"name": "watch"} | given, headers=owner)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/v1/tokens/{found['id']}"
    assert answer.headers["Cache-Control"] == "no-store"
    return found


def bearer(token: dict[str, Any]) -> dict[str, str]:
    """Return the header with a token."""
    return {"Authorization": f"Bearer {token['token']}"}


async def test_a_device_uploads_for_its_account(edge: Edge) -> None:
    """The owner sees the upload; the device may not read unless it has that scope."""
    owner = await edge.signed_in()
    device = await created(edge, owner)
    assert device["scopes"] == ["upload:write"]
    sent = await edge.upload(samples.good_file(), bearer(device))
    assert sent.status_code == 201, sent.text
    place = sent.headers["Location"]
    assert (await edge.http.get(place, headers=owner)).status_code == 200
    assert (await edge.http.get(place, headers=bearer(device))).status_code == 403
    reading = await created(edge, owner, scopes=["upload:read"])
    assert (await edge.http.get(place, headers=bearer(reading))).status_code == 200
    assert (await edge.upload(samples.good_file(), bearer(reading))).status_code == 403


async def test_the_text_is_shown_once(edge: Edge) -> None:
    """The list has names and times only; a use is noted by the hour."""
    owner = await edge.signed_in()
    device = await created(edge, owner, name="Küche")
    await edge.upload(samples.good_file(), bearer(device))
    answer = await edge.http.get("/v1/tokens", headers=owner)
    (listed,) = answer.json()["tokens"]
    assert listed.pop("last_used_at").endswith(":00:00Z")
    assert listed == {
        name: value for name, value in device.items() if name not in {"token", "last_used_at"}
    }
    assert device["token"] not in answer.text
    assert (await edge.http.get("/v1/tokens", headers=await edge.signed_in())).json() == {
        "tokens": []
    }


async def test_a_revoked_token_is_refused(edge: Edge) -> None:
    """At once in this process; a foreign, an unknown and a malformed id are answered alike."""
    owner = await edge.signed_in()
    device = await created(edge, owner)
    assert (await edge.upload(samples.good_file(), bearer(device))).status_code == 201
    foreign = await edge.signed_in()
    unknown = [f"/v1/tokens/{one}" for one in (uuid4(), "x")]
    for path, caller in [(f"/v1/tokens/{device['id']}", foreign), *((p, owner) for p in unknown)]:
        answer = await edge.http.delete(path, headers=caller)
        assert (answer.status_code, answer.json()["title"]) == (404, "Token not found")
    for _ in range(2):
        gone = await edge.http.delete(f"/v1/tokens/{device['id']}", headers=owner)
        assert gone.status_code == 204
    assert (await edge.upload(samples.good_file(), bearer(device))).status_code == 401
    assert (await edge.http.get("/v1/tokens", headers=owner)).json() == {"tokens": []}


async def test_a_device_cannot_make_tokens(edge: Edge) -> None:
    """Nor list or revoke them: a stolen one must not outlive its revocation."""
    owner = await edge.signed_in()
    device = await created(edge, owner, scopes=["upload:write", "upload:read"])
    for method, path in (
        ("POST", "/v1/tokens"),
        ("GET", "/v1/tokens"),
        ("DELETE", f"/v1/tokens/{device['id']}"),
        ("GET", "/auth/me"),
    ):
        answer = await edge.http.request(method, path, headers=bearer(device), json={"name": "x"})
        assert answer.status_code == 403, path
        assert 'scope="account"' in answer.headers["WWW-Authenticate"]
    asked = {"name": "x", "scopes": ["account"]}
    assert (await edge.http.post("/v1/tokens", json=asked, headers=owner)).status_code == 422


@pytest.mark.parametrize(
    "given",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"name": "a\u202eb"},
        {"scopes": []},
        {"scopes": ["admin"]},
        {"expires_in_days": 0},
        {"expires_in_days": 3651},
        {"owner": "x"},
    ],
    ids=str,
)
async def test_a_wrong_wish_is_refused(edge: Edge, given: dict[str, Any]) -> None:
    """Nothing is created."""
    owner = await edge.signed_in()
    answer = await edge.http.post("/v1/tokens", json={"name": "watch"} | given, headers=owner)
    assert answer.status_code == 422
    assert (await edge.http.get("/v1/tokens", headers=owner)).json() == {"tokens": []}


async def test_unknown_and_mistyped_tokens_are_refused(edge: Edge) -> None:
    """A token of the right form that nobody has, and one without its checksum."""
    for text in (new_device_token(), f"{new_device_token()[:-1]}_", "hi_"):
        headers = {"Authorization": f"Bearer {text}"}
        assert (await edge.upload(samples.good_file(), headers)).status_code == 401


async def test_each_token_has_its_own_limit(tmp_path: Path) -> None:
    """The devices of a clinic do not share the uploads of its account."""
    async with open_edge(tmp_path, limits=LimitsSettings(uploads="2/hour")) as edge:
        owner = await edge.signed_in()
        for device in [await created(edge, owner) for _ in range(2)]:
            answers = [
                await edge.upload(samples.good_file(seed=number), bearer(device))
                for number in range(3)
            ]
            assert [answer.status_code for answer in answers][1:] == [answers[1].status_code, 429]
            assert answers[0].status_code in {200, 201}


async def test_an_account_has_a_limited_number(tmp_path: Path) -> None:
    """Revoking one makes room."""
    async with open_edge(tmp_path, limits=LimitsSettings(requests="1000/hour")) as edge:
        owner = await edge.signed_in()
        last = {}
        for _ in range(MAX_TOKENS):
            last = await created(edge, owner)
        answer = await edge.http.post("/v1/tokens", json={"name": "x"}, headers=owner)
        assert (answer.status_code, answer.json()["title"]) == (409, "Too many device tokens")
        await edge.http.delete(f"/v1/tokens/{last['id']}", headers=owner)
        await created(edge, owner)


async def test_a_token_expires(edge: Edge) -> None:
    """At the time that the answer names; without a lifetime it never does."""
    owner = await edge.signed_in()
    device = await created(edge, owner, expires_in_days=1)
    times = [datetime.fromisoformat(device[name]) for name in ("created_at", "expires_at")]
    assert times[1] - times[0] == timedelta(days=1)
    assert (await created(edge, owner, expires_in_days=None))["expires_at"] is None
