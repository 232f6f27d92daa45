"""The command `healthingest-admin`, beside a running service."""

import argparse
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from healthingest_service.main import admin_cli
from healthingest_service.main.audit_commands import COMMAND_ACTIONS
from support.samples import good_file
from support.service_process import SECONDS, ServiceProcess, environment, service

EMAIL = "ada@clinic.example"
PASSWORD = "correct horse battery"
ADMIN = (sys.executable, "-m", "healthingest_service.main.admin_cli")


@pytest.fixture(name="running")
def _running(tmp_path: Path) -> Iterator[ServiceProcess]:
    with service(tmp_path, IDENTITY__REGISTRATION="Closed") as running:
        running.wait_until_ready()
        yield running


def admin(folder: Path, *words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    """Run it to its end."""
    variables = environment(folder)
    return subprocess.run(
        [*ADMIN, *words],
        env=variables,
        input=given,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def answer(folder: Path, *words: str, given: str = "") -> dict[str, Any]:
    """What it printed, having succeeded."""
    done = admin(folder, *words, given=given)
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def log_in(server: str) -> httpx.Response:
    """With the password."""
    return httpx.post(
        f"{server}/auth/jwt/login", data={"username": EMAIL, "password": PASSWORD}, timeout=SECONDS
    )


def upload(server: str) -> httpx.Response:
    """A file of the account."""
    headers = {
        "Authorization": f"Bearer {log_in(server).json()['access_token']}",
        "Content-Type": "application/avro",
    }
    return httpx.post(f"{server}/v1/upload", content=good_file(2), headers=headers, timeout=SECONDS)


def messages(folder: Path, count: int) -> list[dict[str, Any]]:
    """The messages in the queue file, once there are so many."""
    queue = folder / "queue.jsonl"
    deadline = time.monotonic() + SECONDS
    while (
        len(lines := queue.read_text(encoding="utf-8").splitlines() if queue.exists() else [])
        < count
    ):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [json.loads(line) for line in lines]


def test_accounts_where_nobody_can_register(running: ServiceProcess, tmp_path: Path) -> None:
    """One is made, opens the service, exists once, is closed, and opens it no more."""
    server = running.address()
    account = {"email": EMAIL, "password": PASSWORD}
    assert httpx.post(f"{server}/auth/register", json=account, timeout=SECONDS).status_code == 403
    words = ("account", "create", "--email", EMAIL.upper(), "--first-name", "Ada")
    made = answer(tmp_path, *words, given=f"{PASSWORD}\n")
    assert made["email"] == EMAIL
    assert log_in(server).status_code == 200
    again = admin(tmp_path, *words, given=f"{PASSWORD}\n")
    assert (again.returncode, "exists" in again.stderr) == (1, True)
    closed = answer(tmp_path, "account", "deactivate", "--email", EMAIL)
    assert closed == {"id": made["id"], "is_active": False}
    assert log_in(server).status_code == 401
    assert (
        admin(tmp_path, "account", "deactivate", "--email", "nobody@clinic.example").returncode == 1
    )


@pytest.mark.parametrize(
    ("email", "password", "said"),
    [
        (EMAIL, "hunter2", "shorter"),
        (EMAIL, EMAIL, "the e-mail address"),
        ("hunter2", PASSWORD, "must be an e-mail address"),
    ],
)
def test_the_rules_hold_for_administrators(
    running: ServiceProcess, tmp_path: Path, email: str, password: str, said: str
) -> None:
    """A wrong password or address is refused with its reason, and not repeated."""
    assert running.process.poll() is None
    done = admin(tmp_path, "account", "create", "--email", email, given=password)
    assert (done.returncode, done.stdout, said in done.stderr) == (2, "", True)
    assert "hunter2" not in done.stderr


def test_messages_once_more(running: ServiceProcess, tmp_path: Path) -> None:
    """By id and by time: the same body again, as another message; nothing for what is not there."""
    answer(tmp_path, "account", "create", "--email", EMAIL, given=PASSWORD)
    upload_id = upload(running.address()).json()["upload_id"]
    messages(tmp_path, 1)
    assert answer(tmp_path, "backlog")["messages"] == 0
    by_time = ("replay", "--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00+01:00")
    counted = {"uploads": 1, "put": 0, "waiting_already": 0}
    assert answer(tmp_path, *by_time, "--type", "HeartRateRecord", "--dry-run") == counted
    assert answer(tmp_path, "replay", "--id", upload_id)["put"] == 1
    first, second = messages(tmp_path, 2)
    assert first["body"] == second["body"]
    assert first["body"]["idempotency_key"] == upload_id
    assert first["id"] != second["id"]
    assert answer(tmp_path, *by_time, "--rate", "10")["put"] == 1
    assert len(messages(tmp_path, 3)) == 3
    assert admin(tmp_path, *by_time, "--type", "Other").returncode == 1
    assert admin(tmp_path, "replay", "--id", "00000000-0000-0000-0000-000000000000").returncode == 1


def test_a_lost_file_is_settled(running: ServiceProcess, tmp_path: Path) -> None:
    """A repair says what is lost; it is not announced once more; forgotten, it is a new upload."""
    answer(tmp_path, "account", "create", "--email", EMAIL, given=PASSWORD)
    upload_id = upload(running.address()).json()["upload_id"]
    assert admin(tmp_path, "uploads", "forget", "--id", upload_id).returncode == 1
    (stored,) = (tmp_path / "objects").rglob("*.avro")
    stored.unlink()
    replayed = admin(tmp_path, "replay", "--id", upload_id)
    assert (replayed.returncode, "uploads repair" in replayed.stderr) == (1, True)
    assert len(messages(tmp_path, 1)) == 1
    assert answer(tmp_path, "uploads", "repair") == {"checked": 1, "lost": 1, "found_again": 0}
    assert admin(tmp_path, "replay", "--id", upload_id).returncode == 1
    assert answer(tmp_path, "uploads", "forget", "--id", upload_id) == {"forgotten": 1}
    again = upload(running.address())
    assert (again.status_code, again.json()["upload_id"] == upload_id) == (201, False)


def test_a_folder_cannot_rebuild_the_database(running: ServiceProcess, tmp_path: Path) -> None:
    """It keeps no metadata: the command counts what it finds, adds nothing, and says why."""
    answer(tmp_path, "account", "create", "--email", EMAIL, given=PASSWORD)
    upload(running.address())
    counted = answer(tmp_path, "ledger", "rebuild", "--from-bucket")
    assert counted == {"listed": 1, "known": 1, "rebuilt": 0, "unreadable": 0, "foreign": 0}
    (stored,) = (tmp_path / "objects").rglob("*.avro")
    owner = stored.name.partition("_")[0]
    stored.rename(stored.with_name(stored.name.replace(owner, str(uuid4()))))
    refused = admin(tmp_path, "ledger", "rebuild", "--from-bucket")
    assert refused.returncode == 1
    assert "0 uploads were added; 1 objects have the key of an upload" in refused.stderr


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("ledger", "rebuild"),
        ("replay",),
        ("replay", "--from", "2020-01-01T00:00:00Z"),
        ("replay", "--from", "2020-01-01T00:00:00", "--to", "2021-01-01T00:00:00"),
        ("replay", "--id", "1"),
        ("replay", "--id", "00000000-0000-0000-0000-000000000000", "--rate", "0"),
        ("account", "create", "--email", EMAIL, "--password", PASSWORD),
    ],
)
def test_wrong_words_end_with_two(tmp_path: Path, words: tuple[str, ...]) -> None:
    """And say why; a password is never a word."""
    assert admin(tmp_path, *words).returncode == 2


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    """Exit code 1 and one line."""
    done = admin(tmp_path, "backlog")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


@pytest.mark.usefixtures("running")
def test_verifies_and_exports_the_audit_log(tmp_path: Path) -> None:
    """A command is recorded, chained and exported; a changed row ends with exit code 1."""
    words = ("account", "create", "--email", EMAIL)
    account = answer(tmp_path, *words, given=f"{PASSWORD}\n")
    deadline = time.monotonic() + SECONDS
    while not (verified := answer(tmp_path, "audit", "verify"))["events"]:
        assert time.monotonic() < deadline, verified
    assert (verified["intact"], verified["fault_count"]) == (True, 0)
    lines = admin(tmp_path, "audit", "export").stdout.splitlines()
    event = json.loads(lines[0])
    assert (event["action"], event["actor"]) == ("account-create", "administrator")
    assert event["object_id"] == account["id"]
    fhir = json.loads(admin(tmp_path, "audit", "export", "--format", "fhir").stdout.splitlines()[0])
    assert (fhir["resourceType"], fhir["recorded"]) == ("AuditEvent", event["occurred_at"])
    with sqlite3.connect(tmp_path / "healthingest.sqlite", timeout=SECONDS) as database:
        database.execute("DROP TRIGGER audit_event_no_update")
        database.execute("UPDATE audit_event SET outcome = 'refused' WHERE number = 1")
    database.close()
    done = admin(tmp_path, "audit", "verify")
    assert done.returncode == 1
    assert {"kind": "hash-differs", "position": 1} in json.loads(done.stdout)["faults"]
    assert EMAIL not in "".join(lines)


def _commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    command = parser.get_default("command")
    if command is not None:
        yield command
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _commands(inner)


def test_each_command_says_whether_it_is_recorded() -> None:
    """A command that somebody adds is in the audit log, or has a row without an action."""
    assert sorted(_commands(admin_cli._parser())) == sorted(COMMAND_ACTIONS)
