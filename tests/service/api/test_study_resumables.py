"""Resumable uploads into a study: each request is admitted again, and its bytes count."""

from pathlib import Path

import httpx
import pytest

from support.edge import Edge
from support.samples import good_file
from support.study_people import SLEEP, SUBJECT, Person, person

FILE = good_file(3)
TUS = {"Tus-Resumable": "1.0.0"}
IN_STUDY = {"Healthingest-Study": "sleep", "Healthingest-Subject": "P-1"}


async def created(edge: Edge, uploader: Person, **headers: str) -> httpx.Response:
    """Begin an upload about the subject."""
    named = uploader.headers | TUS | IN_STUDY | headers
    return await edge.http.post("/v1/files", headers=named | {"Upload-Length": str(len(FILE))})


async def sent(edge: Edge, uploader: Person, url: str, content: bytes, at: int) -> httpx.Response:
    """Send bytes."""
    headers = {"Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream"}
    return await edge.http.patch(url, content=content, headers=uploader.headers | TUS | headers)


def files(edge: Edge) -> list[Path]:
    """Return every stored object, also parts."""
    found = (edge.folder / "objects").rglob("*")
    return [one for one in found if one.is_file()]


async def test_is_an_upload_of_the_study(edge: Edge) -> None:
    """Its subject is enrolled by it, and the study lists it."""
    manager = await person(edge, roles=("manager",))
    uploader = await person(edge, roles=("uploader",))
    url = (await created(edge, uploader)).headers["location"]
    await sent(edge, uploader, url, FILE[:50], 0)
    assert (await sent(edge, uploader, url, FILE[50:], 50)).status_code == 204
    listed = (await manager.sends("GET", f"{SLEEP}/uploads")).json()["uploads"]
    assert [(one["subject"], one["file_size_bytes"]) for one in listed] == [("P-1", len(FILE))]


@pytest.mark.parametrize("way", ["withdrawal", "closing"])
async def test_is_refused_when_the_study_refuses_it(edge: Edge, way: str) -> None:
    """Also with its next bytes; those that came before are removed."""
    manager = await person(edge, roles=("manager",))
    uploader = await person(edge, roles=("uploader",))
    assert (await manager.sends("PUT", SUBJECT, {})).status_code == 200
    url = (await created(edge, uploader)).headers["location"]
    assert (await sent(edge, uploader, url, FILE[:50], 0)).status_code == 204
    assert files(edge)
    if way == "withdrawal":
        assert (await manager.sends("PUT", f"{SUBJECT}/withdrawal")).status_code == 200
    else:
        await manager.sends("PATCH", SLEEP, {"state": "closed"})
    refused = await sent(edge, uploader, url, FILE[50:], 50)
    assert refused.status_code == {"withdrawal": 403, "closing": 409}[way]
    assert files(edge) == []
    assert (await sent(edge, uploader, url, FILE[50:], 50)).status_code == 404
    assert (await created(edge, uploader)).status_code == refused.status_code


async def test_its_bytes_count_as_they_are_sent(edge: Edge) -> None:
    """Not when it begins; the next file finds the bytes of the day used up."""
    manager = await person(edge, roles=("manager",))
    uploader = await person(edge, roles=("uploader",))
    await manager.sends("PATCH", SLEEP, {"policy": {"bytes_per_day": len(FILE) + 10}})
    first, second = [(await created(edge, uploader)).headers["location"] for _ in range(2)]
    assert (await sent(edge, uploader, first, FILE[:50], 0)).status_code == 204
    assert (await sent(edge, uploader, first, FILE[50:], 50)).status_code == 204
    refused = await sent(edge, uploader, second, FILE, 0)
    assert (refused.status_code, refused.json()["limit"]) == (429, "study-bytes")
    assert (await sent(edge, uploader, second, FILE[:10], 0)).status_code == 204
