"""Uploads and downloads over connections that are cut."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from healthingest_client import AsyncClient, Client, ContentMismatchError, TokenFile
from healthingest_client.file_upload import LocalFile, Sending
from support.avro_files import write_file
from support.cutting_proxy import cutting_proxy

MIB = 1024 * 1024


class Cutting(httpx.AsyncHTTPTransport):
    """A network that cuts each answer with a file after *cut_bytes*; `ranges` are those asked."""

    def __init__(self, cut_bytes: int, damage: bytes = b"") -> None:
        super().__init__()
        self.cut_bytes = cut_bytes
        self.damage = damage
        self.ranges: list[str | None] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request."""
        answer = await super().handle_async_request(request)
        if not request.url.path.endswith("/content"):
            return answer
        self.ranges.append(request.headers.get("Range"))
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        return httpx.Response(
            answer.status_code,
            headers=answer.headers,
            stream=_CutStream(answer.stream, self),
        )


class _CutStream(httpx.AsyncByteStream):
    def __init__(self, whole: httpx.AsyncByteStream, network: Cutting) -> None:
        self._whole = whole
        self._network = network

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._network.cut_bytes
        async for chunk in self._whole:
            yield self._network.damage + chunk[len(self._network.damage) : left]
            left -= len(chunk)
            if left <= 0:
                message = "cut"
                raise httpx.ReadError(message)

    async def aclose(self) -> None:
        await self._whole.aclose()


class InFlight(httpx.AsyncHTTPTransport):
    """A service that twice has the same bytes in flight when the last byte of a file comes."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__()
        self.size_bytes = size_bytes
        self.left = 2

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, or refuse the last byte."""
        if request.method != "PATCH" or not self.left:
            return await super().handle_async_request(request)
        begin = int(request.headers["Upload-Offset"])
        if begin + int(request.headers["Content-Length"]) < self.size_bytes:
            return await super().handle_async_request(request)
        await request.aread()
        self.left -= 1
        problem = {"type": "https://healthingest.dev/problems/upload-in-flight"}
        return httpx.Response(409, json=problem)


@pytest.mark.usefixtures("email")
async def test_only_the_last_byte_is_repeated_while_the_same_bytes_are_in_flight(
    server: str, tokens: TokenFile, tmp_path: Path
) -> None:
    """As after a process was killed that stored them: the first refusal costs the file once."""
    path = tmp_path / "large.avro"
    size_bytes = len(write_file(path, MIB, 6))
    sending = Sending(LocalFile.at(path))
    async with AsyncClient(server, tokens, transport=InFlight(size_bytes)) as client:
        receipt = await client.send_file(sending)
        upload = await client.get_upload(receipt["upload_id"])
    assert upload["file_size_bytes"] == size_bytes
    assert sending.sent_bytes == 2 * size_bytes + 1


@pytest.mark.usefixtures("email")
async def test_each_byte_of_a_large_file_is_sent_about_once(
    server: str, tokens: TokenFile, tmp_path: Path
) -> None:
    """Although every connection is cut; the server has the whole file."""
    path = tmp_path / "large.avro"
    content = write_file(path, 5 * MIB, 1)
    address = urlsplit(server)
    backend = (address.hostname or "", address.port or 0)
    async with cutting_proxy([backend], cut_bytes=MIB, bytes_per_second=16 * MIB) as proxy:
        tokens.put(proxy.url, tokens.get(server))
        async with AsyncClient(proxy.url, tokens) as client:
            receipt = await client.upload(path)
            upload = await client.get_upload(receipt["upload_id"])
        assert proxy.cuts >= 4
        assert proxy.sent_bytes <= 1.05 * len(content)
    assert upload["file_size_bytes"] == len(content)


def test_another_process_goes_on_where_one_ended(
    client: Client, server: str, tokens: TokenFile, tmp_path: Path
) -> None:
    """At the byte that the server has; a location that has ended is replaced by a new one."""
    path = tmp_path / "large.avro"
    content = write_file(path, MIB, 2)
    kept = tokens.get(server)
    assert kept is not None
    headers = {"Authorization": f"Bearer {kept.access_token}", "Tus-Resumable": "1.0.0"}
    begun = httpx.post(f"{server}/v1/files", headers=headers | {"Upload-Length": str(len(content))})
    location = begun.headers["Location"]
    httpx.patch(
        server + location,
        headers=headers | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
        content=content[:700_000],
    )
    sending = Sending(LocalFile.at(path), location=location)
    client.send_file(sending)
    assert sending.sent_bytes == len(content) - 700_000

    other = tmp_path / "other.avro"
    size_bytes = len(write_file(other, MIB, 3))
    locations: list[str] = []
    gone = "/v1/files/00000000-0000-4000-8000-000000000000"
    sending = Sending(LocalFile.at(other), location=gone, begun=locations.append)
    client.send_file(sending)
    assert sending.sent_bytes == size_bytes
    assert len(locations) == 1


async def test_a_cut_download_goes_on(
    client: Client, server: str, tokens: TokenFile, tmp_path: Path
) -> None:
    """With the next byte, also in another process; the bytes are those of the upload."""
    path = tmp_path / "large.avro"
    content = write_file(path, MIB, 4)
    upload_id = client.upload(path)["upload_id"]
    network = Cutting(400_000)
    part = tmp_path / f".{upload_id}.part"
    part.touch(0o600)
    part.write_bytes(content[:100_000])
    async with AsyncClient(server, tokens, transport=network) as cut:
        found = await cut.download(upload_id, tmp_path)
        assert found.name == f"R-{upload_id}.avro"
        assert found.read_bytes() == content
        with pytest.raises(FileExistsError, match="remove it"):
            await cut.download(upload_id, found)
    assert network.ranges[0] == "bytes=100000-"
    assert len(network.ranges) >= 3
    assert found.stat().st_mode & 0o077 == 0


async def test_wrong_bytes_are_not_kept(
    client: Client, server: str, tokens: TokenFile, sample: Path
) -> None:
    """The digest of the answer says so."""
    upload_id = client.upload(sample)["upload_id"]
    target = sample.with_name("copy.avro")
    async with AsyncClient(server, tokens, transport=Cutting(MIB, damage=b"?")) as damaged:
        with pytest.raises(ContentMismatchError):
            await damaged.download(upload_id, target)
    assert sorted(path.name for path in sample.parent.glob("*.avro")) == ["sample.avro"]
    assert not list(sample.parent.glob(".*.part"))
