"""
Registers an account on the Compose installation, uploads a sample, and waits for its announcement.

`make compose-demo` calls it. The exit code is 0 when the broker has confirmed the announcement.
"""

import json
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx

from healthingest_client.client import Client
from healthingest_client.credentials import TokenFile
from healthingest_client.errors import ClientError

SAMPLE: Final = Path(__file__).parent.parent / "examples" / "samples" / "BloodGlucoseRecord.avro"
_PATIENCE_SECONDS: Final = 180.0
_PAUSE_SECONDS: Final = 1.0


def main() -> int:
    """Upload one sample; returns the exit code."""
    server = f"http://127.0.0.1:{os.environ.get('HEALTHINGEST_PORT') or 8000}"
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not _is_ready(server):
        if time.monotonic() > deadline:
            sys.stderr.write(f"{server} is not ready; see the logs of `api`\n")
            return 1
        time.sleep(_PAUSE_SECONDS)
    try:
        return _upload(server, deadline)
    except (ClientError, httpx.HTTPError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _is_ready(server: str) -> bool:
    try:
        return httpx.get(f"{server}/health/ready", timeout=2.0).is_success
    except httpx.TransportError:
        return False


def _upload(server: str, deadline: float) -> int:
    email = f"demo-{secrets.token_hex(4)}@clinic.example"
    password = secrets.token_urlsafe(16)
    with (
        tempfile.TemporaryDirectory() as folder,
        Client(server, TokenFile(Path(folder) / "tokens.json")) as client,
    ):
        client.register(email, password, "Ada", "Example")
        client.login(email, password)
        receipt = client.upload(SAMPLE)
        sys.stdout.write(f"receipt {json.dumps(receipt, indent=2)}\n")
        while client.get_upload(receipt["upload_id"])["state"] != "announced":
            if time.monotonic() > deadline:
                sys.stderr.write("the upload was not announced; see the logs of `relay`\n")
                return 1
            time.sleep(_PAUSE_SECONDS)
    sys.stdout.write("announced: the broker has confirmed the message\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
