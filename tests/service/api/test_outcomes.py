"""The route by which consumers report, and what the history shows of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from support.edge import Edge, open_edge
from support.samples import good_file
from support.study_people import LIMITS, SLEEP, SUBJECT, Person, code, person

DONE = {"consumer": "sleep-stages", "state": "processed"}
FAILED = {"consumer": "sleep-stages", "state": "failed", "reason": "too-short"}
OF_STUDY = {"Healthingest-Study": "sleep", "Healthingest-Subject": "P-1"}


@pytest.fixture(name="edge")
async def _edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with open_edge(tmp_path, limits=LIMITS) as edge:
        yield edge


async def uploaded(edge: Edge, by: Person, headers: dict[str, str]) -> str:
    """Return the address of the outcome of a new upload."""
    answer = await edge.upload(good_file(1), by.headers | headers)
    assert answer.status_code == 201, answer.text
    return f"/v1/uploads/{answer.json()['upload_id']}/outcome"


async def test_a_report_shows_in_the_history(edge: Edge) -> None:
    """Of the owner, and of the study; a device token with the scope of its account reports it."""
    reader = await person(edge, roles=("reader", "manager"))
    uploader = await person(edge, roles=("uploader",))
    await reader.sends("PUT", SUBJECT, {})
    place = await uploaded(edge, uploader, OF_STUDY)
    upload = place.removesuffix("/outcome")
    assert (await uploader.sends("GET", upload)).json()["outcomes"] == []

    wish = {"name": "pipeline", "scopes": ["outcome:write"]}
    token = (await reader.sends("POST", "/v1/tokens", wish)).json()["token"]
    pipeline = Person(edge, reader.id, {"Authorization": f"Bearer {token}"})
    failed = await pipeline.sends("POST", place, FAILED)
    assert (failed.status_code, failed.json()["reason"]) == (200, "too-short")
    done = (await pipeline.sends("POST", place, DONE)).json()
    assert done == DONE | {"reason": None, "reported_at": done["reported_at"]}
    assert (await pipeline.sends("POST", place, FAILED)).json() == done

    assert (await uploader.sends("GET", upload)).json()["outcomes"] == [done]
    for listed in ("/v1/uploads", f"{SLEEP}/uploads"):
        by = uploader if listed == "/v1/uploads" else reader
        (one,) = (await by.sends("GET", listed)).json()["uploads"]
        assert one["outcomes"] == [done]


async def test_others_may_not_report(edge: Edge) -> None:
    """Neither the owner, nor a stranger, nor a token without the scope; an unknown id is alike."""
    reader = await person(edge, roles=("reader", "manager"))
    uploader = await person(edge, roles=("uploader",))
    await reader.sends("PUT", SUBJECT, {})
    place = await uploaded(edge, uploader, OF_STUDY)
    for by in (uploader, await person(edge)):
        assert code(await by.sends("POST", place, DONE)) == "404 upload-not-found"
    random = f"/v1/uploads/{uuid4()}/outcome"
    assert code(await reader.sends("POST", random, DONE)) == "404 upload-not-found"
    wish = {"name": "reads", "scopes": ["upload:read"]}
    token = (await reader.sends("POST", "/v1/tokens", wish)).json()["token"]
    reads = Person(edge, reader.id, {"Authorization": f"Bearer {token}"})
    assert code(await reads.sends("POST", place, DONE)) == "403 missing-scope"


async def test_an_administrator_reports_about_all_studies(edge: Edge) -> None:
    """Also about the study `default`, which has no readers."""
    place = await uploaded(edge, await person(edge), {})
    reader = await person(edge, roles=("reader",))
    assert code(await reader.sends("POST", place, DONE)) == "404 upload-not-found"
    admin = await person(edge, is_admin=True)
    assert (await admin.sends("POST", place, DONE)).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"consumer": "Sleep"},
        {"consumer": ""},
        {"consumer": "x" * 65},
        {"state": "started"},
        {"reason": "glucose 5.4 mmol/l"},
        {"reason": "a\n"},
        {"values": [1]},
    ],
    ids=lambda wrong: f"{next(iter(wrong))}-{len(str(wrong))}",
)
async def test_a_report_has_no_room_for_contents(edge: Edge, wrong: dict[str, Any]) -> None:
    """Names and reasons are short codes."""
    admin = await person(edge, is_admin=True)
    place = await uploaded(edge, await person(edge), {})
    assert code(await admin.sends("POST", place, FAILED | wrong)) == "422 invalid-request"
