"""
Uploads a sample to a HealthIngest, and prints its receipt and its message.

It is a button of `tilt up`. The messages of earlier uploads are consumed on the way.
"""

import argparse
import json
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

E2E: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(E2E))
# E402: these lie in the folder above
import kubectl as k8s  # noqa: E402
import outside  # noqa: E402
from healthingest_client.client import Client  # noqa: E402
from healthingest_client.credentials import TokenFile  # noqa: E402
from healthingest_client.documents import Receipt  # noqa: E402
from healthingest_client.errors import ClientError  # noqa: E402
from healthingest_contract.events import UploadStored  # noqa: E402

SAMPLE: Final = E2E.parent / "examples" / "samples" / "BloodGlucoseRecord.avro"
QUEUE: Final = "processing"


def main() -> int:
    """Upload one sample; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--name", default="clinic")
    arguments = parser.parse_args()
    try:
        with k8s.port_forward(f"service/{arguments.name}", 80, arguments.namespace) as port:
            receipt = _upload(f"http://127.0.0.1:{port}")
        sys.stdout.write(f"receipt {json.dumps(receipt, indent=2)}\n")
        message = _message(arguments.name, arguments.namespace, receipt["upload_id"])
    except (ClientError, k8s.CommandError, TimeoutError) as error:
        sys.stderr.write(f"{error or 'no message came'}\n")
        return 1
    sys.stdout.write(f"message {json.dumps(message, indent=2)}\n")
    return 0


def _upload(server: str) -> Receipt:
    email = f"demo-{secrets.token_hex(4)}@clinic.example"
    password = secrets.token_urlsafe(16)
    with (
        tempfile.TemporaryDirectory() as folder,
        Client(server, TokenFile(Path(folder) / "tokens.json")) as client,
    ):
        client.register(email, password, "Ada", "Example")
        client.login(email, password)
        return client.upload(SAMPLE)


def _message(name: str, namespace: str, upload_id: str) -> dict[str, Any]:
    while True:
        (message,) = outside.consume(name, namespace, QUEUE, 1)
        if UploadStored.from_bytes(message.body).idempotency_key == upload_id:
            found: dict[str, Any] = json.loads(message.body)
            return found


if __name__ == "__main__":
    sys.exit(main())
