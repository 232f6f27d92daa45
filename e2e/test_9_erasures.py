"""
The operator's part of erasures: the key that outlives everything, the queue, and the readers.

The story ends with a deletion, after which the key is still there.
"""

import secrets
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import botocore.session
import pytest
from botocore.config import Config

import install
import kubectl as k8s
import operators
import outside
from healthingest_contract import environment as env
from steady import NO_LIMITS

KIND = "healthingest"
NAMESPACE = "e2e-erasures"
NAME = "erasing"
BUCKET = f"{NAME}-health-data"
KEY_SECRET = f"{NAME}-erasure-key"
READER = "erasing-reader"
READY_SECONDS = 120.0
HEALED_SECONDS = 90.0
ROTATED_SECONDS = 180.0
SAMPLE = (install.ROOT / "examples" / "samples" / "BloodGlucoseRecord.avro").read_bytes()
pytestmark = pytest.mark.story


def _live() -> dict[str, Any] | None:
    return k8s.get(KIND, NAME, NAMESPACE)


def _key() -> str:
    return outside.secret_values(KEY_SECRET, NAMESPACE)["erasure-key"]


def _copy() -> str | None:
    found = k8s.get("secret", f"{NAME}-service", NAMESPACE)
    if found is None:
        return None
    return outside.secret_values(f"{NAME}-service", NAMESPACE).get(env.IDENTITY_ERASURE_KEY)


def _reader_account() -> dict[str, str]:
    """Create a user of the object store without rights."""
    if READER in outside.gateway("list-users"):
        outside.gateway("delete-user", "--access", READER)
    secret = secrets.token_hex(16)
    outside.gateway("create-user", "--access", READER, "--secret", secret, "--role", "user")
    return {"accessKeyId": READER, "secretAccessKey": secret}


@pytest.fixture(scope="module", name="key", autouse=True)
def _first_key() -> Iterator[str]:
    """Yield the key of a HealthIngest with keys for readers, which have no rights yet."""
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    outside.withdraw_grants(BUCKET)
    k8s.secret("reader", NAMESPACE, _reader_account())
    manifest = install.minimal(NAME)
    manifest["spec"]["limits"] = dict(NO_LIMITS)
    manifest["spec"]["objectStore"]["readerSecretRef"] = {"name": "reader"}
    k8s.apply(manifest, namespace=NAMESPACE)
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=READY_SECONDS)
    yield _key()
    k8s.remove_namespace(NAMESPACE, wait=False)


def test_1_the_queue_of_erasures_is_bound() -> None:
    """An announcement of an erasure reaches the consumer, and no other queue."""
    message = {
        "properties": {},
        "routing_key": "health.erased.bloodglucoserecord",
        "payload": "{}",
        "payload_encoding": "string",
    }
    path = f"/api/exchanges/{NAME}/health_data_exchange/publish"
    assert outside.broker(path, "POST", message) == {"routed": True}
    (received,) = outside.consume(NAME, NAMESPACE, "erasures", 1)
    assert received.routing_key == "health.erased.bloodglucoserecord"
    assert outside.secret_values(f"{NAME}-consumer", NAMESPACE)["queues"] == "processing,erasures"


def test_2_a_restart_of_the_operator_keeps_the_key(key: str) -> None:
    """Another process reconciles, and the Secret has the same key."""
    old = operators.leader()
    operators.remove(old)
    k8s.eventually(
        "another leader", lambda: operators.leader() not in {"", old}, seconds=HEALED_SECONDS
    )
    k8s.kubectl("delete", "secret", f"{NAME}-service", "--namespace", NAMESPACE)
    k8s.eventually("the copy of the key", lambda: _copy() == key, seconds=HEALED_SECONDS)
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=READY_SECONDS)
    assert _key() == key


def test_3_a_rotation_keeps_the_key(key: str) -> None:
    """The login at the broker changes, and the key does not."""
    before = outside.secret_values(f"{NAME}-consumer", NAMESPACE)["username"]
    word = f"healthingest.dev/rotate={secrets.token_hex(4)}"
    k8s.kubectl("annotate", KIND, NAME, "--namespace", NAMESPACE, word)

    def rotated() -> bool:
        return outside.secret_values(f"{NAME}-consumer", NAMESPACE)["username"] != before

    k8s.eventually("another login", rotated, seconds=ROTATED_SECONDS)
    assert (_key(), _copy()) == (key, key)


def test_4_a_lost_key_is_not_replaced(key: str) -> None:
    """Both Secrets are deleted: a condition asks for the exported key, and its return heals."""
    _erase_an_upload()
    k8s.kubectl("delete", "secret", KEY_SECRET, f"{NAME}-service", "--namespace", NAMESPACE)

    def is_missing() -> bool:
        return k8s.condition(_live(), "SecretsReady").get("reason") == "ErasureKeyMissing"

    k8s.eventually("ErasureKeyMissing", is_missing, seconds=HEALED_SECONDS)
    assert k8s.get("secret", KEY_SECRET, NAMESPACE) is None
    k8s.secret(KEY_SECRET, NAMESPACE, {"erasure-key": key})
    k8s.eventually("the copy of the key", lambda: _copy() == key, seconds=HEALED_SECONDS)
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=READY_SECONDS)


def _erase_an_upload() -> None:
    """Erase something: without that, a lost key is replaced."""
    user = outside.Api(f"{NAME}.example").signed_in()
    upload_id = user.upload(SAMPLE).json()["upload_id"]
    requested = user.request("DELETE", f"/v1/uploads/{upload_id}")
    assert requested.status_code == 202, requested.text
    place = f"/v1/erasures/{requested.json()['erasure_id']}"
    k8s.eventually(
        "erased",
        lambda: user.request("GET", place).json()["state"] == "done",
        seconds=HEALED_SECONDS,
    )


def test_5_consumers_read_and_do_not_write() -> None:
    """Their keys are given when the store lets them read; they get an upload, and put none."""
    assert k8s.condition(_live(), "ReaderReady")["reason"] == "PermissionDenied"
    assert "s3AccessKeyId" not in outside.secret_values(f"{NAME}-consumer", NAMESPACE)
    outside.grant(BUCKET, READER, "s3:GetObject")
    k8s.eventually(
        "ReaderReady=True",
        lambda: k8s.condition(_live(), "ReaderReady").get("status") == "True",
        seconds=HEALED_SECONDS,
    )
    answer = outside.Api(f"{NAME}.example").signed_in().upload(SAMPLE)
    assert answer.status_code == 201, answer.text
    key = answer.json()["object_key"]
    words = outside.secret_values(f"{NAME}-consumer", NAMESPACE)
    assert words["s3Bucket"] == BUCKET
    with k8s.port_forward("service/s3", 7070, install.DEPENDENCIES) as port:
        store = botocore.session.get_session().create_client(
            "s3",
            region_name=words["s3Region"],
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=words["s3AccessKeyId"],
            aws_secret_access_key=words["s3SecretAccessKey"],
            config=Config(s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=20),
        )
        assert store.get_object(Bucket=BUCKET, Key=key)["Body"].read() == SAMPLE
        with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
            store.put_object(Bucket=BUCKET, Key=key, Body=b"other")
        with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
            store.delete_object(Bucket=BUCKET, Key=key)


def test_6_a_deletion_keeps_the_key(key: str) -> None:
    """The HealthIngest and its other Secrets go; its data stays, and so does the key."""
    k8s.kubectl("delete", KIND, NAME, "--namespace", NAMESPACE, "--timeout=120s", seconds=150)
    k8s.eventually(
        "no Secret of the service",
        lambda: k8s.get("secret", f"{NAME}-service", NAMESPACE) is None,
        seconds=HEALED_SECONDS,
    )
    assert _key() == key
