"""Devices of a study: enrolled by a code, bound to study and subject, revoked by a manager."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from support import samples
from support.edge import Edge, open_edge
from support.study_people import LIMITS, NEW, SLEEP, SUBJECT, Person, code, person

ENROLMENTS = f"{SLEEP}/enrolments"
ABOUT = {"Healthingest-Study": "sleep", "Healthingest-Subject": "P-1"}


@pytest.fixture(name="edge")
async def _edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with open_edge(tmp_path, limits=LIMITS | {"logins": "1000/minute"}) as opened:
        yield opened


@pytest.fixture(name="manager")
async def _manager(edge: Edge) -> Person:
    return await person(edge, roles=("manager",))


# ANN401: any JSON
async def enrolment(manager: Person, **given: Any) -> dict[str, Any]:  # noqa: ANN401
    """A new code."""
    answer = await manager.sends("POST", ENROLMENTS, given)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    made: dict[str, Any] = answer.json()
    return made


async def redeemed(edge: Edge, text: str, **headers: str) -> httpx.Response:
    """The answer to a device."""
    wish = {"code": text, "name": "watch"}
    return await edge.http.post("/v1/enrolments/redeem", json=wish, headers=headers)


async def device(edge: Edge, manager: Person, **given: Any) -> dict[str, str]:  # noqa: ANN401
    """The headers of an enrolled device."""
    answer = await redeemed(edge, (await enrolment(manager, **given))["code"])
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def test_a_device_uploads_about_its_subject(edge: Edge, manager: Person) -> None:
    """It names nothing; its token supplies study and subject."""
    headers = await device(edge, manager, subject="P-1")
    assert (await edge.upload(samples.good_file(), headers)).status_code == 201
    (listed,) = (await manager.sends("GET", f"{SLEEP}/uploads")).json()["uploads"]
    assert (listed["study"], listed["subject"]) == ("sleep", "P-1")
    same = await edge.upload(samples.good_file(), headers | ABOUT)
    assert same.status_code == 200


@pytest.mark.parametrize(
    "named",
    [
        {"Healthingest-Study": "default"},
        {"Healthingest-Study": "other"},
        {"Healthingest-Subject": "P-2"},
        ABOUT | {"Healthingest-Subject": "P-2"},
    ],
    ids=lambda named: " ".join(named.values()),
)
async def test_a_contradiction_is_refused(
    edge: Edge, manager: Person, named: dict[str, str]
) -> None:
    """In headers and in a form, before anything is stored."""
    headers = await device(edge, manager, subject="P-1")
    answer = await edge.upload(samples.good_file(), headers | named)
    assert code(answer) == "403 bound-token"
    fields = {name.rpartition("-")[2].lower(): value for name, value in named.items()}
    form = await edge.http.post(
        "/v1/upload", headers=headers, data=fields, files={"file": samples.good_file()}
    )
    assert form.status_code == 403
    assert edge.objects() == []


async def test_a_device_of_a_study_names_the_subject(edge: Edge, manager: Person) -> None:
    """A bound token without a subject serves each subject, such as a device at the clinic."""
    headers = await device(edge, manager)
    assert code(await edge.upload(samples.good_file(), headers)) == "422 subject-missing"
    for subject in ("P-1", "P-2"):
        about = {"Healthingest-Subject": subject}
        answer = await edge.upload(samples.good_file(), headers | about)
        assert answer.status_code == 201


async def test_a_form_completes_the_token(edge: Edge, manager: Person) -> None:
    """The study comes from the token, the subject from the form."""
    headers = await device(edge, manager)
    answer = await edge.http.post(
        "/v1/upload",
        headers=headers,
        data={"subject": "P-3"},
        files={"file": samples.good_file()},
    )
    assert answer.status_code == 201, answer.text
    (listed,) = (await manager.sends("GET", f"{SLEEP}/uploads")).json()["uploads"]
    assert listed["subject"] == "P-3"


async def test_a_device_sees_its_own_uploads_only(edge: Edge, manager: Person) -> None:
    """With the scope to read; the routes of people are closed to it."""
    wish = {"scopes": ["upload:write", "upload:read"], "subject": "P-1"}
    first, second = [await device(edge, manager, **wish) for _ in range(2)]
    await edge.upload(samples.good_file(), first)
    counts = [
        len((await edge.http.get("/v1/uploads", headers=headers)).json()["uploads"])
        for headers in (first, second)
    ]
    assert counts == [1, 0]
    for path in (f"{SLEEP}/subjects", f"{SLEEP}/tokens", "/auth/me", "/v1/tokens"):
        assert code(await edge.http.get(path, headers=first)) == "403 missing-scope"


async def test_a_code_works_once(edge: Edge, manager: Person) -> None:
    """A repetition with the same key gets the same token; mistyped and unknown ones nothing."""
    text = (await enrolment(manager))["code"]
    first = await redeemed(edge, text.lower(), **{"Idempotency-Key": "device-1"})
    again = await redeemed(edge, text, **{"Idempotency-Key": "device-1"})
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    for other in (await redeemed(edge, text), await redeemed(edge, "AAAAA-AAAAA-AAAAA-AAAAA")):
        assert code(other) == "400 invalid-enrolment-code"


async def test_a_cancelled_code_is_worth_nothing(edge: Edge, manager: Person) -> None:
    """Cancelling twice, or what does not exist, is no error."""
    made = await enrolment(manager)
    for id_ in (made["id"], made["id"], uuid4(), "x"):
        assert (await manager.sends("DELETE", f"{ENROLMENTS}/{id_}")).status_code == 204
    assert code(await redeemed(edge, made["code"])) == "400 invalid-enrolment-code"


async def test_a_manager_revokes_a_lost_device(edge: Edge, manager: Person) -> None:
    """It is found by its subject, and refused at once; another study has no such token."""
    headers = await device(edge, manager, subject="P-1")
    await device(edge, manager, subject="P-2")
    page = (await manager.sends("GET", f"{SLEEP}/tokens?subject=P-1")).json()
    (found,) = page["tokens"]
    assert (found["name"], found["subject"], page["next_cursor"]) == ("watch", "P-1", None)
    admin = await person(edge, is_admin=True)
    await admin.sends("POST", "/v1/studies", NEW | {"slug": "other"})
    roles = {"roles": ["manager"]}
    await admin.sends("PUT", f"/v1/studies/other/members/{manager.id}", roles)
    foreign = await manager.sends("DELETE", f"/v1/studies/other/tokens/{found['id']}")
    assert code(foreign) == "404 token-not-found"
    gone = await manager.sends("DELETE", f"{SLEEP}/tokens/{found['id']}")
    assert gone.status_code == 204
    assert code(await edge.upload(samples.good_file(), headers)) == "401 invalid-token"


async def test_a_removed_member_uploads_no_more(edge: Edge, manager: Person) -> None:
    """The account of a device is a member, so its role is taken as from everybody."""
    headers = await device(edge, manager, subject="P-1")
    members = (await manager.sends("GET", f"{SLEEP}/members")).json()["members"]
    (account,) = [one["account_id"] for one in members if one["roles"] == ["uploader"]]
    await manager.sends("DELETE", f"{SLEEP}/members/{account}")
    assert code(await edge.upload(samples.good_file(), headers)) == "404 study-not-found"


@pytest.mark.parametrize("roles", [("uploader",), ("reader",)], ids=str)
async def test_only_a_manager_enrols(edge: Edge, roles: tuple[str, ...]) -> None:
    """And lists and revokes."""
    member = await person(edge, roles=roles)
    for method, path in (
        ("POST", ENROLMENTS),
        ("DELETE", f"{ENROLMENTS}/{uuid4()}"),
        ("GET", f"{SLEEP}/tokens"),
        ("DELETE", f"{SLEEP}/tokens/{uuid4()}"),
    ):
        assert code(await member.sends(method, path, {})) == "403 role-missing"


async def test_the_subject_must_be_acceptable(manager: Person) -> None:
    """A withdrawn one is refused, as an unknown one in a study with a list."""
    await manager.sends("PUT", SUBJECT, {})
    await manager.sends("PUT", f"{SUBJECT}/withdrawal")
    withdrawn = await manager.sends("POST", ENROLMENTS, {"subject": "P-1"})
    assert code(withdrawn) == "403 subject-withdrawn"
    await manager.sends("PATCH", SLEEP, {"policy": {"enrolment": "Listed"}})
    unknown = await manager.sends("POST", ENROLMENTS, {"subject": "P-7"})
    assert code(unknown) == "403 subject-not-enrolled"
    await manager.sends("PATCH", SLEEP, {"state": "closed"})
    assert code(await manager.sends("POST", ENROLMENTS, {})) == "409 study-closed"


@pytest.mark.parametrize(
    "given",
    [{"subject": "not one"}, {"scopes": ["account"]}, {"valid_minutes": 0}, {"x": 1}],
    ids=str,
)
async def test_a_wrong_wish_is_refused(manager: Person, given: dict[str, Any]) -> None:
    """Nothing is created."""
    assert code(await manager.sends("POST", ENROLMENTS, given)) == "422 invalid-request"


async def test_guessing_is_counted_by_address(tmp_path: Path) -> None:
    """The rate of logins holds for codes, too."""
    async with open_edge(tmp_path, limits={"logins": "2/minute"}) as edge:
        answers = [await redeemed(edge, "x") for _ in range(3)]
    assert [one.status_code for one in answers] == [400, 400, 429]


async def test_an_uploader_binds_a_token_of_its_own(edge: Edge) -> None:
    """It may not read, and a study without the role is answered as a missing one."""
    member = await person(edge, roles=("uploader",))
    wish = {"name": "watch", "study": "sleep", "subject": "P-1"}
    made = await member.sends("POST", "/v1/tokens", wish)
    assert made.status_code == 201, made.text
    headers = {"Authorization": f"Bearer {made.json()['token']}"}
    assert (await edge.upload(samples.good_file(), headers)).status_code == 201
    (listed,) = (await member.sends("GET", "/v1/tokens")).json()["tokens"]
    assert (listed["study"], listed["subject"]) == ("sleep", "P-1")
    for more, answer in (
        ({"scopes": ["upload:read"]}, "422 invalid-request"),
        ({"study": None}, "422 invalid-request"),
        ({"study": "other"}, "404 study-not-found"),
        ({"study": "default"}, "409 default-study"),
    ):
        assert code(await member.sends("POST", "/v1/tokens", wish | more)) == answer
