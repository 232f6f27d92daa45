"""The commands of the pages about studies, devices, erasure and consumers run as written."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from support import pages
from support.deadlines import HANG_SECONDS
from support.samples import good_file
from support.servers.rabbitmq import RabbitMQServer
from support.service_process import environment, service

PASSWORD: Final = "correct horse battery"
ADMINISTRATOR: Final = "ada@clinic.example"
MANAGER: Final = "grace@clinic.example"
GATEWAY: Final = "gateway@clinic.example"
FAILING: Final = "curl --fail-with-body --silent --show-error "
MANY: Final = {f"LIMITS__{name}": "100000/minute" for name in ("REQUESTS", "LOGINS", "UPLOADS")}


@dataclass
class Reader:
    """Somebody who follows the pages, with a shell beside a service."""

    server: str
    shell: pages.Shell
    table: dict[str, str]
    variables: dict[str, str] = field(default_factory=dict)

    def log_in(self, email: str) -> str:
        """Return an access token."""
        form = {"username": email, "password": PASSWORD}
        answer = httpx.post(f"{self.server}/auth/jwt/login", data=form, timeout=HANG_SECONDS)
        token: str = answer.raise_for_status().json()["access_token"]
        return token

    def request(self, method: str, path: str, email: str, **more: Any) -> Any:  # noqa: ANN401
        """Return the document of an answer to the account with this address."""
        headers = {"Authorization": f"Bearer {self.log_in(email)}"} | more.pop("headers", {})
        url = f"{self.server}{path}"
        answer = httpx.request(method, url, headers=headers, timeout=HANG_SECONDS, **more)
        return answer.raise_for_status().json()

    def run(self, command: str, **variables: str) -> str:
        """Run a command, with environment variables and placeholders; returns its output."""
        self.shell.exported.update(variables)
        (result,) = self.shell.run_all([command], self.table)
        return result.output

    def admin(self, *words: str) -> None:
        """Run a command of the administrator that no page has."""
        subprocess.run(
            ["healthingest-admin", *words],
            env={**os.environ, **self.shell.environment},
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=HANG_SECONDS,
        )

    def set_up_study(self, subject: str) -> None:
        """Create a study with a manager, and an upload about *subject*."""
        self.admin("study", "create", "--study", "sleep", "--name", "Sleep")
        roles = ("manager", "reader", "uploader")
        self.admin("study", "member", "--study", "sleep", "--email", MANAGER, "--roles", *roles)
        named = {"Healthingest-Study": "sleep", "Healthingest-Subject": subject}
        headers = {"Content-Type": "application/avro", **named}
        self.request("POST", "/v1/upload", MANAGER, headers=headers, content=good_file(3))


@contextmanager
def reader_beside(folder: Path, **settings: str) -> Iterator[Reader]:
    """Start a service with three accounts, and yield a reader of the pages."""
    data = folder / "service"
    settings = {**MANY, "JANITOR__INTERVAL_SECONDS": "1", **settings}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with service(data, "serve", **settings) as running:
        running.wait_until_ready()
        server = running.address()
        for email in (ADMINISTRATOR, MANAGER, GATEWAY):
            account = {"email": email, "password": PASSWORD}
            answer = httpx.post(f"{server}/auth/register", json=account, timeout=HANG_SECONDS)
            answer.raise_for_status()
        own = environment(data, **settings)
        named = {name: value for name, value in own.items() if name.startswith("HEALTHINGEST_")}
        (folder / "shell").mkdir()
        shell = pages.Shell(folder / "shell", {"PATH": path, **named})
        (shell.folder / "SleepRecord.avro").write_bytes(good_file(5))
        yield Reader(server, shell, _table(server))


def _table(server: str) -> dict[str, str]:
    return {
        "https://ingest.example": server,
        "https://uploads.clinic.example": server,
        "kubectl exec deploy/clinic-api -- ": "",
        "kubectl exec -i deploy/clinic-api -- ": "",
        "kubectl exec -i deploy/clinic-relay -- ": "",
        "curl ": FAILING,
        "@examples/samples/": f"@{pages.ROOT}/examples/samples/",
        "first_day=2026-11-01": f"first_day={datetime.now(UTC) - timedelta(days=9):%Y-%m-%d}",
    }


@pytest.fixture(name="reader")
def _reader(tmp_path: Path) -> Iterator[Reader]:
    with reader_beside(tmp_path) as reader:
        yield reader


def _json(output: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(output)
    return found


def test_run_a_study(reader: Reader) -> None:
    """From its creation to a withdrawal; afterwards nothing is accepted."""
    outputs = {}
    for command in pages.story("study"):
        email = GATEWAY if "/v1/upload" in command else MANAGER
        outputs[command] = reader.run(command, TOKEN=reader.log_in(email))
    coverage, gaps = (text for command, text in outputs.items() if "format=csv" in command)
    assert "P-7K2M" in coverage
    assert gaps.startswith("subject,record_type,first_day,last_day,days")
    (upload,) = (command for command in outputs if "/v1/upload" in command)
    with pytest.raises(pages.PageError, match="subject-withdrawn"):
        reader.run(upload, TOKEN=reader.log_in(GATEWAY))


def test_enrol_devices(reader: Reader) -> None:
    """A device redeems its code and uploads, until its token is revoked."""
    reader.set_up_study("P-7K2M")
    create, redeem, upload, find, revoke = pages.story("enrolment")
    token = reader.log_in(MANAGER)
    reader.table["7ZQ4M-…"] = _json(reader.run(create, ACCESS_TOKEN=token))["code"]
    device = _json(reader.run(redeem))["token"]
    assert _json(reader.run(upload, DEVICE_TOKEN=device))["record_count"] == 5
    (found,) = _json(reader.run(find))["tokens"]
    reader.run(revoke, ID=found["id"])
    _wait_until_refused(reader, upload)


def test_a_token_of_ones_own(reader: Reader) -> None:
    """The same for an account without a study."""
    create, upload, revoke = pages.story("own-token")
    made = _json(reader.run(create, ACCESS_TOKEN=reader.log_in(GATEWAY)))
    reader.run(upload, DEVICE_TOKEN=made["token"])
    reader.run(revoke, ID=made["id"])
    _wait_until_refused(reader, upload)


def _wait_until_refused(reader: Reader, upload: str) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while not (last := reader.shell.run(pages.filled(upload, reader.table))).code:
        assert time.monotonic() < deadline
    assert "invalid-token" in last.output


def test_erase_a_person(reader: Reader) -> None:
    """Both requests mean the same erasure, and its certificate verifies."""
    reader.set_up_study("P-0001")
    request, by_administrator, status, verify, export = pages.story("erasure")
    erasure = _json(reader.run(request, TOKEN=reader.log_in(MANAGER)))["erasure_id"]
    assert _json(reader.run(by_administrator))["erasure_id"] == erasure
    reader.table["7d0c4b1e-2f7a-4d5e-9a43-0c7be5a6d001"] = erasure
    deadline = time.monotonic() + HANG_SECONDS
    while (found := _json(reader.run(status)))["state"] != "done":
        assert time.monotonic() < deadline, found
    (reader.shell.folder / "certificate.txt").write_text(found["certificate"], encoding="utf-8")
    assert erasure in reader.run(verify)
    assert len(reader.run(export).strip()) > 30


def test_see_who_saw_whose_data(reader: Reader) -> None:
    """The hash of the answer finds the events of the subject."""
    reader.set_up_study("P-0001")
    disclosures, of_subject, of_study, verify, export = pages.story("disclosures")
    found = _json(reader.run(disclosures, TOKEN=reader.log_in(MANAGER)))
    assert _json(reader.run(of_subject, HASH=found["subject_hash"]))["events"]
    assert _json(reader.run(of_study))["events"]
    assert _json(reader.run(verify))["intact"] is True
    reader.run(export)
    assert (reader.shell.folder / "audit.ndjson").exists()


def test_administer_accounts(reader: Reader) -> None:
    """An account that was deactivated cannot log in."""
    reader.table["ada@clinic.example"] = "new@clinic.example"
    create, deactivate, make_administrator = pages.story("accounts")
    reader.run(create, PASSWORD=PASSWORD)
    reader.log_in("new@clinic.example")
    reader.run(make_administrator)
    reader.run(deactivate)
    with pytest.raises(httpx.HTTPStatusError):
        reader.log_in("new@clinic.example")


def test_connect_a_consumer(tmp_path: Path, rabbitmq: RabbitMQServer) -> None:
    """A token for reports, and a look at the dead letters."""
    for name in ("processing", "processing.dead"):
        place = f"/api/queues/{rabbitmq.virtual_host}/{name}"
        rabbitmq.call("PUT", place, {"durable": True, "arguments": {"x-queue-type": "quorum"}})
    with reader_beside(tmp_path, BROKER__URL=rabbitmq.amqp_url) as reader:
        create, dead = pages.story("consumer")
        made = _json(reader.run(create, ACCESS_TOKEN=reader.log_in(GATEWAY)))
        assert sorted(made["scopes"]) == ["outcome:write", "upload:read"]
        (reader.shell.folder / "url").write_text(rabbitmq.amqp_url, encoding="utf-8")
        secret = "kubectl get secret clinic-consumer --output jsonpath='{.data.url}'"
        reader.table[f"{secret} | base64 --decode"] = "cat url"
        assert _json(reader.run(dead))["waiting"] == 0
