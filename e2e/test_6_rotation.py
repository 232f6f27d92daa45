"""
Credentials are rotated during uploads.

No request fails, no message is lost, and old credentials are refused.
"""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import aio_pika
import asyncpg
import botocore.exceptions
import botocore.session
import pytest
from botocore.config import Config

import install
import kubectl as k8s
import outside
from healthingest_contract import environment as env
from healthingest_contract.events import UploadStored
from steady import NO_LIMITS, SteadyUploads
from stopwatch import NOTES, Stopwatch

KIND = "healthingest"
NAMESPACE = "e2e-rotation"
NAME = "rotated"
READY_SECONDS = 90.0
REFUSED_SECONDS = 120.0
ROLLED_SECONDS = 120.0
CALL_SECONDS = 10.0
STORE_ACCOUNTS = ("rotation-first", "rotation-second")
pytestmark = pytest.mark.story


def _manifest() -> dict[str, Any]:
    manifest = install.minimal(NAME)
    manifest["spec"]["replicas"] = 2
    manifest["spec"]["limits"] = dict(NO_LIMITS)
    return manifest


@pytest.fixture(scope="module", name="user")
def _user() -> Iterator[outside.Api]:
    """A client of a HealthIngest that has its own account of the object store."""
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    for account in STORE_ACCOUNTS:
        _remove_store_account(account)
    k8s.secret("s3", NAMESPACE, _store_account(STORE_ACCOUNTS[0]))
    k8s.apply(_manifest(), namespace=NAMESPACE)
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=READY_SECONDS)
    yield outside.Api("rotated.example").signed_in()
    k8s.remove_namespace(NAMESPACE, wait=False)


def test_1_what_the_operator_made_is_exchanged(user: outside.Api, stopwatch: Stopwatch) -> None:
    """
    On request there are new logins and a new signing key, and old tokens stay valid.

    Old logins are refused within two minutes.
    """
    old = _logins()
    assert {what: _is_refused(what, url) for what, url in old.items()} == dict.fromkeys(old, False)
    with SteadyUploads(user) as uploads:
        uploads.some_more()
        began = time.monotonic()
        k8s.kubectl(
            "annotate",
            KIND,
            NAME,
            "--namespace",
            NAMESPACE,
            f"healthingest.dev/rotate={secrets.token_hex(4)}",
        )
        for what, seconds in _seconds_until_refused(old, began).items():
            stopwatch.record(
                f"rotation: old login of {what} refused", seconds, bound_seconds=REFUSED_SECONDS
            )
        k8s.eventually("the new key signs everywhere", _new_key_signs, seconds=ROLLED_SECONDS)
        stopwatch.record("rotation: new key signs", time.monotonic() - began, bound_seconds=300.0)
        uploads.some_more()
    assert uploads.failures == [], "\n".join(uploads.failures)
    new = _logins()
    assert {what: _is_refused(what, url) for what, url in new.items()} == dict.fromkeys(new, False)
    assert not set(new.values()) & set(old.values())
    later = user.signed_in()
    assert _key_id(later) != _key_id(user)
    assert later.request("GET", "/v1/uploads").status_code == 200
    _every_message_came(uploads)


def test_2_what_the_user_gave_is_exchanged(user: outside.Api, stopwatch: Stopwatch) -> None:
    """
    New keys of the object store in the user's Secret reach all pods.

    Then the old keys can be withdrawn.
    """
    first, second = STORE_ACCOUNTS
    old = outside.secret_values("s3", NAMESPACE)
    before = _pods()
    with SteadyUploads(user) as uploads:
        uploads.some_more()
        began = time.monotonic()
        k8s.secret("s3", NAMESPACE, _store_account(second))
        k8s.eventually("new pods alone", lambda: not before & _pods(), seconds=ROLLED_SECONDS)
        k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=ROLLED_SECONDS)
        stopwatch.record(
            "a given Secret changed: all pods have it",
            time.monotonic() - began,
            bound_seconds=180.0,
        )
        _remove_store_account(first)
        uploads.some_more(20)
    assert uploads.failures == [], "\n".join(uploads.failures)
    assert _store_refuses(old)
    assert not _store_refuses(outside.secret_values("s3", NAMESPACE))
    _every_message_came(uploads)


def _live() -> dict[str, Any] | None:
    return k8s.get(KIND, NAME, NAMESPACE)


def _pods() -> set[str]:
    """Return the pods of API and relay, including terminating ones."""
    found = k8s.items("pods", NAMESPACE, "app.kubernetes.io/component in (api,relay)")
    return {pod["metadata"]["uid"] for pod in found}


def _logins() -> dict[str, str]:
    service = outside.secret_values(f"{NAME}-service", NAMESPACE)
    consumer = outside.secret_values(f"{NAME}-consumer", NAMESPACE)
    return {
        "database": service[env.DATABASE_URL],
        "relay": service[env.BROKER_URL],
        "consumer": consumer["url"],
    }


def _is_refused(what: str, url: str) -> bool:
    """Whether the server itself refuses the login; an unreachable server does not count."""
    parts = urlsplit(url)
    user = unquote(parts.username or "")
    password = unquote(parts.password or "")
    path = unquote(parts.path.lstrip("/"))

    async def database(port: int) -> bool:
        try:
            found = await asyncpg.connect(
                host="127.0.0.1",
                port=port,
                user=user,
                password=password,
                database=path,
                timeout=CALL_SECONDS,
            )
        except asyncpg.InvalidAuthorizationSpecificationError:
            return True
        await found.close(timeout=CALL_SECONDS)
        return False

    async def broker(port: int) -> bool:
        try:
            found = await aio_pika.connect(
                host="127.0.0.1",
                port=port,
                login=user,
                password=password,
                virtualhost=path,
                timeout=CALL_SECONDS,
            )
        except aio_pika.exceptions.ProbableAuthenticationError:
            return True
        await found.close()
        return False

    service, port, ask = (
        ("postgres", 5432, database) if what == "database" else ("rabbitmq", 5672, broker)
    )
    with k8s.port_forward(f"service/{service}", port, install.DEPENDENCIES) as local:
        return asyncio.run(ask(local))


def _seconds_until_refused(old: dict[str, str], began: float) -> dict[str, float]:
    seconds: dict[str, float] = {}

    def all_are() -> bool:
        for what in old.keys() - seconds.keys():
            if _is_refused(what, old[what]):
                seconds[what] = time.monotonic() - began
        return seconds.keys() == old.keys()

    k8s.eventually("all old logins refused", all_are, seconds=REFUSED_SECONDS)
    return seconds


def _new_key_signs() -> bool:
    live = _live()
    return k8s.is_ready(live) and "the new key signs" in k8s.condition(live, "SecretsReady").get(
        "message", ""
    )


def _key_id(user: outside.Api) -> str:
    """Return the id of the key that signed a client's token; RFC 7515, section 4.1.4."""
    header = user.headers["Authorization"].removeprefix("Bearer ").partition(".")[0]
    found: str = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    return found


def _every_message_came(uploads: SteadyUploads) -> None:
    """Each acknowledged upload was announced, possibly twice, and nothing else."""
    heard: set[str] = set()
    while uploads.acknowledged - heard:
        messages = outside.consume(NAME, NAMESPACE, "processing", len(uploads.acknowledged - heard))
        heard |= {UploadStored.from_bytes(message.body).idempotency_key for message in messages}
    assert heard == uploads.acknowledged
    NOTES.append(
        f"rotation: {len(heard)} uploads meanwhile, {len(uploads.failures)} failed, all announced"
    )


def _store_account(name: str) -> dict[str, str]:
    values = {"accessKeyId": name, "secretAccessKey": secrets.token_hex(16)}
    outside.gateway(
        "create-user", "--access", name, "--secret", values["secretAccessKey"], "--role", "admin"
    )
    return values


def _remove_store_account(name: str) -> None:
    if name in outside.gateway("list-users"):
        outside.gateway("delete-user", "--access", name)


def _store_refuses(keys: dict[str, str]) -> bool:
    with k8s.port_forward("service/s3", 7070, install.DEPENDENCIES) as port:
        store = botocore.session.get_session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=keys["accessKeyId"],
            aws_secret_access_key=keys["secretAccessKey"],
            config=Config(
                s3={"addressing_style": "path"},
                connect_timeout=CALL_SECONDS,
                read_timeout=CALL_SECONDS,
            ),
        )
        try:
            store.list_objects_v2(Bucket="rotated-health-data", MaxKeys=1)
        except botocore.exceptions.ClientError as error:
            return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 403)
        return False
