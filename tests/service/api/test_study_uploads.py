"""Uploads into a study: by headers and by form fields, decided before the file is read."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event, select

from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.tables import OutboxRow
from healthingest_service.adapters.memory_limiter import MemoryLimiter
from healthingest_service.identity.throttling import Charge, Decision
from support.edge import AVRO, Edge, open_edge
from support.samples import good_file
from support.study_people import LIMITS, SLEEP, SUBJECT, Person, code, person

FILE = good_file(1)
IN_STUDY = {"Healthingest-Study": "sleep", "Healthingest-Subject": "P-1"}
POLICY = {"policy": {"enrolment": "Listed"}}


@pytest.fixture(name="edge")
async def _edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with open_edge(tmp_path, limits=LIMITS) as opened:
        yield opened


async def uploads(one: Person, named: dict[str, str] | None = None) -> httpx.Response:
    """Return the answer to the file, sent with these headers."""
    return await one.edge.upload(FILE, one.headers | (IN_STUDY if named is None else named))


async def refused(one: Person, named: dict[str, str] | None = None) -> str:
    """Return the problem of an upload whose body is never read."""

    async def body() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    headers = AVRO | one.headers | (IN_STUDY if named is None else named)
    return code(await one.edge.http.post("/v1/upload", content=body(), headers=headers))


def form(*fields: tuple[str, bytes]) -> bytes:
    """Return a form of these parts."""
    parts = [
        f'--limit\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in fields
    ]
    return b"".join(parts) + b"--limit--\r\n"


async def sends(one: Person, *fields: tuple[str, bytes], **headers: str) -> httpx.Response:
    """Return the answer to a form."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = {"Content-Type": "multipart/form-data; boundary=limit"}
    return await one.edge.http.post(
        "/v1/upload", headers=one.headers | kind | named, content=form(*fields)
    )


async def test_an_upload_has_study_and_subject(edge: Edge) -> None:
    """In the view, in the list and in the message; the subject is enrolled by it."""
    uploader = await person(edge, roles=("uploader", "reader"))
    answer = await uploads(uploader)
    assert answer.status_code == 201, answer.text
    view = (await edge.http.get(answer.headers["location"], headers=uploader.headers)).json()
    assert (view["study"], view["subject"]) == ("sleep", "P-1")
    listed = (await edge.http.get("/v1/uploads", headers=uploader.headers)).json()
    assert listed["uploads"] == [view]
    async with transaction(edge.runtime.engine, timeout_seconds=5) as connection:
        body = json.loads(await connection.scalar(select(OutboxRow.body)) or b"{}")
    assert (body["study"], body["subject"]) == ("sleep", "P-1")
    assert body["user_id"] == str(uploader.id)
    subject = (await uploader.sends("GET", SUBJECT)).json()
    assert subject["state"] == "active"
    assert "P-1" not in view["object_key"]


async def test_a_plain_upload_is_in_the_default_study(edge: Edge) -> None:
    """Its subject is the account; naming both changes nothing."""
    one = await person(edge)
    answers = [
        await uploads(one, {}),
        await uploads(one, {"Healthingest-Study": "default"}),
        await uploads(one, {"Healthingest-Study": "default", "Healthingest-Subject": str(one.id)}),
        await sends(one, ("subject", str(one.id).encode()), ("file", FILE)),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200]
    view = (await edge.http.get(answers[0].headers["location"], headers=one.headers)).json()
    assert (view["study"], view["subject"]) == ("default", str(one.id))
    assert await refused(one, {"Healthingest-Subject": "P-1"}) == "403 contradicting-subject"


async def test_equal_bytes_of_two_subjects_are_two_objects(edge: Edge) -> None:
    """And the same bytes about the same subject are one."""
    uploader = await person(edge, roles=("uploader",))
    other = IN_STUDY | {"Healthingest-Subject": "P-2"}
    answers = [await uploads(uploader, named) for named in (IN_STUDY, other, IN_STUDY)]
    assert [answer.status_code for answer in answers] == [201, 201, 200]
    assert answers[0].json() == answers[2].json()
    assert len(edge.objects()) == 2


async def test_an_upload_is_refused_before_its_body_is_read(edge: Edge) -> None:
    """Each reason has its code, and the first one counts."""
    manager = await person(edge, roles=("manager",))
    uploader = await person(edge, roles=("uploader",))
    stranger = await person(edge)
    unknown = IN_STUDY | {"Healthingest-Study": "unknown"}
    assert await refused(stranger) == await refused(uploader, unknown) == "404 study-not-found"
    assert await refused(uploader, IN_STUDY | {"Healthingest-Study": "No_Slug"}) == (
        "404 study-not-found"
    )
    assert await refused(manager) == "403 role-missing"
    assert await refused(uploader, IN_STUDY | {"Healthingest-Subject": "a b"}) == (
        "422 invalid-subject"
    )
    assert await refused(uploader, {"Healthingest-Study": "sleep"}) == "422 subject-missing"
    await manager.sends("PATCH", SLEEP, POLICY)
    assert await refused(uploader) == "403 subject-not-enrolled"
    await manager.sends("PUT", SUBJECT, {})
    await manager.sends("PATCH", SLEEP, {"policy": {"consent_required": True}})
    assert await refused(uploader) == "403 consent-missing"
    await manager.sends("PUT", f"{SUBJECT}/withdrawal")
    assert await refused(uploader) == "403 subject-withdrawn"
    await manager.sends("PATCH", SLEEP, {"state": "closed"})
    assert await refused(uploader) == "409 study-closed"
    assert edge.objects() == []


async def test_headers_that_come_twice_are_refused(edge: Edge) -> None:
    """A proxy and a service could read different ones."""
    uploader = await person(edge, roles=("uploader",))
    headers = [*(AVRO | uploader.headers | IN_STUDY).items(), ("Healthingest-Subject", "P-2")]
    answer = await edge.http.post("/v1/upload", content=FILE, headers=headers)
    assert code(answer) == "403 contradicting-subject"


async def test_a_form_names_study_and_subject(edge: Edge) -> None:
    """Before its file; a header may name one of them, or the same."""
    uploader = await person(edge, roles=("uploader",))
    study = ("study", b"sleep")
    subject = ("subject", b"P-1")
    file = ("file", FILE)
    answers = [
        await sends(uploader, study, subject, file),
        await sends(uploader, subject, file, Healthingest_Study="sleep"),
        await sends(
            uploader, subject, file, **{k.replace("-", "_"): v for k, v in IN_STUDY.items()}
        ),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200], answers[0].text
    wrong = await sends(uploader, ("subject", b"P-2"), file, Healthingest_Subject="P-1")
    assert code(wrong) == "403 contradicting-subject"
    assert code(await sends(uploader, file, study, subject)) == "400 malformed-multipart"
    assert code(await sends(await person(edge), study, subject, file)) == "404 study-not-found"
    assert len(edge.objects()) == 1


async def test_the_policy_of_a_study_applies(edge: Edge) -> None:
    """Record types, size and rate."""
    manager = await person(edge, roles=("manager",))
    uploader = await person(edge, roles=("uploader",))
    change = partial(manager.sends, "PATCH", SLEEP)
    await change({"policy": {"record_types": ["OtherRecord"]}})
    assert code(await uploads(uploader)) == "422 record-type-not-permitted"
    assert code(await manager.sends("GET", SUBJECT)) == "404 subject-not-found"
    await change({"policy": {"record_types": None, "max_file_bytes": len(FILE) - 1}})
    answer = await uploads(uploader)
    assert (code(answer), answer.json()["limit_bytes"]) == ("413 file-too-large", len(FILE) - 1)
    await change({"policy": {"max_file_bytes": None, "uploads_rate": "2/hour"}})
    answers = [await uploads(uploader) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 200, 429]
    assert answers[2].json()["limit"] == "study-uploads"
    assert (await uploads(uploader, {})).status_code == 201


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    """Yield a body without a declared size."""
    yield content


async def test_a_study_limits_the_bytes_of_a_day(edge: Edge) -> None:
    """
    For each account, by the declared size, before the body is read.

    An account has its other limits besides, and other accounts have their own bytes.
    """
    manager = await person(edge, roles=("manager",))
    uploader = await person(edge, roles=("uploader",))
    policy = {"bytes_per_day": 2 * len(FILE)}
    await manager.sends("PATCH", SLEEP, {"policy": policy})
    assert (await manager.sends("GET", SLEEP)).json()["policy"]["bytes_per_day"] == 2 * len(FILE)
    first, second, third = [await uploads(uploader) for _ in range(3)]
    assert [first.status_code, second.status_code] == [201, 200]
    of_account, of_study = first.headers.get_list("ratelimit-policy")
    assert of_account.startswith('"uploads";q=10000;')
    assert of_study == f'"study-bytes";q={2 * len(FILE)};qu="content-bytes";w=86400'
    assert first.headers.get_list("ratelimit")[1].startswith(f'"study-bytes";r={len(FILE)};t=')
    assert (code(third), third.json()["limit"]) == ("429 rate-limited", "study-bytes")
    assert 82_800 < int(third.headers["retry-after"]) <= 90_000
    assert await refused(uploader) == "429 rate-limited"
    # Of another subject, as the same bytes about one subject in one second have one object key.
    of_another = IN_STUDY | {"Healthingest-Subject": "P-2"}
    another = await uploads(await person(edge, roles=("uploader",)), of_another)
    assert another.status_code == 201, another.text
    assert (await uploads(uploader, {})).status_code == 201


async def test_bytes_of_no_declared_size_are_counted_as_they_came(edge: Edge) -> None:
    """What exceeds the rest is refused at its end, and is not stored."""
    manager = await person(edge, roles=("manager",))
    uploader = await person(edge, roles=("uploader",))
    other = good_file(2)
    policy = {"bytes_per_day": len(FILE) + len(other) - 1}
    await manager.sends("PATCH", SLEEP, {"policy": policy})
    named = uploader.headers | IN_STUDY
    first = await edge.upload(in_pieces(FILE), named)
    assert first.status_code == 201
    (shown,) = [one for one in first.headers.get_list("ratelimit") if "study-bytes" in one]
    assert shown.startswith(f'"study-bytes";r={len(other) - 1};t=')
    second = await edge.upload(in_pieces(other), named)
    assert (code(second), second.json()["limit"]) == ("429 rate-limited", "study-bytes")
    assert len(edge.objects()) == 1


async def test_a_file_above_the_bytes_of_a_day_is_too_large(edge: Edge) -> None:
    """Waiting would not help, and no bytes are counted; a form may be larger than its file."""
    manager = await person(edge, roles=("manager",))
    uploader = await person(edge, roles=("uploader",))
    await manager.sends("PATCH", SLEEP, {"policy": {"bytes_per_day": len(FILE)}})
    larger = FILE + b"x"
    named = uploader.headers | IN_STUDY
    for body in (larger, in_pieces(larger)):
        answer = await edge.upload(body, named)
        assert (code(answer), answer.json()["limit_bytes"]) == ("413 file-too-large", len(FILE))
    fields = (("study", b"sleep"), ("subject", b"P-1"), ("file", FILE))
    assert (await sends(uploader, *fields)).status_code == 201
    assert code(await sends(uploader, *fields)) == "429 rate-limited"


async def test_limits_that_are_known_together_are_counted_together(edge: Edge) -> None:
    """One call for a plain upload; one more for all limits of a study."""
    manager = await person(edge, roles=("manager",))
    uploader = await person(edge, roles=("uploader",))
    policy = {"uploads_rate": "9/day", "bytes_per_day": 10 * len(FILE)}
    await manager.sends("PATCH", SLEEP, {"policy": policy})
    calls = list[list[str]]()

    class Counting(MemoryLimiter):
        async def count(self, *charges: Charge) -> Sequence[Decision]:
            calls.append([charge.rule.name for charge in charges])
            return await super().count(*charges)

    edge.app.state.deps = replace(edge.deps, limiter=Counting())
    for named in ({}, IN_STUDY):
        assert (await uploads(uploader, named)).status_code == 201
    assert calls == [["uploads"], ["uploads"], ["study-uploads", "study-bytes"]]


async def test_a_file_that_is_too_large_counts_as_an_upload(edge: Edge) -> None:
    """Its bytes do not count; above the rate of uploads, the rate is the answer."""
    manager = await person(edge, roles=("manager",))
    uploader = await person(edge, roles=("uploader",))
    policy = {"uploads_rate": "2/day", "bytes_per_day": len(FILE)}
    await manager.sends("PATCH", SLEEP, {"policy": policy})
    named = uploader.headers | IN_STUDY
    large = await edge.upload(FILE + b"x", named)
    assert code(large) == "413 file-too-large"
    assert (await edge.upload(FILE, named)).status_code == 201
    above = await edge.upload(FILE + b"x", named)
    assert (code(above), above.json()["limit"]) == ("429 rate-limited", "study-uploads")


async def test_a_study_costs_a_plain_upload_no_statement(edge: Edge) -> None:
    """An upload into a study reads the admission, and nothing more if its subject is enrolled."""
    uploader = await person(edge, roles=("uploader",))
    await uploads(uploader)
    statements: list[str] = []

    @event.listens_for(edge.runtime.engine.sync_engine, "before_cursor_execute")
    def _note(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    numbers = []
    for named in ({}, IN_STUDY):
        statements.clear()
        file = good_file(2)
        answer = await edge.upload(file, uploader.headers | named)
        assert answer.status_code == 201, answer.text
        numbers.append([one for one in statements if not one.startswith(("BEGIN", "COMMIT"))])
    plain, of_study = numbers
    assert not [one for one in plain if "FROM study" in one]
    assert len(of_study) == len(plain) + 1
