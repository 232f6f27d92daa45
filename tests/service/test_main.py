import json
import signal
import socket
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from healthingest_service.main.api import VERSION
from support.samples import good_file
from support.service_process import COMMAND, SECONDS, ServiceProcess, environment, service

ROOT = Path(__file__).parents[2]
AVRO = {"Content-Type": "application/avro"}


@pytest.fixture(name="running")
def _running(tmp_path: Path) -> Iterator[ServiceProcess]:
    with service(tmp_path, LIMITS__MAX_FILE_SIZE_BYTES="65536") as running:
        running.wait_until_ready()
        yield running


def signed_in(server: str) -> dict[str, str]:
    """The headers of a new account."""
    account = {"email": "ada@clinic.example", "password": "correct horse battery"}
    assert httpx.post(f"{server}/auth/register", json=account).status_code in {201, 409}
    login = {"username": account["email"], "password": account["password"]}
    token = httpx.post(f"{server}/auth/jwt/login", data=login).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


def announced(folder: Path, upload_id: str) -> int:
    """How often the queue file announces an upload."""
    queue = folder / "queue.jsonl"
    lines = queue.read_text(encoding="utf-8").splitlines() if queue.exists() else []
    return sum(json.loads(line)["body"]["idempotency_key"] == upload_id for line in lines)


def wait_for(folder: Path, upload_id: str) -> None:
    """Return when an upload has been announced."""
    deadline = time.monotonic() + SECONDS
    while not announced(folder, upload_id):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_listening(server: str) -> bool:
    try:
        httpx.get(f"{server}/health/live")
    except httpx.TransportError:
        return False
    return True


def test_the_whole_way_and_a_gentle_end(running: ServiceProcess, tmp_path: Path) -> None:
    """
    An upload is stored and announced.

    SIGTERM ends the process with 0, without a single error in its log.
    """
    server = running.address()
    answer = httpx.post(
        f"{server}/v1/upload", content=good_file(2), headers=AVRO | signed_in(server)
    )
    assert answer.status_code == 201
    wait_for(tmp_path, answer.json()["upload_id"])
    assert running.end() == 0
    assert not [
        event for event in running.events() if event["level"] in {"warning", "error", "critical"}
    ]


def test_what_was_answered_outlives_the_process(tmp_path: Path) -> None:
    """After a kill right behind the answer, the next process announces and repeats the receipt."""
    with service(tmp_path, RELAY__IDLE_SECONDS="30") as first:
        first.wait_until_ready()
        server = first.address()
        receipt = httpx.post(
            f"{server}/v1/upload", content=good_file(2), headers=AVRO | signed_in(server)
        ).json()
        first.end(signal.SIGKILL)
    with service(tmp_path) as second:
        second.wait_until_ready()
        wait_for(tmp_path, receipt["upload_id"])
        server = second.address()
        again = httpx.post(
            f"{server}/v1/upload", content=good_file(2), headers=AVRO | signed_in(server)
        )
        assert (again.status_code, again.json()) == (200, receipt)


def test_three_processes_do_what_one_does(tmp_path: Path) -> None:
    """
    The API waits for the migration to be ready; a relay apart announces.

    Each shows its metrics.
    """
    with (
        service(tmp_path, "api") as api,
        service(tmp_path, "relay") as relay,
        service(tmp_path, "janitor") as janitor,
    ):
        assert httpx.get(f"{api.address()}/health/startup").status_code == 503
        assert httpx.get(f"{api.address()}/health/live").status_code == 200
        subprocess.run(
            [*COMMAND, "migrate"], env=environment(tmp_path), check=True, timeout=SECONDS
        )
        api.wait_until_ready()
        server = api.address()
        answer = httpx.post(
            f"{server}/v1/upload", content=good_file(2), headers=AVRO | signed_in(server)
        )
        wait_for(tmp_path, answer.json()["upload_id"])
        assert (
            "healthingest_relay_outcomes_total"
            in httpx.get(f"{relay.address('metrics')}/metrics").text
        )
        assert httpx.get(f"{janitor.address('metrics')}/health/live").status_code == 200
        assert httpx.get(f"{api.address('metrics')}/health/dependencies").json()["ready"]
        assert httpx.get(f"{server}/metrics").status_code == 404
        assert [one.end() for one in (api, relay, janitor)] == [0, 0, 0]


def test_an_early_answer_arrives_while_the_client_still_sends(running: ServiceProcess) -> None:
    """A large body without a token: the client reads 401, not a broken connection."""
    answer = httpx.post(
        f"{running.address()}/v1/upload", content=bytes(8 * 2**20), headers=AVRO, timeout=SECONDS
    )
    assert (answer.status_code, answer.headers["connection"]) == (401, "close")


def test_a_client_that_asks_first_sends_nothing(running: ServiceProcess) -> None:
    """
    With `Expect: 100-continue` the refusal comes without `100 Continue`.

    No byte of the body is wanted.
    """
    host, port = running.address().removeprefix("http://").split(":")
    head = (
        "POST /v1/upload HTTP/1.1\r\nHost: x\r\n"
        "Content-Length: 9999\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_a_client_that_leaves_is_no_error(running: ServiceProcess, tmp_path: Path) -> None:
    """Gone in the middle of a body: one quiet line, nothing stored, the server well."""
    server = running.address()
    host, port = server.removeprefix("http://").split(":")
    token = signed_in(server)["Authorization"]
    head = (
        f"POST /v1/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\nAuthorization: {token}\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        connection.sendall(
            head.encode() + b"Content-Type: application/avro\r\n\r\n" + good_file(1)[:50]
        )
    deadline = time.monotonic() + SECONDS
    while not [event for event in running.events() if event.get("http_route") == "/v1/upload"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (line,) = [event for event in running.events() if event.get("http_route") == "/v1/upload"]
    assert (line["level"], line["problem"]) == ("info", "body-incomplete")
    assert not list((tmp_path / "objects").rglob("*.avro"))
    assert httpx.get(f"{server}/health/live").status_code == 200


def test_a_request_under_way_may_end(running: ServiceProcess) -> None:
    """
    After SIGTERM an upload whose body is still coming is answered with success.

    New connections are not taken.
    """
    server = running.address()
    content = good_file(2)
    user = AVRO | signed_in(server) | {"Content-Length": str(len(content))}
    begun = threading.Event()
    go_on = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield content[:30]
        begun.set()
        assert go_on.wait(SECONDS)
        yield content[30:]

    answers: list[httpx.Response] = []
    sending = threading.Thread(
        target=lambda: answers.append(
            httpx.post(f"{server}/v1/upload", content=slowly(), headers=user, timeout=SECONDS)
        )
    )
    sending.start()
    assert begun.wait(SECONDS)
    running.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + SECONDS
    while _is_listening(server):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    go_on.set()
    sending.join(SECONDS)
    assert [one.status_code for one in answers] == [201]
    assert running.end() == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"SERVER__PORT": "hunter2"}, "HEALTHINGEST_SERVER__PORT"),
        ({"IDENTITY__SIGNING_KEYS": "hunter2"}, "HEALTHINGEST_IDENTITY__SIGNING_KEYS"),
        ({"CACHE__URL": "hunter2"}, "HEALTHINGEST_CACHE__URL"),
        ({"DATABASE__URL": "hunter2"}, "HEALTHINGEST_DATABASE__URL"),
        ({"LIMITS__UPLOAD_LEASE_SECONDS": "112"}, "HEALTHINGEST_LIMITS__UPLOAD_LEASE_SECONDS"),
        ({"BROKER__TIMEOUT_SECONDS": "60"}, "HEALTHINGEST_RELAY__CLAIM_SECONDS"),
    ],
)
def test_wrong_settings_end_with_their_name(
    tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    """Exit code 2 and one line that names the variable, not its value."""
    with service(tmp_path, **settings) as process:
        assert process.process.wait(SECONDS) == 2
    text = process.log.read_text(encoding="utf-8")
    assert said in text.splitlines()[-1]
    assert "hunter2" not in text
    assert "Traceback" not in text


def test_a_taken_port_ends_the_process(running: ServiceProcess, tmp_path: Path) -> None:
    """Exit code 2 and the reason."""
    port = running.address().rpartition(":")[2]
    with service(tmp_path / "other", SERVER__PORT=port) as other:
        assert other.process.wait(SECONDS) == 2
    assert "in use" in other.log.read_text(encoding="utf-8")


def test_events_follows_the_queue_file(running: ServiceProcess, tmp_path: Path) -> None:
    """`events --from-start` prints each message as a line of JSON, and ends on SIGTERM."""
    server = running.address()
    upload = httpx.post(
        f"{server}/v1/upload", content=good_file(2), headers=AVRO | signed_in(server)
    ).json()
    wait_for(tmp_path, upload["upload_id"])
    command = [*COMMAND, "events", "--from-start"]
    with subprocess.Popen(command, env=environment(tmp_path), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        message = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
    assert message["routing_key"].startswith("health.processing.")


def test_the_version_is_the_projects() -> None:
    """What `/` says stands in pyproject.toml, which an image does not hold."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == VERSION
