"""A file is what was announced, or an error."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from healthingest_consumer.errors import FileGoneError, FileMismatchError, FileUnavailableError
from healthingest_consumer.files import HttpFiles, verified
from support.announcements import CONTENT, STORED, MemoryFiles


async def received(chunks: AsyncIterator[bytes], into: list[bytes]) -> None:
    """Read everything that comes, also before an error."""
    async for chunk in chunks:
        into += [chunk]


def files(content: bytes) -> MemoryFiles:
    """Return files with the announced one."""
    return MemoryFiles({STORED.idempotency_key: content})


async def test_a_good_file_comes_whole() -> None:
    """In chunks."""
    found: list[bytes] = []
    await received(verified(files(CONTENT).read(STORED), STORED), found)
    assert b"".join(found) == CONTENT
    assert len(found) == 3


@pytest.mark.parametrize(
    "content", [CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x", b"", CONTENT * 2]
)
async def test_other_bytes_never_come_whole(content: bytes) -> None:
    """The last chunk is withheld until the hash was compared."""
    found: list[bytes] = []
    with pytest.raises(FileMismatchError):
        await received(verified(files(content).read(STORED), STORED), found)
    assert len(b"".join(found)) < len(CONTENT)


async def test_an_empty_file_is_a_file() -> None:
    """As announced."""
    empty = replace(
        STORED,
        file_size_bytes=0,
        file_hash="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    )
    assert [chunk async for chunk in verified(files(b"").read(empty), empty)] == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, FileGoneError),
        (410, FileGoneError),
        (403, FileGoneError),
        (401, FileUnavailableError),
        (429, FileUnavailableError),
        (503, FileUnavailableError),
    ],
)
async def test_a_refused_download_says_whether_to_try_again(
    status: int, error: type[Exception]
) -> None:
    """By its status."""
    transport = httpx.MockTransport(lambda _request: httpx.Response(status))
    downloads = HttpFiles("http://service", "token", transport=transport)
    with pytest.raises(error):
        async for _ in downloads.read(STORED):
            pass
    await downloads.close()


async def test_downloads_with_its_token() -> None:
    """From the address of the upload; a server that is away is unavailable."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=CONTENT)

    downloads = HttpFiles("http://service/", "secret", transport=httpx.MockTransport(answer))
    found = b"".join([chunk async for chunk in verified(downloads.read(STORED), STORED)])
    assert found == CONTENT
    assert seen[0].url == f"http://service/v1/uploads/{STORED.idempotency_key}/content"
    assert seen[0].headers["authorization"] == "Bearer secret"
    await downloads.close()


async def test_a_server_that_is_away_is_unavailable() -> None:
    """Whatever the connection says."""

    def refuse(request: httpx.Request) -> httpx.Response:
        message = "refused"
        raise httpx.ConnectError(message, request=request)

    downloads = HttpFiles("http://service", "token", transport=httpx.MockTransport(refuse))
    with pytest.raises(FileUnavailableError):
        async for _ in downloads.read(STORED):
            pass
    await downloads.close()
