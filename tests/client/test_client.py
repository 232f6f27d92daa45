"""The Python client against a real service."""

import stat
from pathlib import Path

import httpx
import pytest

from healthingest_client import (
    Client,
    ClientError,
    MemoryTokens,
    NotLoggedInError,
    ProblemError,
    RetryPolicy,
    TokenFile,
    Tokens,
    UnreachableError,
)
from support.avro_files import write_file
from support.client_service import PASSWORD

IMPATIENT = RetryPolicy(patience_seconds=0.0)


def test_uploads_a_file(client: Client, sample: Path) -> None:
    """The receipt comes back, and the upload is in the history."""
    receipt = client.upload(sample, idempotency_key="reading-1")
    assert receipt["file_size_bytes"] == sample.stat().st_size
    assert client.get_upload(receipt["upload_id"])["object_key"] == receipt["object_key"]
    assert [one["upload_id"] for one in client.uploads(limit=1)] == [receipt["upload_id"]]
    assert client.upload(sample) == receipt


def test_a_large_file_has_the_same_receipt(client: Client, tmp_path: Path) -> None:
    """It is sent by tus, and then the receipt is completed."""
    path = tmp_path / "large.avro"
    content = write_file(path, 400_000, 1)
    progress: list[int] = []
    receipt = client.upload(path, advance=progress.append)
    assert sum(progress) == len(content)
    upload = client.get_upload(receipt["upload_id"])
    assert {**receipt, "status": ""} == {
        "status": "",
        **{name: value for name, value in upload.items() if name in receipt},
    }


def test_watches_until_it_is_announced(client: Client, sample: Path) -> None:
    """Each change of the state is yielded, and the last one ends it."""
    receipt = client.upload(sample)
    states = [one["state"] for one in client.watch(receipt["upload_id"])]
    assert states[-1] == "announced"
    assert len(set(states)) == len(states)


def test_renews_a_token_that_is_not_valid_any_more(
    client: Client, tokens: TokenFile, server: str
) -> None:
    """An access token that was refused, or ends soon, is exchanged, and the call is done again."""
    kept = tokens.get(server)
    assert kept is not None
    tokens.put(server, Tokens("run-out", kept.refresh_token))
    assert list(client.uploads(record_type="None")) == []
    renewed = tokens.get(server)
    assert renewed is not None
    assert renewed.refresh_token != kept.refresh_token
    tokens.put(server, Tokens(renewed.access_token, renewed.refresh_token, expires_at=1.0))
    assert list(client.uploads(record_type="None")) == []
    assert tokens.get(server) != renewed


def test_keeps_tokens_for_their_owner_alone(
    client: Client, tokens: TokenFile, server: str, tmp_path: Path
) -> None:
    """The file is readable by its owner; a logout removes what is in it."""
    path = tmp_path / "config" / "tokens.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = tokens.get(server)
    assert kept is not None
    assert kept.access_token not in repr(kept)
    client.logout()
    assert tokens.get(server) is None
    with pytest.raises(NotLoggedInError):
        client.upload(path)


def test_a_device_token_may_only_write(client: Client, server: str, tmp_path: Path) -> None:
    """It uploads, also large files, and gets a receipt with what it may know."""
    token = client.create_token("kitchen tablet", expires_in_days=1)
    path = tmp_path / "large.avro"
    content = write_file(path, 400_000, 2)
    with Client(server, MemoryTokens(Tokens(token["token"]))) as device:
        receipt = device.upload(path)
        assert "object_key" not in receipt
        assert receipt["file_size_bytes"] == len(content)
        with pytest.raises(ProblemError, match="missing-scope"):
            device.get_upload(receipt["upload_id"])
    assert [one["id"] for one in client.list_tokens()] == [token["id"]]
    client.revoke_token(token["id"])
    assert client.list_tokens() == []


@pytest.mark.parametrize("size_bytes", [1, 400_000])
def test_says_why_a_file_is_refused(client: Client, tmp_path: Path, size_bytes: int) -> None:
    """A problem's code and findings reach the caller, also of a resumable upload."""
    path = tmp_path / "broken.avro"
    content = write_file(path, size_bytes, 3)
    path.write_bytes(content[:-5])
    with pytest.raises(ProblemError, match="file-refused") as refused:
        client.upload(path)
    assert (refused.value.status, refused.value.code) == (422, "file-refused")
    assert refused.value.problem["findings"]
    assert list(client.uploads()) == []


class Damaging(httpx.AsyncHTTPTransport):
    """A network that changes the last byte of each file."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request with other bytes."""
        content = await request.aread()
        if request.headers["content-type"] == "application/avro":
            content = content[:-1] + b"?"
        changed = httpx.Request(
            request.method, request.url, headers=request.headers, content=content
        )
        return await super().handle_async_request(changed)


def test_bytes_that_change_in_transit_are_refused(
    client: Client, server: str, tokens: TokenFile, sample: Path
) -> None:
    """The digest says so, and nothing is kept."""
    with (
        Client(server, tokens, transport=Damaging()) as damaged,
        pytest.raises(ProblemError, match="digest-mismatch"),
    ):
        damaged.upload(sample)
    assert list(client.uploads()) == []


def test_a_server_that_does_not_answer_is_reported(tokens: TokenFile) -> None:
    """After its patience the client gives up; an address that is none is refused at once."""
    with (
        Client("http://127.0.0.1:9", tokens, policy=IMPATIENT) as client,
        pytest.raises(UnreachableError),
    ):
        client.login("ada@clinic.example", PASSWORD)
    with pytest.raises(ClientError, match="https://"), Client("ingest.example", tokens):
        pass


@pytest.mark.parametrize("subject", ["", ".", ".."])
def test_a_name_never_changes_the_path(client: Client, subject: str) -> None:
    """The erasure of a subject is not that of the study."""
    with pytest.raises(ClientError, match="no name"):
        client.erase_subject("sleep", subject)
