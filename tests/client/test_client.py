import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthingest_client.client import Client
from healthingest_client.credentials import TokenFile, Tokens
from healthingest_client.errors import NotLoggedInError, ProblemError, UnreachableError
from healthingest_client.main import main
from support.samples import good_file
from support.service_process import service

EMAIL = "ada@clinic.example"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with service(tmp_path_factory.mktemp("service"), LIMITS__UPLOADS="1000/minute") as running:
        running.wait_until_ready()
        with Client(
            running.address(), TokenFile(tmp_path_factory.mktemp("tokens") / "t.json")
        ) as client:
            client.register(EMAIL, PASSWORD)
        yield running.address()


@pytest.fixture(name="tokens")
def _tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "config" / "tokens.json")


@pytest.fixture(name="client")
def _client(server: str, tokens: TokenFile) -> Iterator[Client]:
    with Client(server, tokens) as client:
        client.login(EMAIL, PASSWORD)
        yield client


@pytest.fixture(name="sample")
def _sample(tmp_path: Path) -> Path:
    """A file that no other test uploads."""
    path = tmp_path / "sample.avro"
    path.write_bytes(good_file(3, seed=len(tmp_path.name)))
    return path


def test_uploads_a_file(client: Client, sample: Path) -> None:
    """The receipt comes back, and the upload is in the history."""
    receipt = client.upload(sample, idempotency_key="reading-1")
    assert receipt["file_size_bytes"] == sample.stat().st_size
    assert client.get_upload(receipt["upload_id"])["object_key"] == receipt["object_key"]
    assert receipt["upload_id"] in [one["upload_id"] for one in client.uploads(limit=1)]


def test_renews_a_token_that_is_no_longer_good(
    client: Client, tokens: TokenFile, server: str
) -> None:
    """An access token that has run out is exchanged, and the call done again."""
    kept = tokens.get(server)
    assert kept is not None
    tokens.put(server, Tokens("run-out", kept.refresh_token))
    assert list(client.uploads(record_type="None")) == []
    renewed = tokens.get(server)
    assert renewed is not None
    assert renewed.refresh_token != kept.refresh_token


def test_keeps_tokens_for_their_owner_alone(
    client: Client, tokens: TokenFile, server: str, tmp_path: Path
) -> None:
    """The file is readable by its owner; logging out forgets what is in it."""
    path = tmp_path / "config" / "tokens.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "run-out" not in repr(tokens.get(server))
    client.logout()
    assert tokens.get(server) is None
    with pytest.raises(NotLoggedInError):
        client.upload(path)


def test_tells_why_not(client: Client, tmp_path: Path) -> None:
    """A problem's code and findings reach the caller."""
    path = tmp_path / "broken.avro"
    path.write_bytes(good_file(1)[:-5])
    with pytest.raises(ProblemError, match="file-refused") as refused:
        client.upload(path)
    assert (refused.value.status, refused.value.code) == (422, "file-refused")
    assert refused.value.problem["findings"]


def test_sends_what_it_means_to_send(
    client: Client, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changes between its digest and its bytes is refused, and nothing is kept."""
    content = sample.read_bytes()
    monkeypatch.setattr(
        "healthingest_client.client._chunks", lambda _path: iter([content[:-1] + b"?"])
    )
    with pytest.raises(ProblemError, match="digest-mismatch"):
        client.upload(sample)
    monkeypatch.undo()
    assert client.upload(sample)["file_size_bytes"] == len(content)


def test_nobody_there(tokens: TokenFile) -> None:
    """A server that does not answer is said to be so."""
    with Client("http://127.0.0.1:9", tokens) as client, pytest.raises(UnreachableError):
        client.login(EMAIL, PASSWORD)


def test_the_command(
    server: str,
    sample: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    Log in, upload, list, log out: each exits with 0 and prints JSON lines.

    Afterwards it exits with 1.
    """
    monkeypatch.setenv("HEALTHINGEST_PASSWORD", PASSWORD)
    base = ["--server", server, "--token-file", str(tmp_path / "t.json")]
    assert main([*base, "login", EMAIL]) == 0
    assert main([*base, "upload", str(sample)]) == 0
    receipt = json.loads(capsys.readouterr().out)
    assert main([*base, "uploads"]) == 0
    listed = [json.loads(line)["upload_id"] for line in capsys.readouterr().out.splitlines()]
    assert receipt["upload_id"] in listed
    assert main([*base, "register", EMAIL]) == 1
    assert "account-exists" in capsys.readouterr().err
    assert main([*base, "logout"]) == 0
    assert main([*base, "uploads"]) == 1
