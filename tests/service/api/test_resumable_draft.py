"""Resumable uploads by the draft of the IETF."""

import base64
import hashlib

import httpx
import pytest

from support.edge import Edge
from support.samples import good_file

PARTIAL = {"Content-Type": "application/partial-upload"}
CONTENT = good_file(3)
MORE = {"Upload-Complete": "?0"}
LAST = {"Upload-Complete": "?1"}


class Client:
    """A client of the draft."""

    def __init__(self, edge: Edge, user: dict[str, str]) -> None:
        self.edge = edge
        self.headers = user

    async def created(self, content: bytes = b"", **headers: str) -> str:
        """Begin an upload; returns its address."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.edge.upload(content, self.headers | MORE | named)
        assert answer.status_code == 201, answer.text
        assert answer.headers["upload-complete"] == "?0"
        assert answer.headers["upload-offset"] == str(len(content))
        assert not answer.content
        return answer.headers["location"]

    async def patch(
        self, url: str, content: bytes, at: int, headers: dict[str, str]
    ) -> httpx.Response:
        """Send bytes."""
        return await self.edge.http.patch(
            url,
            content=content,
            headers=self.headers | PARTIAL | {"Upload-Offset": str(at)} | headers,
        )

    async def head(self, url: str) -> httpx.Response:
        """Ask how much there is."""
        return await self.edge.http.head(url, headers=self.headers)


@pytest.fixture
async def client(edge: Edge) -> Client:
    """A client of a new account."""
    return Client(edge, await edge.signed_in())


async def test_says_that_uploads_can_be_resumed(edge: Edge) -> None:
    """Without a token, as a client asks before it sends."""
    answer = await edge.http.options("/v1/upload")
    assert answer.status_code == 204
    assert answer.headers["accept-patch"] == "application/partial-upload"
    assert answer.headers["upload-limit"] == "max-size=4096"


async def test_a_file_in_three_requests_gets_the_receipt_of_an_upload(
    edge: Edge, client: Client
) -> None:
    """The last answer is the one of `POST /v1/upload`; no part stays."""
    url = await client.created(CONTENT[:40], Upload_Length=str(len(CONTENT)))
    middle = await client.patch(url, CONTENT[40:90], 40, MORE)
    assert middle.status_code == 204
    assert (middle.headers["upload-complete"], middle.headers["upload-offset"]) == ("?0", "90")
    asked = await client.head(url)
    assert asked.status_code == 204
    assert asked.headers["upload-offset"] == "90"
    assert asked.headers["upload-length"] == str(len(CONTENT))
    assert asked.headers["upload-complete"] == "?0"
    assert asked.headers["cache-control"] == "no-store"
    assert asked.headers["upload-limit"].startswith("max-size=4096, max-age=")
    last = await client.patch(url, CONTENT[90:], 90, LAST)
    assert last.status_code == 201
    assert last.headers["upload-complete"] == "?1"
    receipt = last.json()
    assert last.headers["location"] == f"/v1/uploads/{receipt['upload_id']}"
    assert receipt["file_hash"] == hashlib.sha256(CONTENT).hexdigest()
    (stored,) = edge.objects()
    assert stored.read_bytes() == CONTENT
    done = await client.head(url)
    assert (done.headers["upload-complete"], done.headers["upload-offset"]) == (
        "?1",
        str(len(CONTENT)),
    )
    assert done.headers["healthingest-upload-id"] == receipt["upload_id"]


async def test_a_file_counts_when_it_ends(edge: Edge, client: Client) -> None:
    """Its beginning is no accepted upload."""
    url = await client.created(CONTENT[:40])
    assert "healthingest_uploads_total{" not in edge.deps.metrics.text().decode()
    await client.patch(url, CONTENT[40:], 40, LAST)
    assert 'healthingest_uploads_total{outcome="accepted"} 1.0' in edge.deps.metrics.text().decode()


async def test_a_file_of_unknown_length_ends_with_an_empty_request(client: Client) -> None:
    """The length is not shown before it is known."""
    url = await client.created(CONTENT)
    assert "upload-length" not in (await client.head(url)).headers
    last = await client.patch(url, b"", len(CONTENT), LAST)
    assert last.status_code == 201
    assert last.json()["file_size_bytes"] == len(CONTENT)


async def test_a_whole_file_in_one_request_is_a_plain_upload(edge: Edge, client: Client) -> None:
    """The answer says that it is complete."""
    answer = await edge.upload(CONTENT, client.headers | LAST)
    assert (answer.status_code, answer.headers["upload-complete"]) == (201, "?1")
    plain = await edge.upload(CONTENT, client.headers | {"Upload-Complete": "yes"})
    assert plain.status_code == 200
    assert "upload-complete" not in plain.headers


async def test_a_refused_file_says_why(edge: Edge, client: Client) -> None:
    """The file came whole, so sending it again does not help."""
    url = await client.created(CONTENT[:40])
    answer = await client.patch(url, CONTENT[40:-5], 40, LAST)
    assert (answer.status_code, answer.headers["upload-complete"]) == (422, "?1")
    assert answer.json()["findings"]
    assert not edge.objects()
    assert (await client.head(url)).status_code == 422


async def test_refuses_what_does_not_continue(client: Client) -> None:
    """The answer has the right offset."""
    url = await client.created(CONTENT[:40])
    answer = await client.patch(url, CONTENT[41:], 41, LAST)
    assert (answer.status_code, answer.headers["upload-offset"]) == (409, "40")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Upload-Complete": "yes"}, 400, "invalid-upload-complete"),
        ({"Upload-Offset": "-1"}, 400, "invalid-upload-offset"),
        ({"Upload-Length": "many"}, 400, "invalid-upload-length"),
        ({"Upload-Length": "9"}, 400, "inconsistent-upload-length"),
        ({"Content-Type": "application/avro"}, 415, "unsupported-media-type"),
        ({"Content-Encoding": "gzip"}, 415, "unsupported-content-coding"),
        ({"Content-Digest": f"sha-256=:{'A' * 43}=:"}, 400, "digest-mismatch"),
    ],
)
async def test_refuses_a_request_that_contradicts_itself(
    client: Client, headers: dict[str, str], status: int, code: str
) -> None:
    """Nothing of it counts."""
    url = await client.created(CONTENT[:40])
    answer = await client.patch(url, CONTENT[40:], 40, LAST | headers)
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (status, code)
    assert (await client.head(url)).headers["upload-offset"] == "40"


async def test_another_length_than_before_is_refused(client: Client) -> None:
    """By a later request, with a header or with its own size."""
    url = await client.created(CONTENT[:40], Upload_Length=str(len(CONTENT)))
    for content, headers in ((CONTENT[40:-1], LAST), (b"", MORE | {"Upload-Length": "999"})):
        answer = await client.patch(url, content, 40, headers)
        assert answer.status_code == 400
        assert answer.json()["type"].endswith("/inconsistent-upload-length")


async def test_a_digest_of_a_request_is_verified(client: Client) -> None:
    """Of this request's bytes, not of the file."""
    url = await client.created(CONTENT[:40])
    digest = base64.b64encode(hashlib.sha256(CONTENT[40:]).digest()).decode()
    answer = await client.patch(
        url, CONTENT[40:], 40, LAST | {"Content-Digest": f"sha-256=:{digest}:"}
    )
    assert answer.status_code == 201


async def test_a_cancelled_one_is_gone(edge: Edge, client: Client) -> None:
    """404 afterwards, as for another account before."""
    url = await client.created(CONTENT[:40])
    other = Client(edge, await edge.signed_in())
    assert (await other.head(url)).status_code == 404
    assert (await edge.http.delete(url, headers=other.headers)).status_code == 404
    assert (await edge.http.delete(url, headers=client.headers)).status_code == 204
    assert (await client.head(url)).status_code == 404


async def test_a_form_cannot_be_resumed(edge: Edge, client: Client) -> None:
    """Its boundaries are no bytes of the file."""
    answer = await edge.http.post(
        "/v1/upload", files={"file": ("a.avro", CONTENT)}, headers=client.headers | MORE
    )
    assert answer.status_code == 415
