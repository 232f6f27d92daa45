"""Objects that go to S3 in parts: the requests, and what remains after a failure."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from healthingest_service.adapters.s3 import multipart
from healthingest_service.adapters.s3.multipart import MAX_PARTS, parts_of
from healthingest_service.adapters.s3.store import S3Store, open_s3_store
from healthingest_service.uploads.errors import (
    LedgerUnavailableError,
    StoreRefusedError,
    StoreUnavailableError,
)
from healthingest_service.uploads.model import NewObject, StoredObject
from healthingest_service.uploads.ports import Heartbeat, no_heartbeat
from support.cancelling import is_cancelled_at
from support.faults.proxy import Harm, Trouble, proxy
from support.s3 import access_to, unfinished_puts
from support.servers.scripted import HANG_UP, ScriptedServer, answer, head_answer, scripted_server
from support.servers.versitygw import S3Server
from support.uploads import sha256

KEY = "raw/key"
PART_BYTES = 5 * 1024 * 1024
TIMEOUT_SECONDS = 5.0
CONTENT = b"7" * (PART_BYTES + 1)
SHORT = b"content"
SHORT_PART_BYTES = 3  # a scripted server minds no minimum: three parts


def store_at(
    port: int, server: S3Server | None = None, part_bytes: int = PART_BYTES
) -> AbstractAsyncContextManager[S3Store]:
    """A store there."""
    access = access_to(server or S3Server(port, bucket="bucket"), timeout_seconds=TIMEOUT_SECONDS)
    return open_s3_store(
        replace(access, endpoint=f"http://127.0.0.1:{port}"), part_bytes=part_bytes
    )


async def put(
    store: S3Store, folder: Path, content: bytes = CONTENT, *, heartbeat: Heartbeat = no_heartbeat
) -> None:
    """Put the content."""
    path = folder / "file.body"
    path.write_bytes(content)
    await store.put(NewObject(KEY, path, len(content), sha256(content)), heartbeat=heartbeat)


def test_parts_cover_the_file() -> None:
    """
    One after the other, the last one shorter.

    There are never more parts than S3 allows, however large the file.
    """
    assert [(part.number, part.offset, part.size_bytes) for part in parts_of(7, 3)] == [
        (1, 0, 3),
        (2, 3, 3),
        (3, 6, 1),
    ]
    assert [part.size_bytes for part in parts_of(6, 3)] == [3, 3]
    many = parts_of(5 * 2**40, PART_BYTES)
    assert len(many) <= MAX_PARTS
    assert sum(part.size_bytes for part in many) == 5 * 2**40


class TestRealServer:
    async def test_has_the_checksum_of_the_parts(self, s3_server: S3Server, tmp_path: Path) -> None:
        """
        The server keeps the checksum that it verified, part by part.

        Nothing of the upload is left beside.
        """
        digests = [
            hashlib.sha256(part).digest() for part in (CONTENT[:PART_BYTES], CONTENT[PART_BYTES:])
        ]
        expected = base64.b64encode(hashlib.sha256(b"".join(digests)).digest()).decode() + "-2"
        async with store_at(s3_server.port, s3_server) as store:
            await put(store, tmp_path)
            answer = await store.bucket.head(KEY)
            assert answer is not None
            assert answer["ChecksumSHA256"] == expected
            assert await store.head(KEY) == StoredObject(len(CONTENT), sha256(CONTENT))
        assert await unfinished_puts(s3_server) == []

    async def test_refuses_other_bytes(self, s3_server: S3Server, tmp_path: Path) -> None:
        """A file that changed on the way is refused, and nothing is left."""
        path = tmp_path / "file.body"
        path.write_bytes(CONTENT)
        async with store_at(s3_server.port, s3_server) as store:
            with pytest.raises(StoreRefusedError):
                await store.put(NewObject(KEY, path, len(CONTENT), sha256(b"other")))
            assert await store.head(KEY) is None
        assert await unfinished_puts(s3_server) == []

    @pytest.mark.parametrize("harm", [Harm.CUT_BEFORE, Harm.CUT_WITHIN, Harm.LOSE_ANSWER])
    @pytest.mark.parametrize("call", [b"partNumber=2", b"POST /{bucket}/raw/key?uploadId"])
    async def test_survives_one_cut(
        self, s3_server: S3Server, tmp_path: Path, call: bytes, harm: Harm
    ) -> None:
        """If a connection breaks at a part or at the completion, one request is repeated."""
        call = call.replace(b"{bucket}", s3_server.bucket.encode())
        async with proxy(s3_server.port) as between, store_at(between.port, s3_server) as store:
            between.trouble = Trouble((call,), harm)
            await put(store, tmp_path)
            assert between.hits == 1
            assert await store.head(KEY) == StoredObject(len(CONTENT), sha256(CONTENT))
        assert await unfinished_puts(s3_server) == []

    async def test_leaves_nothing_of_what_failed(self, s3_server: S3Server, tmp_path: Path) -> None:
        """A part fails finally: there is no object, and the first part is removed."""
        async with proxy(s3_server.port) as between, store_at(between.port, s3_server) as store:
            between.trouble = Trouble((b"partNumber=2",), Harm.CUT_WITHIN, times=3)
            with pytest.raises(StoreUnavailableError):
                await put(store, tmp_path)
            assert between.hits == 3
            assert await store.head(KEY) is None
        assert await unfinished_puts(s3_server) == []

    async def test_ends_with_the_lease(self, s3_server: S3Server, tmp_path: Path) -> None:
        """
        It calls the heartbeat before each part and before the completion.

        An error of the heartbeat undoes it.
        """
        signs = 0

        async def heartbeat() -> None:
            nonlocal signs
            signs += 1
            if signs == 3:
                raise LedgerUnavailableError

        async with store_at(s3_server.port, s3_server) as store:
            with pytest.raises(LedgerUnavailableError):
                await put(store, tmp_path, heartbeat=heartbeat)
            assert await store.head(KEY) is None
        assert await unfinished_puts(s3_server) == []

    async def test_leaves_nothing_when_cancelled(self, s3_server: S3Server, tmp_path: Path) -> None:
        """Cancelled at any moment, the object is whole or does not exist, and no part is left."""
        cut = 0
        async with store_at(s3_server.port, s3_server) as store:
            for wait in count():
                if not await is_cancelled_at(wait, put(store, tmp_path)):
                    break
                cut += await store.head(KEY) is None
                assert await unfinished_puts(s3_server) == []
        assert cut > 5


def xml(name: str, content: str = "") -> bytes:
    """An answer with a body."""
    body = f"<?xml version='1.0'?><{name}>{content}</{name}>"
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


BEGUN = xml("InitiateMultipartUploadResult", "<UploadId>u</UploadId>")
SENT = answer(200, headers=['ETag: "e"'])
GONE = answer(204)
MISSING = answer(404)
DONE = xml("CompleteMultipartUploadResult")
FAILED_LATE = xml("Error", "<Code>InternalError</Code>")
WRONG = xml("CompleteMultipartUploadResult", "<ChecksumSHA256>AAAA-3</ChecksumSHA256>")
THERE = head_answer(len(SHORT), sha256(SHORT))
NO_UPLOAD = answer(404, "NoSuchUpload")
OVERLOADED = answer(503, "SlowDown")
FORBIDDEN = answer(403, "AccessDenied")
PARTS = ["begin", "part", "part", "part"]
VERBS = {"POST ?uploads": "begin", "PUT": "part", "POST": "end", "HEAD": "head", "DELETE": "abort"}


def calls(server: ScriptedServer) -> list[str]:
    """Return the requests as words."""
    asked = []
    for request in server.requests:
        method, address, _ = request.split()
        asked.append(VERBS[f"{method} ?uploads" if address.endswith("?uploads") else method])
    return asked


@asynccontextmanager
async def scripted(*answers: bytes | str) -> AsyncIterator[tuple[ScriptedServer, S3Store]]:
    """Return a store on a server with these answers."""
    async with (
        scripted_server(*answers) as server,
        store_at(server.port, part_bytes=SHORT_PART_BYTES) as store,
    ):
        yield server, store


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        ([BEGUN, *[SENT] * 3, DONE], [*PARTS, "end"]),
        ([OVERLOADED, BEGUN, *[SENT] * 3, DONE], ["begin", *PARTS, "end"]),
        ([BEGUN, SENT, HANG_UP, SENT, SENT, DONE], [*PARTS, "part", "end"]),
        ([BEGUN, *[SENT] * 3, HANG_UP, THERE], [*PARTS, "end", "head"]),
        ([BEGUN, *[SENT] * 3, HANG_UP, MISSING, DONE], [*PARTS, "end", "head", "end"]),
        ([BEGUN, *[SENT] * 3, FAILED_LATE, MISSING, DONE], [*PARTS, "end", "head", "end"]),
        (
            [BEGUN, *[SENT] * 3, HANG_UP, MISSING, NO_UPLOAD, THERE],
            [*PARTS, "end", "head", "end", "head"],
        ),
    ],
    ids=[
        "well",
        "begun twice",
        "part twice",
        "ended",
        "not ended",
        "200 and an error",
        "ended late",
    ],
)
async def test_stored_at_last(tmp_path: Path, answers: list[bytes | str], asked: list[str]) -> None:
    """Safe requests are repeated; after an unclear completion it asks first."""
    async with scripted(*answers) as (server, store):
        await put(store, tmp_path, SHORT)
        assert (calls(server), server.answers) == (asked, [])


@pytest.mark.parametrize(
    ("answers", "asked", "error"),
    [
        ([FORBIDDEN], ["begin"], StoreRefusedError),
        ([BEGUN, SENT, FORBIDDEN, GONE], ["begin", "part", "part", "abort"], StoreRefusedError),
        ([BEGUN, *[HANG_UP] * 3, GONE], ["begin", *["part"] * 3, "abort"], StoreUnavailableError),
        (
            [BEGUN, FORBIDDEN, OVERLOADED, GONE],
            ["begin", "part", "abort", "abort"],
            StoreRefusedError,
        ),
        (
            [BEGUN, *[SENT] * 3, FORBIDDEN, MISSING, GONE],
            [*PARTS, "end", "head", "abort"],
            StoreRefusedError,
        ),
        (
            [BEGUN, *[SENT] * 3, *[OVERLOADED, MISSING] * 3, MISSING, GONE],
            [*PARTS, *["end", "head"] * 3, "head", "abort"],
            StoreUnavailableError,
        ),
        (
            [BEGUN, *[SENT] * 3, HANG_UP, answer(403), FORBIDDEN, answer(403), answer(403)],
            [*PARTS, "end", "head", "end", "head", "head"],
            StoreUnavailableError,
        ),
        (
            [BEGUN, *[SENT] * 3, WRONG, MISSING, NO_UPLOAD],
            [*PARTS, "end", "head", "abort"],
            StoreUnavailableError,
        ),
    ],
    ids=[
        "begin",
        "part",
        "part unclear",
        "abort twice",
        "end",
        "end unclear",
        "nobody may ask",
        "other checksum",
    ],
)
async def test_fails(
    tmp_path: Path, answers: list[bytes | str], asked: list[str], error: type[Exception]
) -> None:
    """The error has the reason, and sent parts are removed; an unclear completion is not undone."""
    async with scripted(*answers) as (server, store):
        with pytest.raises(error):
            await put(store, tmp_path, SHORT)
        assert (calls(server), server.answers) == (asked, [])


async def test_the_end_may_take_longer(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The deadline of the completion grows with the size of the parts.

    The heartbeat continues.
    """
    # A slow rate, so that a busy machine keeps the longer deadline too.
    monkeypatch.setattr(multipart, "ASSEMBLED_BYTES_PER_SECOND", len(CONTENT) / 30)
    signs = 0

    async def heartbeat() -> None:
        nonlocal signs
        await asyncio.sleep(0)
        signs += 1

    async with proxy(s3_server.port) as between, store_at(between.port, s3_server) as store:
        object.__setattr__(store.bucket, "timeout_seconds", 2.0)
        between.trouble = Trouble(
            (f"POST /{s3_server.bucket}/raw/key?uploadId".encode(),), Harm.SLOW, seconds=3.0
        )
        await put(store, tmp_path, heartbeat=heartbeat)
        assert between.hits == 1
    assert signs >= 4
    async with store_at(s3_server.port, s3_server) as store:
        assert await store.head(KEY) == StoredObject(len(CONTENT), sha256(CONTENT))


async def test_a_part_counts_by_itself(tmp_path: Path) -> None:
    """The deadline is for one part: an object of many parts may take longer."""
    async with scripted(BEGUN, *[SENT] * 3, DONE) as (server, store):
        object.__setattr__(store.bucket, "timeout_seconds", 4.0)

        async def slowly() -> None:
            await asyncio.sleep(1.5)

        await put(store, tmp_path, SHORT, heartbeat=slowly)
        assert calls(server) == [*PARTS, "end"]
