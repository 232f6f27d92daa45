"""The port `StoreInventory`, on a folder and on a real S3 server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from healthingest_service.adapters.folder import FolderStore
from healthingest_service.adapters.folder_inventory import FolderInventory
from healthingest_service.adapters.s3.client import open_client
from healthingest_service.adapters.s3.inventory import S3Inventory
from healthingest_service.uploads.errors import StoreUnavailableError
from healthingest_service.uploads.model import NewObject
from healthingest_service.uploads.upkeep_ports import StoreInventory, UnfinishedPut
from support.s3 import access_to
from support.servers.versitygw import S3Server
from support.uploads import sha256

KEYS = (
    "raw/A/2026/01/31/x.avro",
    "raw/AB/2026/01/01/x.avro",
    "raw/AB/2026/01/02/x.avro",
    "raw/A_/y",
    "raw/stray",
)
"""In the order of their bytes: a slash is before every letter."""


@dataclass(frozen=True)
class Place:
    """An inventory, and ways to put things where it looks."""

    inventory: StoreInventory
    put: Callable[[str, bytes], Any]
    leave: Callable[[str], Any]


@pytest.fixture(name="place", params=["folder", "s3"])
async def _place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "folder":
        yield await _folder(tmp_path)
        return
    server: S3Server = request.getfixturevalue("s3_server")
    async with open_client(access_to(server)) as client:

        async def put(key: str, content: bytes) -> None:
            await client.put_object(Bucket=server.bucket, Key=key, Body=content)

        async def leave(key: str) -> None:
            made = await client.create_multipart_upload(Bucket=server.bucket, Key=key)
            words = {"Bucket": server.bucket, "Key": key, "UploadId": made["UploadId"]}
            await client.upload_part(**words, PartNumber=1, Body=b"part")

        yield Place(S3Inventory(client, server.bucket, 10), put, leave)


async def _folder(folder: Path) -> Place:
    root = folder / "objects"
    store = FolderStore(root)
    await store.check()

    async def put(key: str, content: bytes) -> None:
        source = folder / uuid4().hex
        await asyncio.to_thread(source.write_bytes, content)
        await store.put(NewObject(key, source, len(content), sha256(content)))

    async def leave(_key: str) -> None:
        (beside,) = [
            path
            for path in await asyncio.to_thread(lambda: list(root.iterdir()))
            if path.name != "raw"
        ]
        await asyncio.to_thread((beside / "0123456789abcdef").write_bytes, b"part")

    return Place(FolderInventory(root), put, leave)


async def unfinished(place: Place) -> list[UnfinishedPut]:
    """All of them."""
    return [put async for put in place.inventory.unfinished()]


class TestStoreInventory:
    async def test_lists_what_has_the_prefix(self, place: Place) -> None:
        """Parts of resumable uploads are no uploads, and the other way round."""
        for key in (*KEYS, "parts/a/1-0", "parts/a/2-5", "partsx"):
            await place.put(key, b"x")
        page = await place.inventory.page(after="", limit=10, prefix="parts/")
        assert ([one.key for one in page.objects], page.is_last) == (
            ["parts/a/1-0", "parts/a/2-5"],
            True,
        )
        after = await place.inventory.page(after="parts/a/1-0", limit=1, prefix="parts/")
        assert [one.key for one in after.objects] == ["parts/a/2-5"]
        uploads = await place.inventory.page(after="", limit=10)
        assert [one.key for one in uploads.objects] == list(KEYS)

    async def test_is_empty_at_first(self, place: Place) -> None:
        """No object, nothing unfinished."""
        page = await place.inventory.page(after="", limit=10)
        assert (list(page.objects), page.is_last, await unfinished(place)) == ([], True, [])

    async def test_lists_page_by_page(self, place: Place) -> None:
        """Pages are in the order of bytes for every limit and start, with sizes and times."""
        for key in reversed(KEYS):
            await place.put(key, key.encode())
        await place.put("other/stray", b"not under the prefix")
        for limit in (1, 2, 4, 10):
            keys = []
            after = ""
            is_last = False
            while not is_last:
                page = await place.inventory.page(after=after, limit=limit)
                is_last = page.is_last
                keys += [one.key for one in page.objects]
                assert len(page.objects) <= limit
                assert all(one.size_bytes == len(one.key) for one in page.objects)
                assert all(
                    abs(datetime.now(UTC) - one.modified_at) < timedelta(minutes=5)
                    for one in page.objects
                )
                after = keys[-1]
            assert keys == sorted(KEYS, key=str.encode)

    async def test_finds_and_aborts_what_was_left(self, place: Place) -> None:
        """
        A multipart upload of a dead process is listed until it is aborted; objects are kept.

        A repeat is no error.
        """
        await place.put(KEYS[0], b"content")
        await place.leave(KEYS[1])
        (put,) = await unfinished(place)
        assert put.key in {"", KEYS[1]}
        assert abs(datetime.now(UTC) - put.begun_at) < timedelta(minutes=5)
        await place.inventory.abort(put)
        await place.inventory.abort(put)
        assert await unfinished(place) == []
        assert [one.key for one in (await place.inventory.page(after="", limit=9)).objects] == [
            KEYS[0]
        ]


async def test_a_store_that_is_gone_is_unavailable() -> None:
    """Nobody listens there."""
    nobody = replace(access_to(S3Server(9, bucket="bucket")), timeout_seconds=1)
    async with open_client(nobody) as client:
        with pytest.raises(StoreUnavailableError):
            await S3Inventory(client, "bucket", 1).page(after="", limit=1)
