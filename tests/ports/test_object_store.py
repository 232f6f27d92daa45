"""The port `ObjectStore`, on a folder and on an S3 server that verifies checksums."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from healthingest_service.adapters.folder import FolderStore
from healthingest_service.adapters.s3.store import S3Store, open_s3_store
from healthingest_service.studies.errors import SubjectErasedError, SubjectWithdrawnError
from healthingest_service.uploads.errors import (
    LedgerUnavailableError,
    ObjectLockedError,
    ObjectLostError,
    StoreRefusedError,
    StoreUnavailableError,
    UploadErasedError,
)
from healthingest_service.uploads.model import NewObject, StoredObject
from healthingest_service.uploads.ports import ObjectStore
from healthingest_service.uploads.removal import removal
from support.cancelling import is_cancelled_at
from support.deadlines import HANG_SECONDS
from support.fakes import MemoryStore
from support.s3 import access_to
from support.servers.silent import silent_server
from support.servers.versitygw import S3Server
from support.uploads import sha256, upload

PART_BYTES = 5 * 1024 * 1024
WHOLE_BYTES = 1024 * 1024 * 1024
"""The least that a real server accepts, and more than any content here."""


def _no_link(*_arguments: object, **_keywords: object) -> None:
    """Fail to link, as between two file systems."""
    raise OSError(errno.EXDEV, "not this file system")


# ANN401: the fields' types
def s3(server: S3Server, **changed: Any) -> AbstractAsyncContextManager[S3Store]:  # noqa: ANN401
    """Return a store on that server, with other settings."""
    return open_s3_store(replace(access_to(server), **changed))


@pytest.fixture(params=["memory", "folder", "folder elsewhere", "s3", "s3 in parts"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ObjectStore]:
    """An empty store of each kind; the one in memory is the fake of other tests."""
    if request.param == "memory":
        yield MemoryStore()
        return
    if request.param == "folder":
        yield FolderStore(tmp_path / "objects")
        return
    if request.param == "folder elsewhere":
        monkeypatch.setattr("os.link", _no_link)
        yield FolderStore(tmp_path / "objects")
        return
    part_bytes = PART_BYTES if request.param == "s3 in parts" else WHOLE_BYTES
    async with open_s3_store(
        access_to(request.getfixturevalue("s3_server")), part_bytes=part_bytes
    ) as opened:
        yield opened


@pytest.fixture
def key() -> str:
    """A key as uploads have it."""
    return upload().receipt.object_key


def file(folder: Path, content: bytes) -> Path:
    """A spooled body."""
    path = folder / f"{sha256(content)}.body"
    path.write_bytes(content)
    return path


async def put(store: ObjectStore, key: str, folder: Path, content: bytes) -> None:
    """Put these bytes."""
    await store.put(NewObject(key, file(folder, content), len(content), sha256(content)))


class TestObjectStore:
    async def test_erases_everything_under_a_key(
        self, store: ObjectStore, key: str, tmp_path: Path
    ) -> None:
        """Twice is safe, a missing object is no error, and another key stays."""
        other = upload(b"other").receipt.object_key
        await put(store, key, tmp_path, b"content")
        await put(store, other, tmp_path, b"other")
        assert await store.remains(key) == 1
        assert [await store.erase(key) for _ in range(2)] == [1, 0]
        assert (await store.remains(key), await store.head(key)) == (0, None)
        assert await store.remains(other) == 1

    @pytest.mark.parametrize("size_bytes", [1, 2 * PART_BYTES + 1])
    async def test_stores_nothing_after_the_lease(
        self, store: ObjectStore, key: str, tmp_path: Path, size_bytes: int
    ) -> None:
        """
        Its process stood still before, and its row is gone.

        The object would stay without a row, also if its subject was erased meanwhile.
        """
        content = b"x" * size_bytes
        late = NewObject(key, file(tmp_path, content), size_bytes, sha256(content))

        async def lost() -> None:
            raise LedgerUnavailableError

        with pytest.raises(LedgerUnavailableError):
            await store.put(late, heartbeat=lost)
        assert (await store.remains(key), await store.head(key)) == (0, None)

    @pytest.mark.parametrize(
        "size_bytes", [0, 1, 100_000, 3_000_001, 2 * PART_BYTES, 2 * PART_BYTES + 1]
    )
    async def test_gives_back_what_was_put(
        self, store: ObjectStore, key: str, tmp_path: Path, size_bytes: int
    ) -> None:
        """The bytes, whatever their size, and the right metadata."""
        content = b"7" * size_bytes
        await put(store, key, tmp_path, content)
        assert b"".join([chunk async for chunk in store.read(key)]) == content
        assert await store.head(key) == StoredObject(size_bytes, sha256(content))

    async def test_keeps_metadata(
        self, store: ObjectStore, key: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        """A `head` returns it as it was sent; a folder keeps none."""
        metadata = {"upload-id": "1", "schema-name": "a" * 1024, "received-at": "2026-03-01T12:00"}
        new = NewObject(key, file(tmp_path, b"content"), 7, sha256(b"content"), metadata)
        await store.put(new)
        kept = {} if "folder" in request.node.callspec.params["store"] else metadata
        assert await store.head(key) == StoredObject(7, sha256(b"content"), kept)

    async def test_puts_twice(self, store: ObjectStore, key: str, tmp_path: Path) -> None:
        """The same bytes again change nothing."""
        await put(store, key, tmp_path, b"content")
        await put(store, key, tmp_path, b"content")
        assert await store.head(key) == StoredObject(7, sha256(b"content"))

    async def test_puts_at_once(self, store: ObjectStore, tmp_path: Path) -> None:
        """Many at the same moment, each whole."""
        contents = {upload(bytes([n])).receipt.object_key: bytes([n]) * 50_000 for n in range(8)}
        await asyncio.gather(
            *(put(store, name, tmp_path, content) for name, content in contents.items())
        )
        for name, content in contents.items():
            assert await store.head(name) == StoredObject(50_000, sha256(content))

    async def test_refuses_other_bytes_than_the_hash_says(
        self, store: ObjectStore, key: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        """
        Bytes that changed on the way are refused, and nothing is left.

        A file of another length is not sent.
        """
        changed = b"changed it" if request.node.callspec.params["store"] == "folder" else b"changed"
        with pytest.raises(StoreRefusedError):
            await store.put(NewObject(key, file(tmp_path, changed), 7, sha256(b"content")))
        assert await store.head(key) is None

    async def test_knows_no_missing_object(self, store: ObjectStore, key: str) -> None:
        """A missing object has no head, and reading it is refused."""
        assert await store.head(key) is None
        with pytest.raises(StoreRefusedError):
            _ = [chunk async for chunk in store.read(key)]

    async def test_removes_an_object(self, store: ObjectStore, key: str, tmp_path: Path) -> None:
        """Removing it again, or one that never was, is no error; it can be put again."""
        await put(store, key, tmp_path, b"content")
        for _ in range(2):
            await store.remove(key)
            assert await store.head(key) is None
        await put(store, key, tmp_path, b"content")
        assert await store.head(key) == StoredObject(7, sha256(b"content"))

    @pytest.mark.parametrize(
        ("offset", "size_bytes"), [(0, 1), (0, 700_000), (1, 699_998), (699_999, 1), (300_000, 9)]
    )
    async def test_reads_a_range(
        self, store: ObjectStore, key: str, tmp_path: Path, offset: int, size_bytes: int
    ) -> None:
        """Exactly these bytes, from the first to the last."""
        content = bytes(n % 251 for n in range(700_000))
        await put(store, key, tmp_path, content)
        chunks = store.read_range(key, offset=offset, size_bytes=size_bytes)
        assert b"".join([chunk async for chunk in chunks]) == content[offset : offset + size_bytes]

    @pytest.mark.parametrize(("offset", "size_bytes"), [(0, 8), (7, 1), (100, 1)])
    async def test_reads_no_range_beyond_the_end(
        self, store: ObjectStore, key: str, tmp_path: Path, offset: int, size_bytes: int
    ) -> None:
        """A shorter object is not that of the upload: lost, as a missing one is."""
        with pytest.raises(ObjectLostError):
            await anext(store.read_range(key, offset=offset, size_bytes=size_bytes))
        await put(store, key, tmp_path, b"content")
        with pytest.raises(ObjectLostError):
            await anext(store.read_range(key, offset=offset, size_bytes=size_bytes))

    async def test_a_reader_may_stop(self, store: ObjectStore, key: str, tmp_path: Path) -> None:
        """More readers than a pool has connections stop early, and the store reads on."""
        await put(store, key, tmp_path, b"7" * 700_000)
        for _ in range(130):
            async with aclosing(store.read_range(key, offset=0, size_bytes=700_000)) as chunks:
                await anext(chunks)
        assert await store.head(key) is not None

    async def test_says_that_it_can_store(self, store: ObjectStore) -> None:
        """The check passes."""
        await store.check()

    async def test_leaves_no_half_object_when_cancelled(
        self, store: ObjectStore, key: str, tmp_path: Path
    ) -> None:
        """
        Cancelled at any moment, the object is whole or does not exist.

        The store works on.
        """
        content = b"7" * 2_000_000
        for wait in count():
            cancelled = await is_cancelled_at(wait, put(store, key, tmp_path, content))
            assert await store.head(key) in {None, StoredObject(len(content), sha256(content))}
            if not cancelled:
                break
        assert wait > 0
        await put(store, key, tmp_path, content)


class TestFolder:
    @pytest.mark.parametrize(
        "hostile", ["../out", "raw/../../out", "/etc/out", "raw//out", ".unfinished/x", "a\0b"]
    )
    async def test_leads_nowhere_else(self, tmp_path: Path, hostile: str) -> None:
        """A key that is not a path below the folder is refused."""
        store = FolderStore(tmp_path / "objects")
        with pytest.raises(StoreRefusedError):
            await put(store, hostile, tmp_path, b"content")
        with pytest.raises(StoreRefusedError):
            await store.head(hostile)

    async def test_leaves_nothing_unfinished(self, tmp_path: Path, key: str) -> None:
        """Neither an accepted put nor a refused one leaves a temporary file."""
        store = FolderStore(tmp_path / "objects")
        await put(store, key, tmp_path, b"content")
        with pytest.raises(StoreRefusedError):
            await store.put(NewObject(key, file(tmp_path, b"x"), 2, sha256(b"xy")))
        assert list((tmp_path / "objects" / ".unfinished").iterdir()) == []

    async def test_notices_a_file_that_is_cut_while_it_is_read(
        self, tmp_path: Path, key: str
    ) -> None:
        """The reader gets an error, no early end."""
        store = FolderStore(tmp_path / "objects")
        await put(store, key, tmp_path, b"7" * 700_000)
        chunks = store.read_range(key, offset=0, size_bytes=700_000)
        assert await anext(chunks)
        (tmp_path / "objects" / key).write_bytes(b"")
        with pytest.raises(StoreUnavailableError):
            _ = [chunk async for chunk in chunks]

    async def test_says_when_the_folder_cannot_be_had(self, tmp_path: Path) -> None:
        """A file has the folder's name: refused."""
        (tmp_path / "objects").write_text("in the way")
        with pytest.raises(StoreRefusedError):
            await FolderStore(tmp_path / "objects").check()


class TestS3:
    async def test_says_that_the_bucket_is_missing(
        self, s3_server: S3Server, key: str, tmp_path: Path
    ) -> None:
        """Refused, at the check and at a put."""
        async with s3(s3_server, bucket="no-such-bucket-here") as store:
            with pytest.raises(StoreRefusedError):
                await store.check()
            with pytest.raises(StoreRefusedError):
                await put(store, key, tmp_path, b"content")

    async def test_says_that_the_secret_is_wrong(
        self, s3_server: S3Server, key: str, tmp_path: Path
    ) -> None:
        """Refused, and the secret is not in the text of the error."""
        async with s3(s3_server, secret_access_key="not-this-secret") as store:
            with pytest.raises(StoreRefusedError) as refused:
                await put(store, key, tmp_path, b"content")
        assert "not-this-secret" not in repr(refused.value.__cause__)

    async def test_says_that_nobody_answers(
        self, s3_server: S3Server, key: str, tmp_path: Path
    ) -> None:
        """Nothing listens: no clear answer."""
        async with s3(s3_server, endpoint="http://127.0.0.1:9") as store:
            with pytest.raises(StoreUnavailableError):
                await put(store, key, tmp_path, b"content")
            with pytest.raises(StoreUnavailableError):
                await store.head(key)

    async def test_keeps_its_deadline(self, s3_server: S3Server, key: str, tmp_path: Path) -> None:
        """A server that accepts the connection and never answers ends the wait."""
        async with (
            silent_server() as port,
            s3(s3_server, endpoint=f"http://127.0.0.1:{port}", timeout_seconds=0.5) as store,
        ):
            async with asyncio.timeout(HANG_SECONDS):
                with pytest.raises(StoreUnavailableError):
                    await put(store, key, tmp_path, b"content")

    async def test_asks_for_encryption(self, s3_server: S3Server, key: str, tmp_path: Path) -> None:
        """With server-side encryption objects are stored and read as before."""
        async with open_s3_store(access_to(s3_server), encryption="SSE-S3") as store:
            await put(store, key, tmp_path, b"content")
            assert await store.head(key) == StoredObject(7, sha256(b"content"))


@pytest.fixture(name="versioned")
async def _versioned(s3_server: S3Server) -> AsyncIterator[S3Store]:
    async with s3(s3_server) as store:
        await store.bucket.client.put_bucket_versioning(
            Bucket=s3_server.bucket, VersioningConfiguration={"Status": "Enabled"}
        )
        yield store


async def test_erases_versions_markers_and_unfinished_uploads(
    versioned: S3Store, key: str, tmp_path: Path
) -> None:
    """Those of the key, and none of a key that begins with it."""
    longer = f"{key}.copy"
    client = versioned.bucket.client
    bucket = versioned.bucket.name
    for content in (b"1", b"2"):
        await put(versioned, key, tmp_path, content)
    await versioned.remove(key)
    for name in (key, longer):
        await client.create_multipart_upload(Bucket=bucket, Key=name)
    await put(versioned, longer, tmp_path, b"3")
    assert await versioned.remains(key) == 4
    assert await versioned.erase(key) == 4
    assert (await versioned.remains(key), await versioned.remains(longer)) == (0, 2)


async def test_an_upload_that_must_not_succeed_leaves_nothing(
    versioned: S3Store, tmp_path: Path
) -> None:
    """After an erasure all versions go; after a withdrawal earlier ones stay."""
    for reason, left in (
        (SubjectErasedError(), 0),
        (UploadErasedError(), 0),
        (SubjectWithdrawnError(), 2),
    ):
        new = upload(b"content")
        await put(versioned, new.receipt.object_key, tmp_path, b"content")
        await removal(versioned, new, reason)()
        assert await versioned.remains(new.receipt.object_key) == left


async def test_a_locked_version_is_told(s3_gateway: S3Server, key: str, tmp_path: Path) -> None:
    """With the end of its lock; unlocked versions of the key are removed."""
    async with s3(s3_gateway, bucket=f"locked-{uuid4().hex}") as store:
        client = store.bucket.client
        bucket = store.bucket.name
        await client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        until = datetime.now(UTC) + timedelta(days=1)
        await client.put_object(
            Bucket=bucket,
            Key=key,
            Body=b"1",
            ObjectLockMode="GOVERNANCE",
            ObjectLockRetainUntilDate=until,
        )
        await put(store, key, tmp_path, b"2")
        with pytest.raises(ObjectLockedError) as locked:
            await store.erase(key)
        assert locked.value.until is not None
        assert abs(locked.value.until - until) < timedelta(seconds=2)
        assert await store.remains(key) == 1
