"""The routes that show the audit log of a study, and the disclosures of a subject."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.edge import AVRO, Edge, open_edge
from support.samples import good_file
from support.study_people import LIMITS, NEW, SLEEP, SUBJECT, Person, code, person
from support.uploads import NOON

AUDIT = f"{SLEEP}/audit"
DISCLOSURES = f"{SUBJECT}/disclosures"
ABOUT = AVRO | {"Healthingest-Study": "sleep", "Healthingest-Subject": "P-1"}


@pytest.fixture(name="edge")
async def _edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with open_edge(tmp_path, limits=LIMITS) as opened:
        yield opened


async def uploaded(edge: Edge, one: Person, number: int = 1) -> str:
    """Return the id of a new upload about the subject."""
    sent = await edge.http.post(
        "/v1/upload", content=good_file(number), headers=one.headers | ABOUT
    )
    assert sent.status_code == 201, sent.text
    return str(sent.json()["upload_id"])


async def test_a_manager_reads_who_did_what(edge: Edge) -> None:
    """Newest first, in pages that overlap nowhere, and of this study only."""
    manager = await person(edge, roles=("manager", "uploader"))
    upload_id = await uploaded(edge, manager)
    stranger = await person(edge, roles=("uploader",))
    assert (await stranger.sends("GET", SUBJECT)).status_code == 403
    answer = await manager.sends("GET", f"{AUDIT}?limit=3")
    events = answer.json()["events"]
    assert [(one["action"], one["outcome"]) for one in events] == [
        ("subject-read", "refused"),
        ("member-change", "done"),
        ("study-create", "done"),
    ]
    assert events[0]["account_id"] == str(stranger.id)
    assert events[0]["reason"] == "role-missing"
    cursor = answer.json()["next_cursor"]
    rest = (await manager.sends("GET", f"{AUDIT}?cursor={cursor}")).json()
    assert [one["action"] for one in rest["events"]] == ["upload", "member-change", "study-create"]
    assert (rest["events"][0]["object_id"], rest["next_cursor"]) == (upload_id, None)


async def test_a_manager_reads_who_received_the_data(edge: Edge) -> None:
    """Downloads with the account, and announcements with the record type."""
    manager = await person(edge, roles=("manager", "uploader"))
    upload_id = await uploaded(edge, manager)
    await uploaded(edge, manager, 2)
    await manager.sends("GET", f"/v1/uploads/{upload_id}/content")
    async with edge.runtime.outbox.claim(limit=1) as batch:
        await batch.announced(batch.messages[0].id, at=NOON)
    answer = (await manager.sends("GET", DISCLOSURES)).json()
    download, announcement = answer["disclosures"]
    assert (download["kind"], download["upload_id"]) == ("download", upload_id)
    assert (download["account_id"], download["record_type"]) == (str(manager.id), None)
    assert (announcement["kind"], announcement["account_id"]) == ("announcement", None)
    assert announcement["record_type"] is not None
    pages = []
    cursor = ""
    while cursor is not None:
        page = (await manager.sends("GET", f"{DISCLOSURES}?limit=1{cursor}")).json()
        pages += page["disclosures"]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert pages == answer["disclosures"]
    path = f"{AUDIT}?subject_hash={answer['subject_hash']}"
    events = (await manager.sends("GET", path)).json()["events"]
    assert {one["action"] for one in events} == {"upload", "download", "disclosure-read"}


async def test_a_disclosure_needs_a_manager(edge: Edge) -> None:
    """Neither a reader nor an administrator; unknown subjects are not found."""
    reader = await person(edge, roles=("reader",))
    manager = await person(edge, roles=("manager",))
    admin = await person(edge, is_admin=True)
    await manager.sends("PUT", SUBJECT, {})
    assert code(await reader.sends("GET", DISCLOSURES)) == "403 role-missing"
    assert code(await reader.sends("GET", AUDIT)) == "403 role-missing"
    assert (await admin.sends("GET", DISCLOSURES)).status_code in {403, 404}
    assert (await admin.sends("GET", AUDIT)).status_code == 200
    assert (await manager.sends("GET", DISCLOSURES)).json()["disclosures"] == []
    for unknown in ("P-2", "%20", "P" * 65):
        path = f"{SLEEP}/subjects/{unknown}/disclosures"
        assert code(await manager.sends("GET", path)) == "404 subject-not-found"


@pytest.mark.parametrize("path", [AUDIT, DISCLOSURES])
@pytest.mark.parametrize(
    "cursor",
    ["x", "eHw=", "MjAyNi0wMy0wMXxkb3dubG9hZHwx", "MjAyNi0wMy0wMVQxMjowMDowMCswMDowMHx4fC0x"],
)
async def test_other_cursors_are_refused(edge: Edge, path: str, cursor: str) -> None:
    """No base64, other parts, no time zone, a number out of range."""
    manager = await person(edge, roles=("manager",))
    await manager.sends("POST", "/v1/studies", NEW)
    await manager.sends("PUT", SUBJECT, {})
    answer = await manager.sends("GET", f"{path}?cursor={cursor}")
    assert code(answer) == "400 invalid-cursor"
