"""For each example: from a manifest to a stored and announced upload, and back to nothing."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

import install
import kubectl as k8s
import outside
from healthingest_contract import object_keys, topology
from healthingest_contract.events import EVENT_TYPE, UploadStored
from stopwatch import Stopwatch
from support import samples

EXAMPLES = sorted((install.ROOT / "examples").glob("0[1-9]-*.yaml"))
SAMPLE = (install.ROOT / "examples" / "samples" / "BloodGlucoseRecord.avro").read_bytes()
READY_SECONDS = 90.0
KIND = "healthingest"
TRUE_WHEN_READY = (
    "Ready",
    "BucketReady",
    "BrokerReady",
    "TopologyReady",
    "DatabaseReady",
    "SecretsReady",
    "WorkloadAvailable",
)
pytestmark = pytest.mark.story


@dataclass
class Chapter:
    """One example, and the results of the story so far."""

    path: Path
    resource: dict[str, Any]
    receipt: dict[str, Any] = field(default_factory=dict)
    user: outside.Api | None = None

    @property
    def namespace(self) -> str:
        return f"e2e-{self.path.stem}"

    @property
    def name(self) -> str:
        name: str = self.resource["metadata"]["name"]
        return name

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.resource["spec"]
        return spec

    @property
    def api(self) -> outside.Api:
        return outside.Api(self.spec["ingress"]["host"])

    def live(self) -> dict[str, Any]:
        found = k8s.get(KIND, self.name, self.namespace)
        assert found is not None
        return found

    def has_replicas(self, count: int) -> bool:
        live = self.live()
        return k8s.is_ready(live) and live["status"].get("replicas") == count

    def ready_seconds(self, bound: float) -> float:
        began = time.monotonic()
        k8s.eventually("Ready=True", lambda: k8s.is_ready(self.live()), seconds=bound)
        return time.monotonic() - began


@pytest.fixture(
    scope="module", name="chapter", params=EXAMPLES, ids=[path.stem for path in EXAMPLES]
)
def _chapter(request: pytest.FixtureRequest) -> Iterator[Chapter]:
    """An example in its own namespace, which is deleted at the end in any case."""
    path: Path = request.param
    resource = next(
        doc for doc in yaml.safe_load_all(path.read_text()) if doc["kind"] == "HealthIngest"
    )
    chapter = Chapter(path, resource)
    k8s.remove_namespace(chapter.namespace)
    install.user_secrets(chapter.namespace)
    yield chapter
    k8s.remove_namespace(chapter.namespace, wait=False)


def test_01_applied_it_becomes_ready(chapter: Chapter, stopwatch: Stopwatch) -> None:
    """After one `kubectl apply` the resource has Ready=True within 90 seconds."""
    k8s.apply(chapter.path, namespace=chapter.namespace)
    seconds = chapter.ready_seconds(READY_SECONDS)
    stopwatch.record(
        f"{chapter.path.name}: applied to Ready=True", seconds, bound_seconds=READY_SECONDS
    )


def test_02_the_status_says_what_holds(chapter: Chapter) -> None:
    """Every condition is True at this generation, except those that report a problem."""
    live = chapter.live()
    status = live["status"]
    generation = live["metadata"]["generation"]
    assert status["observedGeneration"] == generation
    states = {entry["type"]: entry["status"] for entry in status["conditions"]}
    for kind in TRUE_WHEN_READY:
        assert states[kind] == "True", kind
    assert states.get("Stalled", "False") == states.get("Reconciling", "False") == "False"
    assert chapter.spec["ingress"]["host"] in status["url"]
    columns = k8s.kubectl("get", "hi", chapter.name, "--namespace", chapter.namespace)
    assert columns.split()[:5] == ["NAME", "READY", "REPLICAS", "URL", "REASON"]


def test_03_at_rest_nothing_is_written(chapter: Chapter) -> None:
    """A reconcile that finds no difference writes neither the resource nor a child."""

    def versions() -> dict[str, str]:
        kinds = (
            "healthingests,deployments,services,configmaps,secrets,ingresses,networkpolicies,"
            "poddisruptionbudgets"
        )
        found = k8s.items(kinds, chapter.namespace)
        return {
            f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for item in found
        }

    before = versions()
    k8s.kubectl(
        "annotate",
        KIND,
        chapter.name,
        "--namespace",
        chapter.namespace,
        "e2e.example/poke=1",
        "--overwrite",
    )
    poked = k8s.get(KIND, chapter.name, chapter.namespace)
    assert poked is not None
    before[f"HealthIngest/{chapter.name}"] = poked["metadata"]["resourceVersion"]
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:  # no condition can be awaited to show that nothing happens
        assert versions() == before
        time.sleep(1)


def test_04_an_upload_goes_through_the_ingress(chapter: Chapter) -> None:
    """Register, log in, upload: the answer is 201 with a receipt of the file."""
    chapter.user = chapter.api.signed_in()
    answer = chapter.user.upload(SAMPLE)
    assert answer.status_code == 201, answer.text
    chapter.receipt = receipt = answer.json()
    assert answer.headers["location"] == f"/v1/uploads/{receipt['upload_id']}"
    assert receipt["status"] == "accepted"
    assert receipt["file_size_bytes"] == len(SAMPLE)
    assert receipt["file_hash"] == hashlib.sha256(SAMPLE).hexdigest()
    assert receipt["record_type"] == "BloodGlucoseRecord"


def test_05_the_same_bytes_again_get_the_first_receipt(chapter: Chapter) -> None:
    """A repeat is answered with 200 and changes nothing."""
    assert chapter.user is not None
    answer = chapter.user.upload(SAMPLE)
    assert (answer.status_code, answer.json()) == (200, chapter.receipt)


def test_06_the_object_is_in_the_bucket(chapter: Chapter) -> None:
    """The object with the receipt's key has exactly the bytes of the file."""
    stored = outside.read_object(
        chapter.spec["objectStore"]["bucket"], chapter.receipt["object_key"]
    )
    assert stored == SAMPLE


def test_07_the_message_reaches_a_queue(chapter: Chapter) -> None:
    """A consumer gets one persistent message with every field of the contract."""
    queue = chapter.spec["broker"].get("queues", [{"name": "processing"}])[0]["name"]
    (message,) = outside.consume(chapter.name, chapter.namespace, queue, 1)
    event = UploadStored.from_bytes(message.body)
    receipt = chapter.receipt
    key = object_keys.parse(event.key)
    assert message.routing_key == topology.routing_key("BloodGlucoseRecord")
    assert message.delivery_mode == 2
    assert message.headers["cloudEvents:type"] == EVENT_TYPE
    assert message.headers["cloudEvents:id"] == message.message_id
    assert event.bucket == chapter.spec["objectStore"]["bucket"]
    assert event.key == receipt["object_key"]
    assert event.user_id == key.user_id
    assert event.record_type == receipt["record_type"] == key.record_type
    assert abs(event.upload_timestamp_utc - datetime.now(UTC)) < timedelta(minutes=5)
    assert event.correlation_id == receipt["correlation_id"]
    assert event.file_size_bytes == len(SAMPLE)
    assert event.file_hash == receipt["file_hash"] == key.sha256
    assert event.record_count == receipt["record_count"] > 0
    assert event.idempotency_key == receipt["upload_id"]
    assert event.schema_name.endswith(".BloodGlucoseRecord")
    assert len(event.schema_fingerprint) == 64


def test_08_the_history_says_announced(chapter: Chapter) -> None:
    """The owner sees the upload reach its last state. Another account does not see it at all."""
    path = f"/v1/uploads/{chapter.receipt['upload_id']}"
    user = chapter.user
    stranger = chapter.api.signed_in()
    assert user is not None
    k8s.eventually(
        "announced",
        lambda: user.request("GET", path).json().get("state") == "announced",
        seconds=30,
    )
    assert stranger.request("GET", path).status_code == 404


def test_09_refusals_are_problems_and_the_server_lives(chapter: Chapter) -> None:
    """
    No token, too large, not Avro, malicious: each answer is problem+json.

    None ends a server or reaches a queue.
    """
    user = chapter.user
    assert user is not None
    hostile = samples.hostile_files()
    cases = {
        "no token": (chapter.api.upload(SAMPLE), {401}),
        "too large": (user.upload(b"Obj\x01" + bytes(50 * 1024 * 1024)), {413}),
        "not avro": (user.upload(b"no avro at all"), {415}),
        "wrong type": (user.upload(SAMPLE, **{"Content-Type": "text/csv"}), {415}),
        "record containing itself": (user.upload(hostile["a record that contains itself"]), {422}),
        "endless block": (user.upload(hostile["an endless block of empty records"]), {422}),
    }
    for what, (answer, expected) in cases.items():
        assert answer.status_code in expected, (what, answer.status_code, answer.text)
        assert answer.headers["content-type"] == "application/problem+json", what
        assert answer.json()["status"] == answer.status_code, what
    pods = k8s.items("pods", chapter.namespace)
    restarts = {
        s["name"]: s["restartCount"]
        for pod in pods
        for s in pod["status"].get("containerStatuses", [])
    }
    assert set(restarts.values()) == {0}, restarts


def test_10_it_scales_to_three_and_back(chapter: Chapter, stopwatch: Stopwatch) -> None:
    """
    `kubectl scale` works on the resource itself.

    With autoscaling the autoscaler sets the replicas.
    """
    if "autoscaling" in chapter.spec:
        autoscaler = k8s.items("horizontalpodautoscalers", chapter.namespace)
        assert [entry["spec"]["minReplicas"] for entry in autoscaler] == [
            chapter.spec["autoscaling"]["minReplicas"]
        ]
        return
    before = chapter.spec.get("replicas", 2)
    for count in (3, before):
        words = [
            "scale",
            KIND,
            chapter.name,
            "--namespace",
            chapter.namespace,
            f"--replicas={count}",
        ]
        began = time.monotonic()
        k8s.kubectl(*words)
        k8s.eventually(
            f"{count} replicas, Ready", partial(chapter.has_replicas, count), seconds=READY_SECONDS
        )
        seconds = time.monotonic() - began
        stopwatch.record(
            f"{chapter.path.name}: scaled to {count}", seconds, bound_seconds=READY_SECONDS
        )


def test_11_deleted_it_leaves_the_data_and_nothing_else(
    chapter: Chapter, stopwatch: Stopwatch
) -> None:
    """
    Children and broker users are deleted.

    The bucket, its objects and the virtual host are kept, as `Retain` demands.
    """
    began = time.monotonic()
    k8s.kubectl(
        "delete", KIND, chapter.name, "--namespace", chapter.namespace, "--timeout=90s", seconds=100
    )
    seconds = time.monotonic() - began
    stopwatch.record(f"{chapter.path.name}: deleted", seconds, bound_seconds=60.0)
    kinds = "deployments,services,ingresses,configmaps,networkpolicies,serviceaccounts,jobs"
    selector = "app.kubernetes.io/managed-by=healthingest-operator"
    k8s.eventually(
        "no child", lambda: not k8s.items(kinds, chapter.namespace, selector), seconds=60
    )
    bucket = chapter.spec["objectStore"]["bucket"]
    assert outside.read_object(bucket, chapter.receipt["object_key"]) == SAMPLE
    virtual_host = chapter.spec["broker"].get("virtualHost", f"{chapter.namespace}.{chapter.name}")
    assert virtual_host in {entry["name"] for entry in outside.broker("/api/vhosts")}
    grants = outside.broker(f"/api/vhosts/{virtual_host}/permissions")
    assert {entry["user"] for entry in grants} <= {"admin"}
