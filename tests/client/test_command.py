"""The command `healthingest` against a real service."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from healthingest_client import TokenFile, Tokens, open_tokens
from healthingest_client.arguments import EXIT_CODES
from healthingest_client.main import main
from healthingest_client.upload_journal import UploadJournal, journal_of
from support.admin import Admin
from support.avro_files import write_file
from support.client_service import PASSWORD, Running
from support.samples import good_file

STUDY = ("--study", "sleep")


class Shell:
    """Runs commands in this process, and remembers all that they printed."""

    def __init__(self, server: str, token_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.base: tuple[str, ...] = ("--server", server, "--token-file", str(token_file))
        self.capsys = capsys
        self.printed = ""

    def run(self, *words: str) -> tuple[int, str, str]:
        """Return exit code, output and messages of a command."""
        code = main([*self.base, *words])
        out, err = self.capsys.readouterr()
        self.printed += out + err
        assert code in EXIT_CODES
        return code, out, err

    def lines(self, *words: str) -> list[dict[str, Any]]:
        """Return the JSON lines of a command that succeeds."""
        code, out, err = self.run(*words)
        assert code == 0, err
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture(name="shell")
def _shell(
    server: str,
    tmp_path: Path,
    email: str,  # noqa: ARG001
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    """A shell whose account is logged in."""
    monkeypatch.setenv("HEALTHINGEST_PASSWORD", PASSWORD)
    return Shell(server, tmp_path / "config" / "tokens.json", capsys)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """A folder with three files, one of them damaged, and others that are no files of ours."""
    folder = tmp_path / "measurements"
    write_file(folder / "deep" / "large.avro", 400_000, 1)
    write_file(folder / "small.avro", 1, 2)
    (folder / "broken.avro").write_bytes(good_file(3)[:-5])
    (folder / "notes.txt").write_text("no file of ours")
    write_file(folder / ".hidden" / "other.avro", 1, 3)
    return folder


def test_logs_in_and_out(shell: Shell, email: str, tokens: TokenFile, server: str) -> None:
    """Afterwards other commands say that there is no login; no token was ever printed."""
    assert shell.run("login", email)[:2] == (0, "")
    kept = tokens.get(server)
    assert kept is not None
    assert shell.run("register", email)[0] == 1
    assert shell.lines("uploads") == []
    assert shell.run("logout")[0] == 0
    code, _, message = shell.run("uploads")
    assert (code, "run `healthingest login`" in message) == (1, True)
    assert kept.access_token not in shell.printed
    assert str(kept.refresh_token) not in shell.printed


def test_uploads_a_folder_once(shell: Shell, folder: Path) -> None:
    """One JSON line for each file; a second run sends only what changed."""
    code, out, _ = shell.run("upload", "--json", str(folder))
    first = {line["file"]: line for line in map(json.loads, out.splitlines())}
    assert code == 1
    assert {Path(name).name: line["status"] for name, line in first.items()} == {
        "large.avro": "accepted",
        "small.avro": "accepted",
        "broken.avro": "refused",
    }
    broken = first[str(folder / "broken.avro")]
    assert broken["problem"]["findings"][0]["remedy"]
    listed = {one["upload_id"] for one in shell.lines("list")}
    assert listed == {line["upload_id"] for line in first.values() if "upload_id" in line}

    write_file(folder / "broken.avro", 1, 4)
    second = {Path(one["file"]).name: one for one in shell.lines("upload", str(folder))}
    assert {name: one["status"] for name, one in second.items()} == {
        "large.avro": "uploaded-before",
        "small.avro": "uploaded-before",
        "broken.avro": "accepted",
    }
    assert second["large.avro"]["sent_bytes"] == 0
    assert len(shell.lines("list")) == 3
    assert len(shell.lines("list", "--limit", "2")) == 2


class Terminal(io.StringIO):
    """An output that says it is a terminal."""

    def isatty(self) -> bool:
        """Pretend."""
        return True


def test_people_see_progress_and_remedies(
    shell: Shell, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal: lines of text, what to do about a refused file, and a summary."""
    out = Terminal()
    errors = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", errors)
        assert main([*shell.base, "upload", str(folder)]) == 1
    lines = out.getvalue().splitlines()
    assert any(line.startswith(f"{folder}/small.avro: accepted, upload ") for line in lines)
    at = lines.index(f"{folder}/broken.avro: refused")
    assert " at " in lines[at + 1]
    assert "3 files" in errors.getvalue()
    assert "2 accepted" in errors.getvalue()


def test_two_commands_do_not_share_a_journal(shell: Shell, folder: Path) -> None:
    """The second one says so, and a file that is no journal is not overwritten."""
    with UploadJournal(journal_of(folder)):
        code, _, message = shell.run("upload", str(folder))
        assert code == 1
        assert "another `healthingest upload`" in message
    other = folder / "notes.txt"
    code, _, message = shell.run("upload", "--journal", str(other), str(folder))
    assert (code, "is no journal" in message) == (1, True)
    assert other.read_text() == "no file of ours"


def test_watches_shows_and_downloads(shell: Shell, sample: Path, tmp_path: Path) -> None:
    """The file comes back as it was sent."""
    (sent,) = shell.lines("upload", str(sample))
    states = [one["state"] for one in shell.lines("watch", "--timeout", "60", sent["upload_id"])]
    assert states[-1] == "announced"
    (shown,) = shell.lines("status", sent["upload_id"])
    assert shown["file_hash"] == sent["file_hash"]
    copies = tmp_path / "copies"
    copies.mkdir()
    (copy,) = shell.lines("download", "--output", str(copies), sent["upload_id"])
    assert Path(copy["file"]).read_bytes() == sample.read_bytes()
    assert shell.run("download", "-o", copy["file"], sent["upload_id"])[0] == 2
    assert shell.run("erase", sent["upload_id"])[0] == 2
    (erased,) = shell.lines("erase", "--yes", sent["upload_id"])
    assert erased["kind"] == "upload"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("status", "01a223ee-3c31-7ec8-bcb4-ccf9c092a777"), 1),
        (("upload", "missing.avro"), 2),
        (("login",), 2),
        (("list", "--day", "2026-11-01"), 2),
        (("download", "..", "."), 2),
    ],
)
def test_exit_codes(shell: Shell, words: tuple[str, ...], code: int) -> None:
    """1: the service refuses it, 2: the arguments or a file are wrong."""
    found, out, message = shell.run(*words)
    assert (found, out) == (code, "")
    assert message.startswith("healthingest: ")


def test_a_missing_answer_has_its_own_exit_code(shell: Shell) -> None:
    """It says that the same command can succeed later."""
    shell.base = ("--server", "http://127.0.0.1:9", "--patience", "0", *shell.base[2:])
    assert shell.run("login", "ada@clinic.example")[0] == 3


def test_tokens_and_scripts(
    shell: Shell, sample: Path, monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path
) -> None:
    """The text of a token is printed once; a script uses it without a login, or stores it."""
    (made,) = shell.lines("tokens", "create", "script", "--scope", "upload:read", "--days", "1")
    (listed,) = shell.lines("tokens", "list")
    assert made["token"] not in json.dumps(listed)
    other = Shell(server, tmp_path / "other.json", shell.capsys)
    with monkeypatch.context() as patch:
        patch.setenv("HEALTHINGEST_TOKEN", made["token"])
        assert other.lines("list") == []
        assert other.run("upload", str(sample))[0] == 1
        assert other.run("login", "--token")[0] == 0
    assert other.lines("list") == []
    assert made["token"] not in other.printed
    shell.run("tokens", "revoke", made["id"])
    assert other.run("list")[0] == 1


def test_studies(
    shell: Shell,
    running: Running,
    email: str,
    sample: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A manager enrols and asks; a device enrols with a code, and uploads about its subject."""
    monkeypatch.setenv("HEALTHINGEST_DATA_FOLDER", str(running.folder))
    admin = Admin(shell.capsys)
    admin.does("study", "create", *STUDY, "--name", "Sleep")
    admin.does("study", "member", *STUDY, "--email", email, "--roles", "manager", "reader")
    (study,) = shell.lines("study", "list")
    assert shell.lines("study", "show", "sleep") == [study]
    assert [one["roles"] for one in shell.lines("study", "members", "sleep")] == [
        ["manager", "reader"]
    ]
    shell.lines("study", "enrol", "sleep", "P-1")
    (consent,) = shell.lines(
        "study", "consent", "sleep", "P-1", "--version", "v1", "--given-at", "2020-01-01T09:30:00Z"
    )
    assert consent["consent"]["version"] == "v1"
    (code,) = shell.lines("study", "code", "sleep", "--subject", "P-1")

    device = Shell(shell.base[1], tmp_path / "device.json", shell.capsys)
    (enrolled,) = device.lines("enrol", code["code"], "--name", "band")
    assert enrolled["subject"] == "P-1"
    assert "token" not in enrolled
    (sent,) = device.lines("upload", str(sample))

    assert [one["upload_id"] for one in shell.lines("list", "--study", "sleep")] == [
        sent["upload_id"]
    ]
    (row,) = shell.lines("study", "coverage", "sleep", "--subject", "P-1")
    assert (row["uploads"], row["record_type"]) == (1, "HeartRateRecord")
    assert isinstance(shell.lines("study", "gaps", "sleep"), list)
    (token,) = shell.lines("study", "tokens", "sleep")
    shell.run("study", "revoke-token", "sleep", token["id"])
    assert device.run("upload", str(sample))[0] == 1
    (left,) = shell.lines("study", "withdraw", "sleep", "P-1")
    assert left == shell.lines("study", "subject", "sleep", "P-1")[0]
    assert shell.run("study", "erase", "sleep", "--subject", "P-1")[0] == 2
    (erasure,) = shell.lines("study", "erase", "sleep", "--subject", "P-1", "--yes")
    assert shell.lines("study", "erasure", erasure["erasure_id"])[0]["kind"] == "subject"


OLD = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ([{"name": "a", "type": "long"}], 0, "can read"),
        ([{"name": "b", "type": "int"}], 1, "cannot read"),
    ],
)
def test_schemas_are_compared(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fields: list[dict[str, str]],
    code: int,
    words: str,
) -> None:
    """Files with files, and folders with folders; a folder without schemas is an error."""
    for name, schema in (("old", OLD), ("new", {**OLD, "fields": fields})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "r.avsc").write_text(json.dumps(schema))
    for suffix in ("", "/r.avsc"):
        compared = ["schemas", "check", f"{tmp_path}/old{suffix}", f"{tmp_path}/new{suffix}"]
        assert main(compared) == code
        assert words in capsys.readouterr().out
    (tmp_path / "new" / "r.avsc").unlink()
    assert main(["schemas", "check", str(tmp_path / "old"), str(tmp_path / "new")]) == 2


def test_a_keyring_of_the_system_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the package `keyring` has one; then no file is written."""
    (tmp_path / "keyring.py").write_text(
        "class Keyring:\n"
        "    priority = 5\n"
        "    def __init__(self): self.kept = {}\n"
        "    def get_password(self, service, username): return self.kept.get(username)\n"
        "    def set_password(self, service, username, text): self.kept[username] = text\n"
        "    def delete_password(self, service, username): del self.kept[username]\n"
        "_ONE = Keyring()\n"
        "def get_keyring(): return _ONE\n"
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.syspath_prepend(str(tmp_path))
    store = open_tokens(None)
    store.put("https://ingest.example", Tokens("secret", "other"))
    assert open_tokens(None).get("https://ingest.example") == Tokens("secret", "other")
    store.put("https://ingest.example", None)
    store.put("https://ingest.example", None)
    assert store.get("https://ingest.example") is None
    assert not (tmp_path / "config").exists()
    sys.modules.pop("keyring")


def test_completes_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The script names the command; the shell asks it for what may follow."""
    assert main(["completion", "bash"]) == 0
    assert "healthingest" in capsys.readouterr().out
    answer = tmp_path / "answer"
    line = "healthingest sch"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    command = [sys.executable, "-m", "healthingest_client.main"]
    subprocess.run(
        command, env={**os.environ, **asked}, check=True, capture_output=True, timeout=60
    )
    assert answer.read_text().strip() == "schemas"
