"""The routes of erasures."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import jwt
import pytest

from support.edge import Edge, open_edge
from support.samples import good_file
from support.study_people import LIMITS, SLEEP, SUBJECT, Person, code, person

ERASURE = f"{SUBJECT}/erasure"
ABOUT = {"Healthingest-Study": "sleep", "Healthingest-Subject": "P-1"}


@pytest.fixture(name="edge")
async def _edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with open_edge(tmp_path, limits=LIMITS) as opened:
        yield opened


async def send(sender: Person, seed: int = 1) -> str:
    """Return the id of an upload about the subject."""
    answer = await sender.edge.upload(good_file(seed), sender.headers | ABOUT)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["upload_id"])


async def test_a_subject_is_erased(edge: Edge) -> None:
    """From the request to the certificate; the file is not accepted again, a new one neither."""
    manager = await person(edge, roles=("manager", "uploader"))
    upload_id = await send(manager)
    answers = [await manager.sends("POST", ERASURE) for _ in range(2)]
    assert [one.status_code for one in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    for seed in (1, 2):
        again = await edge.upload(good_file(seed), manager.headers | ABOUT)
        assert code(again) == "410 subject-erased"
    await edge.erase()
    place = f"/v1/erasures/{answers[0].json()['erasure_id']}"
    done = (await manager.sends("GET", place)).json()
    assert (done["state"], done["counts"]["uploads"]) == ("done", 1)
    key = jwt.PyJWK(done["verification_key"])
    claims = jwt.decode(done["certificate"], key, algorithms=["EdDSA"])
    assert claims["erasure_id"] == done["erasure_id"]
    assert edge.objects() == []
    assert code(await manager.sends("GET", f"/v1/uploads/{upload_id}")) == "404 upload-not-found"
    again = await edge.upload(good_file(1), manager.headers | ABOUT)
    assert code(again) == "410 subject-erased"
    assert (await manager.sends("POST", ERASURE)).json() == done


async def test_files_can_be_read_in_the_hold_time(edge: Edge) -> None:
    """There is no way to cancel the request."""
    manager = await person(edge, roles=("manager", "uploader", "reader"))
    hold = {"policy": {"erasure_hold_seconds": 3600}}
    assert (await manager.sends("PATCH", SLEEP, hold)).status_code == 200
    content = f"/v1/uploads/{await send(manager)}/content"
    erasure = (await manager.sends("POST", ERASURE)).json()
    assert erasure["state"] == "holding"
    answer = await manager.sends("GET", content)
    assert (answer.status_code, answer.content) == (200, good_file(1))
    place = f"/v1/erasures/{erasure['erasure_id']}"
    assert code(await manager.sends("DELETE", place)) == "405 method-not-allowed"


async def test_an_answer_says_until_when_a_lock_can_block_it(tmp_path: Path) -> None:
    """From the request on, and no longer when it is done; the request is not refused."""
    lock = {"object_lock_mode": "Compliance", "object_lock_days": 30}
    async with open_edge(tmp_path, limits=LIMITS, store=lock) as edge:
        manager = await person(edge, roles=("manager", "uploader"))
        await send(manager)
        answer = await manager.sends("POST", ERASURE)
        requested_at, until = (
            datetime.fromisoformat(answer.json()[name]) for name in ("requested_at", "locked_until")
        )
        assert (answer.status_code, until - requested_at) == (202, timedelta(days=30))
        await edge.erase()
        place = f"/v1/erasures/{answer.json()['erasure_id']}"
        done = (await manager.sends("GET", place)).json()
        assert (done["state"], done["locked_until"]) == ("done", None)


async def test_an_erased_subject_is_listed_without_its_pseudonym(edge: Edge) -> None:
    """Pages go on after it."""
    manager = await person(edge, roles=("manager",))
    for name in ("P-1", "P-2"):
        path = f"{SLEEP}/subjects/{name}"
        assert (await manager.sends("PUT", path, {})).status_code == 200
        assert (await manager.sends("POST", f"{path}/erasure")).status_code == 202
    await edge.erase()
    found: list[dict[str, str]] = []
    place = f"{SLEEP}/subjects?limit=1"
    while len(found) < 2:
        page = (await manager.sends("GET", place)).json()
        found += page["subjects"]
        place = f"{SLEEP}/subjects?limit=1&cursor={page['next_cursor']}"
    assert page["next_cursor"] is None
    assert {one["state"] for one in found} == {"erased"}
    assert all(one["subject"].startswith("~") for one in found)
    shown = (await manager.sends("GET", f"{SLEEP}/subjects/P-1")).json()
    assert (shown["subject"], shown["state"]) == ("P-1", "erased")


async def test_an_owner_erases_an_upload(edge: Edge) -> None:
    """The same bytes are refused; a stranger learns nothing, before and afterwards."""
    owner = await person(edge)
    stranger = await person(edge)
    sent = await edge.upload(good_file(1), owner.headers)
    place = f"/v1/uploads/{sent.json()['upload_id']}"
    assert code(await stranger.sends("DELETE", place)) == "404 upload-not-found"
    erasure = (await owner.sends("DELETE", place)).json()
    await edge.erase()
    assert code(await edge.upload(good_file(1), owner.headers)) == "410 upload-erased"
    assert (await edge.upload(good_file(2), owner.headers)).status_code == 201
    assert (await owner.sends("DELETE", place)).json()["erasure_id"] == erasure["erasure_id"]
    assert code(await stranger.sends("DELETE", place)) == "404 upload-not-found"
    status = f"/v1/erasures/{erasure['erasure_id']}"
    assert (await owner.sends("GET", status)).json()["state"] == "done"
    assert code(await stranger.sends("GET", status)) == "404 erasure-not-found"


async def test_a_manager_erases_an_upload(edge: Edge) -> None:
    """Of another account in its study."""
    uploader = await person(edge, roles=("uploader",))
    upload_id = await send(uploader)
    manager = await person(edge, roles=("manager",))
    reader = await person(edge, roles=("reader",))
    place = f"/v1/uploads/{upload_id}"
    assert code(await reader.sends("DELETE", place)) == "404 upload-not-found"
    assert (await manager.sends("DELETE", place)).status_code == 202
    await edge.erase()
    answer = await edge.upload(good_file(1), uploader.headers | ABOUT)
    assert code(answer) == "410 upload-erased"


async def test_a_study_is_erased(edge: Edge) -> None:
    """It accepts nothing any more, and cannot be opened again."""
    manager = await person(edge, roles=("manager", "uploader"))
    await send(manager)
    answer = await manager.sends("POST", f"{SLEEP}/erasure")
    assert (answer.status_code, answer.json()["kind"]) == (202, "study")
    await edge.erase()
    assert edge.objects() == []
    assert code(await edge.upload(good_file(2), manager.headers | ABOUT)) == "410 study-erased"
    assert code(await manager.sends("PATCH", SLEEP, {"state": "open"})) == "410 study-erased"


@pytest.mark.parametrize("role", ["uploader", "reader"])
async def test_only_a_manager_erases(edge: Edge, role: str) -> None:
    """Another role is refused, and an account without a role finds no study."""
    await send(await person(edge, roles=("uploader",)))
    member = await person(edge, roles=(role,))
    for path in (ERASURE, f"{SLEEP}/erasure"):
        assert code(await member.sends("POST", path)) == "403 role-missing"
        assert code(await (await person(edge)).sends("POST", path)) == "404 study-not-found"


async def test_what_is_not_there_is_not_found(edge: Edge) -> None:
    """A subject, an erasure and an upload that do not exist, and texts that are no ids."""
    manager = await person(edge, roles=("manager",))
    assert code(await manager.sends("POST", ERASURE)) == "404 subject-not-found"
    for text in (str(uuid4()), "x"):
        answer = await manager.sends("GET", f"/v1/erasures/{text}")
        assert code(answer) == "404 erasure-not-found"
        assert code(await manager.sends("DELETE", f"/v1/uploads/{text}")) == "404 upload-not-found"
