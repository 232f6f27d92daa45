"""
Runs the whole service on this machine: creates an account and uploads a sample.

Prints the receipt, the stored object and the message. `python examples/demo.py` leaves the service
running until Ctrl-C. With `--once` it ends at once, with exit code 0 on success and 1 otherwise. It
uses public interfaces only: the two commands, the API and the data folder.
"""

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from healthingest_client.client import Client
from healthingest_client.credentials import TokenFile
from healthingest_client.errors import ClientError

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / ".cache" / "demo"
SAMPLES: Final = ROOT / "examples" / "samples"
_PATIENCE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.1

Answer = TypeVar("Answer")


class DemoError(Exception):
    """A step of the demo failed."""


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(description="The whole way on this machine.")
    parser.add_argument("--once", action="store_true", help="stop the service again and exit")
    parser.add_argument("--port", type=int, help="the API's port (default: a free one)")
    options = parser.parse_args()
    try:
        with _service(options.port or _free_port()) as (server, process):
            _journey(server)
            if not options.once:
                _say(
                    "running",
                    f"{server}/docs  (data in {FOLDER.relative_to(ROOT)}; Ctrl-C ends it)",
                )
                return process.wait()
    except KeyboardInterrupt:
        return 0
    except (DemoError, ClientError, OSError, httpx.HTTPError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    return 0


def _journey(server: str) -> None:
    email = f"demo-{secrets.token_hex(4)}@clinic.example"
    password = secrets.token_urlsafe(16)
    sample = min(SAMPLES.glob("*.avro"))
    with Client(server, TokenFile(FOLDER / "tokens.json")) as client:
        _say("account", client.register(email, password, "Ada", "Example")["email"])
        client.login(email, password)
        _say("upload", f"{sample.relative_to(ROOT)}, {sample.stat().st_size} bytes")
        receipt = client.upload(sample)
        _say("receipt", json.dumps(receipt, indent=2))
        if client.upload(sample) != receipt:
            message = "the same bytes again got another receipt"
            raise DemoError(message)
        _say("again", "the same bytes got the same receipt")
        stored = FOLDER / "objects" / receipt["object_key"]
        if stored.read_bytes() != sample.read_bytes():
            message = "what is stored is not what was sent"
            raise DemoError(message)
        _say("stored", f"{stored.relative_to(ROOT)}: byte for byte what was sent")
        _say(
            "message",
            json.dumps(_until(lambda: _message(receipt), "the message did not come"), indent=2),
        )
        announced = "the upload was not announced"
        _until(lambda: client.get_upload(receipt["upload_id"])["state"] == "announced", announced)
        _say("history", "\n".join(f"{one['upload_id']} {one['state']}" for one in client.uploads()))


def _message(receipt: dict[str, Any]) -> dict[str, Any] | None:
    queue = FOLDER / "queue.jsonl"
    lines = queue.read_text(encoding="utf-8").splitlines() if queue.exists() else []
    for line in lines:
        message: dict[str, Any] = json.loads(line)
        body = message["body"] if isinstance(message["body"], dict) else json.loads(message["body"])
        if body["idempotency_key"] == receipt["upload_id"]:
            return {**message, "body": body}
    return None


@contextmanager
def _service(port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    server = f"http://127.0.0.1:{port}"
    FOLDER.mkdir(parents=True, exist_ok=True)
    settings = {
        "HEALTHINGEST_DATA_FOLDER": str(FOLDER),
        "HEALTHINGEST_SERVER__PORT": str(port),
        "HEALTHINGEST_SERVER__METRICS_PORT": str(_free_port()),
    }
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("HEALTHINGEST_")
    }
    log = FOLDER / "service.log"
    command = [sys.executable, "-m", "healthingest_service.main", "serve"]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, env=inherited | settings, stderr=output, start_new_session=True
        )
    try:
        _until(
            lambda: _is_ready(server, process, log), f"the service did not become ready; see {log}"
        )
        yield server, process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_ready(server: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        message = f"the service ended at once:\n{log.read_text(encoding='utf-8')}"
        raise DemoError(message)
    try:
        return httpx.get(f"{server}/health/ready", timeout=2.0).is_success
    except httpx.TransportError:
        return False


def _until(look: Callable[[], Answer], otherwise: str) -> Answer:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(_POLL_SECONDS)
    raise DemoError(otherwise)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _say(what: str, text: str) -> None:
    sys.stdout.write(f"{what:>9}  " + text.replace("\n", f"\n{'':>11}") + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
