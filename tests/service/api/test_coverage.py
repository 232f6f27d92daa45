"""The routes that list and count the uploads of a study."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.edge import Edge, open_edge
from support.samples import good_file
from support.study_people import LIMITS, SLEEP, Person, code, person


@pytest.fixture(name="edge")
async def _edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with open_edge(tmp_path, limits=LIMITS) as opened:
        yield opened


@pytest.fixture(name="reader")
async def _reader(edge: Edge) -> Person:
    """A reader of a study with three uploads about two subjects."""
    uploader = await person(edge, roles=("uploader",))
    for number, name in enumerate(("P-1", "P-1", "P-2")):
        named = {"Healthingest-Study": "sleep", "Healthingest-Subject": name}
        answer = await edge.upload(good_file(number), uploader.headers | named)
        assert answer.status_code == 201, answer.text
    return await person(edge, roles=("reader",))


async def test_a_reader_lists_the_uploads_of_others(reader: Person) -> None:
    """By subject and day, in pages."""
    everything = (await reader.sends("GET", f"{SLEEP}/uploads")).json()["uploads"]
    assert [one["subject"] for one in everything] == ["P-2", "P-1", "P-1"]
    first = (await reader.sends("GET", f"{SLEEP}/uploads?limit=2")).json()
    rest = await reader.sends("GET", f"{SLEEP}/uploads?cursor={first['next_cursor']}")
    assert first["uploads"] + rest.json()["uploads"] == everything
    some = (await reader.sends("GET", f"{SLEEP}/uploads?subject=P-1")).json()["uploads"]
    assert some == everything[1:]
    none = await reader.sends("GET", f"{SLEEP}/uploads?day=2001-01-01")
    assert none.json()["uploads"] == []
    assert code(await reader.sends("GET", f"{SLEEP}/uploads?cursor=x")) == "400 invalid-cursor"


async def test_a_reader_gets_the_coverage(reader: Person) -> None:
    """As JSON in pages, and as CSV whole."""
    whole = (await reader.sends("GET", f"{SLEEP}/coverage")).json()
    assert [(one["subject"], one["uploads"]) for one in whole["coverage"]] == [
        ("P-1", 2),
        ("P-2", 1),
    ]
    assert whole["next_after"] is None
    first = (await reader.sends("GET", f"{SLEEP}/coverage?limit=1")).json()
    after = first["next_after"]
    rest = await reader.sends(
        "GET",
        f"{SLEEP}/coverage?after_day={after['day']}&after_subject={after['subject']}"
        f"&after_type={after['record_type']}",
    )
    assert first["coverage"] + rest.json()["coverage"] == whole["coverage"]
    answer = await reader.sends("GET", f"{SLEEP}/coverage?format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.text.splitlines()
    assert lines[0] == "day,subject,record_type,uploads,records,size_bytes"
    assert [line.split(",")[1:4:2] for line in lines[1:]] == [["P-1", "2"], ["P-2", "1"]]


async def test_a_reader_gets_the_gaps(edge: Edge, reader: Person) -> None:
    """Today is over only if it is asked for; a subject without uploads has no record type."""
    manager = await person(edge, roles=("manager",))
    await manager.sends("PUT", f"{SLEEP}/subjects/P-0", {})
    today = datetime.now(UTC).date().isoformat()
    enrolled = (await reader.sends("GET", f"{SLEEP}/subjects/P-0")).json()["enrolled_at"][:10]
    range_of_all = f"first_day={enrolled}&last_day={today}"
    whole = (await reader.sends("GET", f"{SLEEP}/gaps?{range_of_all}")).json()
    first = whole["gaps"][0]
    assert (first["subject"], first["record_type"], first["first_day"]) == ("P-0", None, enrolled)
    asked = f"{range_of_all}&record_type=OtherRecord"
    other = (await reader.sends("GET", f"{SLEEP}/gaps?{asked}")).json()
    assert [one["subject"] for one in other["gaps"]] == ["P-0", "P-1", "P-2"]
    assert {one["record_type"] for one in other["gaps"]} == {"OtherRecord"}
    page = (await reader.sends("GET", f"{SLEEP}/gaps?{asked}&limit=2")).json()
    after = page["next_after"]
    rest = await reader.sends(
        "GET",
        f"{SLEEP}/gaps?{asked}&after_subject={after['subject']}"
        f"&after_type={after['record_type']}&after_day={after['day']}",
    )
    assert page["gaps"] + rest.json()["gaps"] == other["gaps"]
    answer = await reader.sends("GET", f"{SLEEP}/gaps?{asked}&format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.text.splitlines()
    assert lines[0] == "subject,record_type,first_day,last_day,days"
    assert [line.split(",")[:2] for line in lines[1:]] == [
        [name, "OtherRecord"] for name in ("P-0", "P-1", "P-2")
    ]
    quiet = (await reader.sends("GET", f"{SLEEP}/gaps?last_day={enrolled}&subject=P-0")).json()
    assert [one["days"] for one in quiet["gaps"]] == [1]


@pytest.mark.parametrize("query", ["after_day=2026-03-01", "after_type=T", "last_day=1999-12-31"])
async def test_gaps_have_bounds(reader: Person, query: str) -> None:
    """Those of the coverage, and all parts of the place where a page begins."""
    answer = await reader.sends("GET", f"{SLEEP}/gaps?{query}")
    assert code(answer) == "422 invalid-request"


@pytest.mark.parametrize(
    "query",
    [
        "first_day=2026-03-02&last_day=2026-03-01",
        "first_day=2025-01-01&last_day=2026-03-01",
        "after_day=2026-03-01",
        "first_day=1999-12-31",
        "limit=1001",
        "format=xml",
        "subject=a@b",
    ],
)
async def test_a_coverage_has_bounds(reader: Person, query: str) -> None:
    """At most a year, and all parts of the place where a page begins."""
    answer = await reader.sends("GET", f"{SLEEP}/coverage?{query}")
    assert code(answer) == "422 invalid-request"
