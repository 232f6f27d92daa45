import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from starlette.types import Message

from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.kept_uploads import DatabaseKeptUploads
from healthingest_service.uploads.model import UploadId
from support.edge import Edge, open_edge
from support.samples import good_file, hostile_files, raw_file, record_of

PROBLEM = "application/problem+json"
FINDING = {
    *("code", "message", "remedy", "block", "record", "offset", "path"),
    *("pointer", "nearest_name", "cause", "limit"),
}


async def test_answers_with_a_receipt_of_what_was_sent(edge: Edge) -> None:
    """
    A new file: 201, where to ask for it, and its size, hash and count.

    The object is those bytes.
    """
    content = good_file(3)
    user = await edge.signed_in()
    answer = await edge.upload(content, user | {"X-Correlation-ID": "clinic-0001"})
    receipt = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/uploads/{receipt['upload_id']}"
    assert receipt["status"] == "accepted"
    assert receipt["correlation_id"] == answer.headers["x-correlation-id"] == "clinic-0001"
    assert receipt["record_count"] == 3
    assert receipt["file_size_bytes"] == len(content)
    assert receipt["file_hash"] == hashlib.sha256(content).hexdigest()
    assert (edge.folder / "objects" / receipt["object_key"]).read_bytes() == content


async def test_repeats_the_first_receipt(edge: Edge) -> None:
    """The same bytes again, raw or as a form: 200 with the first receipt, and one object."""
    content = good_file(3)
    user = await edge.signed_in()
    first = await edge.upload(content, user)
    raw = await edge.upload(content, user)
    form = await edge.http.post("/v1/upload", files={"file": ("name.avro", content)}, headers=user)
    assert (first.status_code, raw.status_code, form.status_code) == (201, 200, 200)
    assert raw.json() == form.json() == first.json()
    assert len(edge.objects()) == 1


async def test_takes_a_form(edge: Edge) -> None:
    """The field `file` of a form is the file, whatever stands beside it."""
    content = good_file(3)
    user = await edge.signed_in()
    answer = await edge.http.post(
        "/v1/upload",
        data={"note": "x"},
        files={"file": ("patient name.avro", content)},
        headers=user,
    )
    assert answer.status_code == 201
    assert answer.json()["file_hash"] == hashlib.sha256(content).hexdigest()
    assert "patient" not in answer.text


@pytest.mark.parametrize(
    "kind", ["application/vnd.apache.avro", "application/octet-stream; x=y", "Application/Avro"]
)
async def test_takes_three_types_of_raw_body(edge: Edge, kind: str) -> None:
    """Parameters and case of a content type do not matter."""
    assert (
        await edge.upload(good_file(1), await edge.signed_in() | {"Content-Type": kind})
    ).status_code == 201


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (good_file(1), {"Content-Type": "text/csv"}, 415, "unsupported-media-type"),
        (b"no avro", {}, 415, "not-avro"),
        (b"", {}, 415, "not-avro"),
        (good_file(2)[:-7], {}, 422, "file-refused"),
        (next(iter(hostile_files().values())), {}, 422, "file-refused"),
        (b"Obj\x01" + bytes(4096), {}, 413, "file-too-large"),
        (good_file(1), {"Idempotency-Key": "with space"}, 400, "invalid-idempotency-key"),
        (good_file(1), {"Content-Type": "multipart/form-data"}, 400, "malformed-multipart"),
        (
            good_file(1),
            {"Content-Type": "multipart/form-data; boundary=b"},
            400,
            "malformed-multipart",
        ),
    ],
)
async def test_refuses_and_keeps_nothing(
    edge: Edge, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    """What is wrong gets its own problem, and leaves neither object nor row nor spool file."""
    user = await edge.signed_in()
    answer = await edge.upload(content, user | headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert answer.json()["type"] == f"https://healthingest.dev/problems/{code}"
    assert answer.json()["correlation_id"] == answer.headers["x-correlation-id"]
    assert edge.objects() == []
    assert (await edge.http.get("/v1/uploads", headers=user)).json()["uploads"] == []
    assert not list((edge.folder / "spool").glob("*.body"))


async def test_says_where_a_file_is_wrong(edge: Edge) -> None:
    """A refused file's findings have a code, a message, a remedy, and at most a place."""
    (finding,) = (await edge.upload(good_file(2)[:-7], await edge.signed_in())).json()["findings"]
    assert set(finding) == FINDING
    assert (finding["code"], finding["message"]) == (
        "block_cut_off",
        "The file ends within a block.",
    )
    assert finding["remedy"].endswith(".")


@pytest.mark.parametrize(
    ("content", "cause", "words"),
    [
        (b"", "empty_file", "The file is empty."),
        (b'{"rate": 62}', "json", "The file is JSON"),
        (b"rate,note\n62,Anna\n" * 50, "csv", "The file is CSV"),
        (b"Obj\x02", None, "does not begin with"),
    ],
)
async def test_says_what_a_file_is_that_is_no_avro(
    edge: Edge, content: bytes, cause: str | None, words: str
) -> None:
    """By its first bytes, and what to do about it; nothing of its content."""
    answer = await edge.upload(content, await edge.signed_in())
    (finding,) = answer.json()["findings"]
    assert (answer.status_code, set(finding)) == (415, FINDING)
    assert (finding["code"], finding["cause"]) == ("magic_wrong", cause)
    assert words in finding["message"]
    assert "Anna" not in answer.text


async def test_names_the_place_in_a_schema(edge: Edge) -> None:
    """
    A record without a name, as polars writes it by default.

    The pointer, a name nearby, and the argument to give.
    """
    answer = await edge.upload(raw_file(record_of("int", name=""), []), await edge.signed_in())
    (finding,) = answer.json()["findings"]
    assert (finding["code"], finding["pointer"], finding["nearest_name"]) == (
        "schema_name_invalid",
        "/name",
        "f",
    )
    assert "write_avro(name=" in finding["remedy"]


async def test_counts_what_no_length_announced(edge: Edge) -> None:
    """A chunked body past the limit is refused although nobody said how long it would be."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"Obj\x01"
        for _ in range(8):
            yield bytes(1024)

    answer = await edge.upload(chunks(), await edge.signed_in())
    assert (answer.status_code, answer.json()["limit_bytes"]) == (413, 4096)


async def _first_answer(edge: Edge, headers: dict[str, str]) -> tuple[Message, int]:
    """Return the head of the answer to a waiting client, and how much of the body was asked for."""
    asked = 0
    sent = list[Message]()

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    named = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/upload",
        "raw_path": b"/v1/upload",
        "query_string": b"",
        "headers": [(b"content-length", b"100"), (b"expect", b"100-continue"), *named],
        "client": ("192.0.2.1", 5000),
        "server": ("test", 80),
        "scheme": "http",
        "http_version": "1.1",
    }
    await edge.app(scope, receive, send)
    return sent[0], asked


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Basic eDp5"}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
    ],
)
async def test_asks_who_before_it_reads(edge: Edge, headers: dict[str, str], status: int) -> None:
    """Who may not upload gets his answer before a byte of the body is asked for."""
    answer, asked = await _first_answer(edge, headers)
    assert (answer["status"], asked) == (status, 0)
    assert any(
        name == b"www-authenticate" and value.startswith(b"Bearer")
        for name, value in answer["headers"]
    )


@pytest.mark.parametrize("cause", ["object-store", "database"])
async def test_says_when_to_come_again_while_a_dependency_is_unavailable(
    edge: Edge, cause: str
) -> None:
    """503 with `Retry-After`; the same file is accepted after the repair."""
    user = await edge.signed_in()
    async with unavailable(edge, cause):
        refused = await edge.upload(good_file(1), user)
        ready = await edge.http.get("/health/ready")
    assert (refused.status_code, refused.json()["cause"]) == (503, cause)
    assert int(refused.headers["retry-after"]) >= 1
    assert ready.status_code == 503
    assert (await edge.upload(good_file(1), user)).status_code == 201


@asynccontextmanager
async def unavailable(edge: Edge, cause: str) -> AsyncIterator[None]:
    """Take the folder of the objects or the table of the uploads away."""
    if cause == "object-store":
        folder = edge.folder / "objects"
        folder.mkdir(exist_ok=True)  # made by the first upload
        away = folder.rename(edge.folder / "away")
        folder.touch()
        yield
        folder.unlink()
        away.rename(folder)
        return
    for old, new in (("upload", "away"), ("away", "upload")):
        async with transaction(edge.runtime.engine, timeout_seconds=5) as connection:
            await connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))
        if new == "away":
            yield


async def test_limits_the_rate_before_it_reads(tmp_path: Path) -> None:
    """
    One upload too many: 429 before the body, with when to come again.

    Another account is not concerned.
    """
    async with open_edge(tmp_path, limits={"uploads": "2/minute"}) as edge:
        user = await edge.signed_in()
        other = await edge.signed_in()
        first = await edge.upload(good_file(1), user)
        await edge.upload(good_file(1), user)
        answer, asked = await _first_answer(edge, user)
        headers = {name.decode(): value.decode() for name, value in answer["headers"]}
        assert first.headers["ratelimit"].startswith('"uploads";r=1;t=')
        assert first.headers["ratelimit-policy"] == '"uploads";q=2;w=60'
        assert (answer["status"], asked) == (429, 0)
        assert 1 <= int(headers["retry-after"]) <= 60
        assert (await edge.upload(good_file(1), other)).status_code == 201


async def test_refuses_a_key_for_other_bytes(edge: Edge) -> None:
    """An idempotency key that stands for other bytes: 422, and only the first file is kept."""
    user = await edge.signed_in() | {"Idempotency-Key": "reading-17"}
    first = await edge.upload(good_file(1), user)
    again = await edge.upload(good_file(1), user)
    other = await edge.upload(good_file(2), user)
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 422)
    assert other.json()["type"].endswith("/idempotency-key-reused")
    assert len(edge.objects()) == 1


async def test_gives_up_a_body_that_stalls(tmp_path: Path) -> None:
    """A body of which nothing more comes is answered with 408 and leaves nothing."""

    async def stalling() -> AsyncIterator[bytes]:
        yield good_file(1)[:20]
        await asyncio.sleep(0.3)
        yield b""

    async with open_edge(tmp_path, server={"body_stall_seconds": 0.05}) as edge:
        answer = await edge.upload(stalling(), await edge.signed_in())
        assert (answer.status_code, answer.json()["type"]) == (
            408,
            "https://healthingest.dev/problems/body-too-slow",
        )
        assert edge.objects() == []


async def test_gives_up_a_body_that_trickles(tmp_path: Path) -> None:
    """A body slower than the minimum rate is answered with 408 although it never stalls."""

    async def trickling() -> AsyncIterator[bytes]:
        yield b"Obj\x01"
        for _ in range(40):
            await asyncio.sleep(0.01)
            yield b"x"

    async with open_edge(
        tmp_path, server={"body_stall_seconds": 0.1, "body_min_bytes_per_second": 1000}
    ) as edge:
        assert (await edge.upload(trickling(), await edge.signed_in())).status_code == 408


async def test_knows_each_outcome_in_its_metrics(edge: Edge) -> None:
    """Accepted, replayed and refused uploads are counted by outcome; no label holds an id."""
    user = await edge.signed_in()
    for content in (good_file(1), good_file(1), b"no avro"):
        await edge.upload(content, user)
    text = edge.deps.metrics.text().decode()
    for outcome in ("accepted", "replayed", "not-avro"):
        assert f'healthingest_uploads_total{{outcome="{outcome}"}} 1.0' in text


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "identity, br", "br, identity"])
async def test_a_content_coding_is_refused(edge: Edge, coding: str) -> None:
    """
    415 says which are taken (RFC 9110, 12.5.3), of a file and of a document.

    `identity` is none.
    """
    user = await edge.signed_in()
    headers = user | {"Content-Encoding": coding}
    refused = [
        await edge.upload(good_file(1), headers),
        await edge.http.post("/auth/register", json={}, headers=headers),
    ]
    for answer in refused:
        assert (answer.status_code, answer.json()["type"][-26:]) == (
            415,
            "unsupported-content-coding",
        )
        assert answer.headers["accept-encoding"] == "identity"
    assert (
        await edge.upload(good_file(1), user | {"Content-Encoding": "identity"})
    ).status_code == 201


async def test_a_lost_file_is_stored_anew(edge: Edge) -> None:
    """When the upload is lost, the same bytes are stored again: 201 with the first id."""
    user = await edge.signed_in()
    first = await edge.upload(good_file(1), user)
    (stored,) = edge.objects()
    stored.unlink()
    assert (await edge.upload(good_file(1), user)).status_code == 200
    kept = DatabaseKeptUploads(edge.runtime.engine, timeout_seconds=5)
    await kept.mark_lost(UploadId(UUID(first.json()["upload_id"])), at=datetime.now(UTC))
    shown = await edge.http.get(first.headers["location"], headers=user)
    assert shown.json()["state"] == "lost"
    again = await edge.upload(good_file(1), user)
    assert (again.status_code, again.json()) == (201, first.json())
    assert edge.objects() == [stored]
