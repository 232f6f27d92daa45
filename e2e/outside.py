"""A client and a consumer outside the cluster."""

import asyncio
import base64
import hashlib
import json
import os
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aio_pika
import botocore.exceptions
import botocore.session
import httpx
from botocore.config import Config

import confidential
import install
import kubectl as k8s

INGRESS = os.environ.get("E2E_INGRESS_URL", "http://127.0.0.1:8080")
SECONDS = 60.0


@dataclass
class Api:
    """The upload API of one HealthIngest, through the ingress."""

    host: str
    headers: dict[str, str] = field(default_factory=dict)

    # ANN401: httpx's own arguments
    def request(self, method: str, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401
        """Send one request, without redirects and retries."""
        headers = {"Host": self.host} | self.headers | more.pop("headers", {})
        return httpx.request(method, INGRESS + path, headers=headers, timeout=SECONDS, **more)

    def signed_in(self) -> "Api":
        """Return the same API for a new account."""
        email = f"{secrets.token_hex(6)}@clinic.example"
        password = confidential.keep("password of a client", secrets.token_hex(12))
        account = {
            "email": email,
            "password": password,
            "first_name": "Ada",
            "last_name": "Example",
        }
        registered = self.request("POST", "/auth/register", json=account)
        assert registered.status_code == 201, registered.text
        answer = self.request(
            "POST", "/auth/jwt/login", data={"username": email, "password": password}
        )
        assert answer.status_code == 200, answer.text
        token = confidential.keep("token of a client", answer.json()["access_token"])
        return Api(self.host, {"Authorization": f"Bearer {token}"})

    def upload(self, content: bytes, **headers: str) -> httpx.Response:
        """Upload one file."""
        merged = {"Content-Type": "application/avro"} | headers
        return self.request("POST", "/v1/upload", content=content, headers=merged)


def read_object(bucket: str, key: str) -> bytes:
    """Return the object's bytes from the object store."""
    with k8s.port_forward("service/s3", 7070, install.DEPENDENCIES) as port:
        content: bytes = _s3(port).get_object(Bucket=bucket, Key=key)["Body"].read()
        return content


def buckets() -> set[str]:
    """Return the names of all buckets."""
    with k8s.port_forward("service/s3", 7070, install.DEPENDENCIES) as port:
        return {bucket["Name"] for bucket in _s3(port).list_buckets()["Buckets"]}


def grant(bucket: str, user: str, *actions: str) -> None:
    """Let a user of the object store do this with the objects of a bucket, and nothing else."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": [user]},
        "Action": actions,
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    with k8s.port_forward("service/s3", 7070, install.DEPENDENCIES) as port:
        _s3(port).put_bucket_policy(Bucket=bucket, Policy=policy)


def withdraw_grants(bucket: str) -> None:
    """Take back what an earlier run granted: the bucket, and its policy, outlive a HealthIngest."""
    with k8s.port_forward("service/s3", 7070, install.DEPENDENCIES) as port:
        try:
            _s3(port).delete_bucket_policy(Bucket=bucket)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise


def gateway(*words: str) -> str:
    """Run the object store's own command for accounts."""
    login = ["--access", "admin", "--secret", install.passwords()["s3"]]
    place = ["exec", "deployment/s3", "--namespace", install.DEPENDENCIES, "--"]
    address = ["--endpoint-url", "http://127.0.0.1:7070"]
    return k8s.kubectl(*place, "versitygw", "admin", *login, *address, *words)


def _s3(port: int) -> Any:  # noqa: ANN401 - botocore has no types
    return botocore.session.get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="admin",
        aws_secret_access_key=install.passwords()["s3"],
        config=Config(s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=20),
    )


def tags(bucket: str) -> dict[str, str]:
    """Return the bucket's tags."""
    with k8s.port_forward("service/s3", 7070, install.DEPENDENCIES) as port:
        try:
            found = _s3(port).get_bucket_tagging(Bucket=bucket)["TagSet"]
        except botocore.exceptions.ClientError:  # a bucket without tags is answered with an error
            return {}
        return {entry["Key"]: entry["Value"] for entry in found}


def remove_tags(bucket: str) -> None:
    """Remove all tags from the bucket, as another program would."""
    with k8s.port_forward("service/s3", 7070, install.DEPENDENCIES) as port:
        _s3(port).delete_bucket_tagging(Bucket=bucket)


def remove_erasure_key_tags() -> None:
    """
    Remove the fingerprints of erasure keys from all buckets.

    An earlier run has left the buckets and deleted the keys with their namespaces, so the operator
    would rightly refuse to make new ones.
    """
    for bucket in buckets():
        found = tags(bucket)
        if found.pop("healthingest.dev/erasure-key", None) is None:
            continue
        kept = [{"Key": name, "Value": text} for name, text in found.items()]
        with k8s.port_forward("service/s3", 7070, install.DEPENDENCIES) as port:
            _s3(port).put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": kept})


def remove_bucket(bucket: str) -> None:
    """Delete a bucket without objects."""
    with k8s.port_forward("service/s3", 7070, install.DEPENDENCIES) as port:
        _s3(port).delete_bucket(Bucket=bucket)


# ANN401: a JSON value
def broker(path: str, method: str = "GET", body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
    """
    Send a request to the management API as its administrator; return None for an empty answer.

    Raises:
        httpx.HTTPStatusError: it was refused.
    """
    with k8s.port_forward("service/rabbitmq", 15672, install.DEPENDENCIES) as port:
        auth = ("admin", install.passwords()["rabbitmq"])
        answer = httpx.request(
            method, f"http://127.0.0.1:{port}{path}", auth=auth, json=body, timeout=SECONDS
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None


def broker_knows(user: str, password: str) -> bool:
    """
    Whether the management API's record of this user has this password.

    RabbitMQ: salted SHA-256 in Base64.
    """
    try:
        known = base64.b64decode(broker(f"/api/users/{user}")["password_hash"])
    except httpx.HTTPStatusError:
        return False
    return known[4:] == hashlib.sha256(known[:4] + password.encode()).digest()


def secret_values(name: str, namespace: str) -> dict[str, str]:
    """Return the values of a Secret."""
    found = k8s.get("secret", name, namespace)
    assert found is not None, f"no Secret {name}"
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def consume(
    name: str, namespace: str, queue: str, count: int
) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """Consume *count* messages with the consumer credentials that the operator created."""
    words = secret_values(f"{name}-consumer", namespace)

    async def take(port: int) -> list[aio_pika.abc.AbstractIncomingMessage]:
        virtual_host = quote(words["virtualHost"], safe="")
        url = f"amqp://{words['username']}:{words['password']}@127.0.0.1:{port}/{virtual_host}"
        taken: list[aio_pika.abc.AbstractIncomingMessage] = []
        async with asyncio.timeout(SECONDS), await aio_pika.connect(url, timeout=10) as connection:
            channel = await connection.channel()
            # Messages that are prefetched and not taken count as redelivered, and a quorum queue
            # gives up after some redeliveries.
            await channel.set_qos(prefetch_count=min(count, 50))
            source = await channel.get_queue(queue, ensure=False)
            async with source.iterator() as messages:
                async for message in messages:
                    await message.ack()
                    taken.append(message)
                    if len(taken) == count:
                        return taken
        return taken

    with k8s.port_forward("service/rabbitmq", 5672, install.DEPENDENCIES) as port:
        return asyncio.run(take(port))
