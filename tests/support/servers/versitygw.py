"""
An S3 server that verifies checksums and credentials: versitygw over a folder.

One bucket a test.
"""

import datetime as dt
import hashlib
import hmac
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from support.servers.containers import container, engine
from support.servers.go_programs import VERSITYGW
from support.servers.process import (
    ServerProcess,
    ServerUnavailableError,
    accepts_connections,
    as_user,
    free_port,
    running,
    work_folder,
)

ACCESS_KEY = "healthingest-test"
SECRET_KEY = "versitygw-test-secret"
REGION = "us-east-1"


@dataclass(frozen=True)
class S3Server:
    """A running server; `bucket` is empty until `new_bucket` made one."""

    port: int
    bucket: str = ""
    region: str = REGION
    access_key_id: str = ACCESS_KEY
    secret_access_key: str = SECRET_KEY
    process: ServerProcess | None = None

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def new_bucket(self) -> "S3Server":
        """The same server with a bucket that nobody else uses; it goes with the server."""
        bucket = f"test-{uuid.uuid4().hex}"
        self._create(bucket)
        return replace(self, bucket=bucket)

    def new_user(self, secret: str) -> "S3Server":
        """
        Return the same server and bucket with a new access key, which has no rights on buckets.

        Raises:
            ServerUnavailableError: the server runs in a container.
        """
        if self.process is None:
            message = "no versitygw admin: the server runs in a container"
            raise ServerUnavailableError(message)
        name = f"user-{uuid.uuid4().hex}"
        credentials = ("--access", self.access_key_id, "--secret", self.secret_access_key)
        words = ["admin", *credentials, "--region", self.region, "--endpoint-url", self.endpoint]
        words += ["create-user", "--access", name, "--secret", secret, "--role", "user"]
        subprocess.run(
            [VERSITYGW.find(), *words],
            cwd=self.process.folder,
            capture_output=True,
            check=True,
            timeout=60,
        )
        return replace(self, access_key_id=name, secret_access_key=secret)

    def _create(self, bucket: str) -> None:
        """PUT Bucket, signed by hand (AWS Signature Version 4), not by a client under test."""
        now = dt.datetime.now(dt.UTC)
        stamp = f"{now:%Y%m%dT%H%M%SZ}"
        day = f"{now:%Y%m%d}"
        payload = hashlib.sha256(b"").hexdigest()
        signed = "host;x-amz-content-sha256;x-amz-date"
        headers = (
            f"host:127.0.0.1:{self.port}\nx-amz-content-sha256:{payload}\nx-amz-date:{stamp}\n"
        )
        canonical = f"PUT\n/{bucket}\n\n{headers}\n{signed}\n{payload}"
        scope = f"{day}/{self.region}/s3/aws4_request"
        text = (
            f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        )
        key = f"AWS4{self.secret_access_key}".encode()
        for word in (day, self.region, "s3", "aws4_request"):
            key = hmac.digest(key, word.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        credential = (
            f"Credential={self.access_key_id}/{scope},SignedHeaders={signed},Signature={signature}"
        )
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.endpoint}/{bucket}",
            method="PUT",
            headers={
                "x-amz-date": stamp,
                "x-amz-content-sha256": payload,
                "Authorization": f"AWS4-HMAC-SHA256 {credential}",
            },
        )
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - our own server
            pass


@contextmanager
def _in_container() -> Iterator[int]:
    with container(
        "versity/versitygw:latest",
        ports=[7070],
        environment={"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY},
        arguments=["--port", ":7070", "posix", "/data"],
        ready=lambda ports: _answers(ports[7070]),
    ) as ports:
        yield ports[7070]


@contextmanager
def s3_server(*, keep_alive: bool = False) -> Iterator[S3Server]:
    """
    A server on a free port; by default it closes a connection after one request.

    Raises:
        ServerUnavailableError: there is neither the program nor a container engine.
    """
    try:
        binary = VERSITYGW.find()
    except ServerUnavailableError as missing:
        try:
            engine()
        except ServerUnavailableError:
            message = f"{missing}; nor is there a container engine that answers"
            raise ServerUnavailableError(message) from None
        with _in_container() as port:
            yield S3Server(port)
        return
    port = free_port()
    with work_folder(None) as folder:
        (folder / "data").mkdir()
        (folder / "users").mkdir()
        (folder / "versions").mkdir()
        command = [
            *as_user(None),
            binary,
            "--port",
            f"127.0.0.1:{port}",
            f"--keep-alive={str(keep_alive).lower()}",
            "--iam-dir",
            str(folder / "users"),
            "posix",
            "--versioning-dir",
            str(folder / "versions"),
            str(folder / "data"),
        ]
        environment = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
        with running(
            command, folder=folder, environment=environment, ready=lambda: _answers(port)
        ) as process:
            yield S3Server(port, process=process)


def _answers(port: int) -> bool:
    """Any HTTP answer will do: without credentials it is a refusal."""
    if not accepts_connections(port):
        return False
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
