"""How the S3 adapter handles answers that a correct server does not give."""

from base64 import b64encode
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from healthingest_service.adapters.s3.store import S3Store, open_s3_store
from healthingest_service.uploads.errors import (
    ObjectLostError,
    StoreRefusedError,
    StoreUnavailableError,
)
from healthingest_service.uploads.model import NewObject
from support.s3 import access_to
from support.servers.scripted import HANG_UP, ScriptedServer, answer, head_answer, scripted_server
from support.servers.versitygw import S3Server
from support.uploads import sha256

CONTENT = b"content"
OTHER = answer(
    200, headers=[f"x-amz-checksum-sha256: {b64encode(bytes.fromhex(sha256(b'other'))).decode()}"]
)
OK = answer(200)
MISSING = answer(404)
OVERLOADED = answer(503, "SlowDown")
FORBIDDEN = answer(403, "AccessDenied")
THERE = head_answer(len(CONTENT), sha256(CONTENT))


def store_at(server: ScriptedServer) -> AbstractAsyncContextManager[S3Store]:
    """A store on that server."""
    return open_s3_store(access_to(S3Server(server.port, bucket="bucket"), timeout_seconds=5.0))


async def put(server: ScriptedServer, folder: Path) -> None:
    """Put the content there."""
    path = folder / "file.body"
    path.write_bytes(CONTENT)
    async with store_at(server) as store:
        await store.put(NewObject("raw/key", path, len(CONTENT), sha256(CONTENT)))


@pytest.mark.parametrize(
    ("answers", "methods"),
    [
        ([OK], "PUT"),
        ([HANG_UP, THERE], "PUT HEAD"),
        ([HANG_UP, MISSING, OK], "PUT HEAD PUT"),
        ([OVERLOADED, MISSING, OK], "PUT HEAD PUT"),
        ([answer(500, "InternalError"), HANG_UP, MISSING, OK], "PUT HEAD HEAD PUT"),
        ([answer(400, "RequestTimeout"), MISSING, OK], "PUT HEAD PUT"),
        ([HANG_UP, MISSING, HANG_UP, THERE], "PUT HEAD PUT HEAD"),
        ([OTHER, head_answer(len(CONTENT), sha256(b"other")), OK], "PUT HEAD PUT"),
    ],
)
async def test_stored_at_last(tmp_path: Path, answers: list[bytes | str], methods: str) -> None:
    """After an unclear answer it asks, and sends only what is missing."""
    async with scripted_server(*answers) as server:
        await put(server, tmp_path)
        assert [request.split()[0] for request in server.requests] == methods.split()


@pytest.mark.parametrize(
    "refusal",
    [
        FORBIDDEN,
        answer(400, "BadDigest"),
        answer(404, "NoSuchBucket"),
        answer(403, "QuotaExceeded"),
        answer(501, "NotImplemented"),
    ],
)
async def test_refused_at_once(tmp_path: Path, refusal: bytes) -> None:
    """A clear refusal is not repeated."""
    async with scripted_server(refusal) as server:
        with pytest.raises(StoreRefusedError):
            await put(server, tmp_path)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answers",
    [
        [OVERLOADED, MISSING] * 3,
        [OTHER, head_answer(len(CONTENT), sha256(b"other"))] * 3,
        [HANG_UP, MISSING] * 3,
        [HANG_UP, answer(403)] * 3,
        [HANG_UP, head_answer(len(CONTENT), sha256(b"other")), FORBIDDEN],
        [OVERLOADED, MISSING, FORBIDDEN],
    ],
    ids=[
        "overloaded",
        "other checksum",
        "no answer",
        "nobody may ask",
        "other bytes, then no",
        "overloaded, then no",
    ],
)
async def test_unclear_in_the_end(tmp_path: Path, answers: list[bytes | str]) -> None:
    """
    After three attempts the result is unclear.

    A refusal after an unclear answer is unclear too, because the first attempt may still arrive.
    """
    async with scripted_server(*answers) as server:
        with pytest.raises(StoreUnavailableError):
            await put(server, tmp_path)
        assert server.answers == []


async def test_a_head_that_is_not_allowed_is_no_missing_object() -> None:
    """Forbidden is not missing: a row must not be removed because a right is missing."""
    async with scripted_server(answer(403)) as server, store_at(server) as store:
        with pytest.raises(StoreRefusedError):
            await store.head("raw/key")


HALF = b"HTTP/1.1 206 Partial\r\nContent-Length: 7\r\n\r\ncont"


@pytest.mark.parametrize("script", [(HALF, HANG_UP), (HALF,)], ids=["closed", "silent"])
async def test_a_range_that_ends_early_is_an_error(script: tuple[bytes | str, ...]) -> None:
    """The connection breaks after some bytes, or nothing more comes: unavailable, no short file."""
    async with scripted_server(*script, OK) as server:
        access = access_to(S3Server(server.port, bucket="bucket"), timeout_seconds=0.5)
        async with open_s3_store(access) as store:
            chunks = store.read_range("raw/key", offset=0, size_bytes=len(CONTENT))
            with pytest.raises(StoreUnavailableError):
                _ = [chunk async for chunk in chunks]


@pytest.mark.parametrize(
    ("status", "error"), [(404, ObjectLostError), (416, ObjectLostError), (403, StoreRefusedError)]
)
async def test_says_why_a_range_cannot_be_read(status: int, error: type[Exception]) -> None:
    """A missing or too short object is lost; a refusal says nothing about the object."""
    async with scripted_server(answer(status, "Code")) as server, store_at(server) as store:
        with pytest.raises(error) as raised:
            await anext(store.read_range("raw/key", offset=0, size_bytes=7))
        assert type(raised.value) is error


async def test_a_range_that_was_ignored_is_an_error() -> None:
    """The server sends another number of bytes than the range has."""
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncontent"
    async with scripted_server(whole) as server, store_at(server) as store:
        with pytest.raises(ObjectLostError):
            await anext(store.read_range("raw/key", offset=2, size_bytes=2))
