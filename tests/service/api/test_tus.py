"""Resumable uploads by tus 1.0.0."""

import base64
import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest

from support.edge import Edge
from support.samples import good_file

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {"Content-Type": "application/offset+octet-stream"}
CONTENT = good_file(3)


def base64_of(text: str | bytes) -> str:
    """Return Base64 text."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


class Client:
    """A client of the protocol."""

    def __init__(self, edge: Edge, user: dict[str, str]) -> None:
        self.edge = edge
        self.headers = TUS | user

    async def create(self, size_bytes: int, **headers: str) -> httpx.Response:
        """Begin an upload."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.edge.http.post(
            "/v1/files", headers=self.headers | {"Upload-Length": str(size_bytes)} | named
        )

    async def created(self, size_bytes: int = len(CONTENT), **headers: str) -> str:
        """Begin an upload; returns its address."""
        answer = await self.create(size_bytes, **headers)
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    async def patch(
        self, url: str, content: bytes | AsyncIterator[bytes], at: int, **headers: str
    ) -> httpx.Response:
        """Send bytes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.edge.http.patch(
            url,
            content=content,
            headers=self.headers | BYTES | {"Upload-Offset": str(at)} | named,
        )

    async def head(self, url: str) -> httpx.Response:
        """Ask how much there is."""
        return await self.edge.http.head(url, headers=self.headers)


@pytest.fixture
async def client(edge: Edge) -> Client:
    """A client of a new account."""
    return Client(edge, await edge.signed_in())


async def test_says_what_it_can(edge: Edge) -> None:
    """Version, extensions, limit and algorithms, without a token."""
    answer = await edge.http.options("/v1/files")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers["tus-max-size"] == "4096"
    assert set(answer.headers["tus-extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "termination",
        "expiration",
        "checksum",
    }
    assert "sha1" in answer.headers["tus-checksum-algorithm"].split(",")


async def test_a_file_in_three_requests_is_an_upload(edge: Edge, client: Client) -> None:
    """The last answer names it; the object has the bytes; the history shows it."""
    url = await client.created(Upload_Metadata=f"filename {base64_of('night.avro')},empty")
    third = len(CONTENT) // 3
    for at in (0, third):
        answer = await client.patch(url, CONTENT[at : at + third], at)
        assert answer.status_code == 204, answer.text
        assert answer.headers["upload-offset"] == str(at + third)
        assert answer.headers["tus-resumable"] == "1.0.0"
        assert "upload-expires" in answer.headers
        assert "healthingest-upload-id" not in answer.headers
    asked = await client.head(url)
    assert asked.status_code == 200
    assert asked.headers["upload-offset"] == str(2 * third)
    assert asked.headers["upload-length"] == str(len(CONTENT))
    assert asked.headers["upload-metadata"] == f"filename {base64_of('night.avro')},empty"
    assert asked.headers["cache-control"] == "no-store"
    assert not edge.objects()
    last = await client.patch(url, CONTENT[2 * third :], 2 * third)
    assert last.status_code == 204
    upload_id = last.headers["healthingest-upload-id"]
    upload = (await edge.http.get(f"/v1/uploads/{upload_id}", headers=client.headers)).json()
    assert upload["file_hash"] == hashlib.sha256(CONTENT).hexdigest()
    (stored,) = edge.objects()
    assert stored.read_bytes() == CONTENT
    seen = (await edge.http.get(url, headers=client.headers)).json()
    assert (seen["state"], seen["upload_id"]) == ("finished", upload_id)
    assert (await client.head(url)).headers["upload-offset"] == str(len(CONTENT))


async def test_a_file_may_come_with_its_creation(edge: Edge, client: Client) -> None:
    """One request suffices for a small file; its first bytes count, too."""
    answer = await edge.http.post(
        "/v1/files",
        content=CONTENT,
        headers=client.headers | BYTES | {"Upload-Length": str(len(CONTENT))},
    )
    assert answer.status_code == 201
    assert answer.headers["upload-offset"] == str(len(CONTENT))
    assert answer.headers["healthingest-upload-id"]
    half = await edge.http.post(
        "/v1/files",
        content=CONTENT[:50],
        headers=client.headers | BYTES | {"Upload-Length": str(len(CONTENT))},
    )
    assert (half.status_code, half.headers["upload-offset"]) == (201, "50")


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
async def test_a_checksum_is_verified(client: Client, algorithm: str) -> None:
    """460, and nothing of the body counts; with the right one it does."""
    url = await client.created()
    right = hashlib.new(algorithm, CONTENT[:50], usedforsecurity=False).digest()
    wrong = hashlib.new(algorithm, b"other", usedforsecurity=False).digest()
    refused = await client.patch(
        url, CONTENT[:50], 0, Upload_Checksum=f"{algorithm} {base64_of(wrong)}"
    )
    assert refused.status_code == 460
    assert refused.json()["type"].endswith("/checksum-mismatch")
    assert (await client.head(url)).headers["upload-offset"] == "0"
    taken = await client.patch(
        url, CONTENT[:50], 0, Upload_Checksum=f"{algorithm} {base64_of(right)}"
    )
    assert (taken.status_code, taken.headers["upload-offset"]) == (204, "50")


@pytest.mark.parametrize(
    "text", ["md5 AAAA", "sha1", "sha1 AAAA", "sha256 not-base64", f"sha1 {'A' * 64}"]
)
async def test_an_invalid_checksum_is_refused(client: Client, text: str) -> None:
    """An unknown algorithm, or no digest of it."""
    url = await client.created()
    answer = await client.patch(url, CONTENT, 0, Upload_Checksum=text)
    assert (answer.status_code, answer.json()["type"][-16:]) == (400, "invalid-checksum")


@pytest.mark.parametrize("version", ["0.2.2", "1.0.1", ""])
async def test_another_version_is_refused(edge: Edge, client: Client, version: str) -> None:
    """412, with the version that the service has, on each route."""
    url = await client.created()
    sizes = {"Upload-Offset": "0", "Upload-Length": str(len(CONTENT))}
    other = client.headers | {"Tus-Resumable": version} | sizes | BYTES
    for method, path in (("POST", "/v1/files"), ("PATCH", url), ("HEAD", url), ("DELETE", url)):
        answer = await edge.http.request(method, path, headers=other)
        assert answer.status_code == 412, method
        assert answer.headers["tus-version"] == "1.0.0"
    assert (await client.head(url)).status_code == 200


@pytest.mark.parametrize("length", ["", "-1", "1.5", "12 ", "9" * 20, "\u0661"])
async def test_a_length_that_is_no_number_is_refused(
    edge: Edge, client: Client, length: str
) -> None:
    """400, with the name of the header in the problem."""
    headers = client.headers | {"Upload-Length": length}
    sent = {name.encode(): value.encode() for name, value in headers.items()}
    answer = await edge.http.post("/v1/files", headers=sent)
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/invalid-upload-length")


@pytest.mark.parametrize(
    "text",
    [
        "filename",
        "filename not-base64!",
        f"a {base64_of('x')},a {base64_of('y')}",
        f"subject {base64_of(bytes([255, 254]))}",
        f"filename {base64_of('x' * 5000)}",
        ",",
    ],
)
async def test_malformed_metadata_is_refused(client: Client, text: str) -> None:
    """A key without a value is allowed, other deviations are not."""
    answer = await client.create(len(CONTENT), Upload_Metadata=text)
    expected = 201 if text in {"filename", "filename not-base64!"} else 400
    assert answer.status_code == expected, answer.text


async def test_a_refused_file_says_why(edge: Edge, client: Client) -> None:
    """422 with findings at the last byte, and again to a client that has lost the answer."""
    bad = CONTENT[:-5]
    url = await client.created(len(bad))
    await client.patch(url, bad[:50], 0)
    answer = await client.patch(url, bad[50:], 50)
    assert answer.status_code == 422, answer.text
    assert answer.json()["findings"]
    assert not edge.objects()
    seen = (await edge.http.get(url, headers=client.headers)).json()
    assert seen["state"] == "refused"
    assert seen["findings"] == answer.json()["findings"]
    assert (await client.patch(url, bad[50:], 50)).status_code == 422
    assert (await client.head(url)).status_code == 422


async def test_a_file_counts_when_it_ends(edge: Edge, client: Client) -> None:
    """Once, whatever the number of its requests: accepted, or refused."""
    for content in (CONTENT, CONTENT[:-5]):
        url = await client.created(len(content))
        await client.patch(url, content[:50], 0)
        await client.patch(url, content[50:], 50)
    text = edge.deps.metrics.text().decode()
    counted = [line for line in text.splitlines() if line.startswith("healthingest_uploads_total")]
    assert sorted(counted) == [
        f'healthingest_uploads_total{{outcome="{outcome}"}} 1.0'
        for outcome in ("accepted", "file-refused")
    ]


async def test_an_empty_file_is_refused_at_its_creation(client: Client) -> None:
    """A client sends no bytes after it."""
    assert (await client.create(0)).status_code == 415


async def test_refuses_what_does_not_continue(client: Client) -> None:
    """409 for another offset, 400 for too many bytes, 415 for another type of body."""
    url = await client.created()
    assert (await client.patch(url, b"x", 1)).status_code == 409
    assert (await client.patch(url, CONTENT + b"x", 0)).status_code == 400
    answer = await client.patch(url, CONTENT, 0, Content_Type="application/avro")
    assert answer.status_code == 415


async def test_a_terminated_file_is_gone(client: Client) -> None:
    """404 afterwards."""
    url = await client.created()
    await client.patch(url, CONTENT[:50], 0)
    answer = await client.edge.http.delete(url, headers=client.headers)
    assert answer.status_code == 204
    for gone in (await client.head(url), await client.patch(url, b"x", 50)):
        assert gone.status_code == 404
        assert gone.headers["tus-resumable"] == "1.0.0"


async def test_is_for_its_owner_only(edge: Edge, client: Client) -> None:
    """Another account, a wrong id and a malformed one are answered alike."""
    url = await client.created()
    other = Client(edge, await edge.signed_in())
    for path in (url, "/v1/files/00000000-0000-4000-8000-000000000000", "/v1/files/x"):
        for answer in (
            await other.head(path),
            await other.patch(path, CONTENT, 0),
            await edge.http.delete(path, headers=other.headers),
            await edge.http.get(path, headers=other.headers),
        ):
            assert answer.status_code == 404
    assert (await client.head(url)).headers["upload-offset"] == "0"


async def test_is_announced_and_audited_like_any_upload(edge: Edge, client: Client) -> None:
    """One message, and one event of the audit log."""
    url = await client.created()
    await client.patch(url, CONTENT[:50], 0)
    await client.patch(url, CONTENT[50:], 50)
    async with edge.runtime.outbox.claim(limit=10) as batch:
        assert len(batch.messages) == 1
