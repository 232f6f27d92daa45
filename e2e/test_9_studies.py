"""A study on a cluster: made with the admin CLI, used through the ingress, erased at its end."""

import json
import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import jwt
import pytest

import confidential
import install
import kubectl as k8s
import outside
from healthingest_contract.events import UploadErased, UploadStored
from support import samples
from support.example_consumers import counted, example

NAMESPACE: Final = "e2e-studies"
NAME: Final = f"studies-{secrets.token_hex(3)}"
READY_SECONDS = 120.0
SUBJECT: Final = "/v1/studies/sleep/subjects/P-7K2M"
NAMED: Final = {"Healthingest-Study": "sleep", "Healthingest-Subject": "P-7K2M"}
EMAIL: Final = "grace@clinic.example"
pytestmark = pytest.mark.story


@pytest.fixture(scope="module", name="api")
def _api() -> Iterator[outside.Api]:
    """The API of a HealthIngest of its own."""
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    k8s.apply(install.minimal(NAME), namespace=NAMESPACE)
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=READY_SECONDS)
    yield outside.Api(f"{NAME}.example")
    k8s.remove_namespace(NAMESPACE, wait=False)


def _live() -> dict[str, Any] | None:
    return k8s.get("healthingest", NAME, NAMESPACE)


def _admin(*words: str) -> str:
    where = ("exec", f"deploy/{NAME}-api", "--namespace", NAMESPACE, "--")
    return k8s.kubectl(*where, "healthingest-admin", *words)


def _manager(api: outside.Api, *, study: str = "sleep", email: str = EMAIL) -> outside.Api:
    """Return the API for a new account that manages the study and uploads into it."""
    password = confidential.keep("password of a client", secrets.token_hex(12))
    account = {"email": email, "password": password}
    registered = api.request("POST", "/auth/register", json=account)
    assert registered.status_code == 201, registered.text
    roles = ("manager", "reader", "uploader")
    _admin("study", "member", "--study", study, "--email", email, "--roles", *roles)
    given = {"username": email, "password": password}
    answer = api.request("POST", "/auth/jwt/login", data=given)
    assert answer.status_code == 200, answer.text
    token = confidential.keep("token of a client", answer.json()["access_token"])
    return outside.Api(api.host, {"Authorization": f"Bearer {token}"})


def test_a_study_from_its_creation_to_a_withdrawal(api: outside.Api) -> None:
    """
    An upload about a consented subject is announced with study and subject.

    Without consent and after the withdrawal it is refused.
    """
    create = ("study", "create", "--study", "sleep", "--name", "Sleep")
    _admin(*create, "--enrolment", "Listed", "--consent-required")
    manager = _manager(api)
    assert manager.request("PUT", SUBJECT, json={}).status_code == 200
    assert manager.upload(samples.good_file(1), **NAMED).status_code == 403
    consent = {"version": "v1", "given_at": "2026-03-01T12:00:00Z"}
    assert manager.request("PUT", f"{SUBJECT}/consent", json=consent).status_code == 200
    answer = manager.upload(samples.good_file(1), **NAMED)
    assert answer.status_code == 201, answer.text
    (message,) = outside.consume(NAME, NAMESPACE, "processing", 1)
    event = UploadStored.from_bytes(message.body)
    assert (event.study, event.subject) == ("sleep", "P-7K2M")
    assert event.idempotency_key == answer.json()["upload_id"]
    covered = manager.request("GET", "/v1/studies/sleep/coverage").json()["coverage"]
    assert [(row["subject"], row["uploads"]) for row in covered] == [("P-7K2M", 1)]
    assert manager.request("PUT", f"{SUBJECT}/withdrawal").status_code == 200
    refused = manager.upload(samples.good_file(2), **NAMED)
    assert refused.json()["type"].endswith("/subject-withdrawn")
    _shows_the_audit_log(manager, answer.json()["upload_id"])
    _erase(manager, answer.json()["upload_id"])


def _shows_the_audit_log(manager: outside.Api, upload_id: str) -> None:
    """The manager sees the refused upload and the announcement; the chain is intact."""
    events = manager.request("GET", "/v1/studies/sleep/audit?limit=100").json()["events"]
    refused = [one["reason"] for one in events if one["outcome"] == "refused"]
    assert refused == ["subject-withdrawn", "consent-missing"]

    def announced() -> bool:
        report = manager.request("GET", f"{SUBJECT}/disclosures").json()["disclosures"]
        return [(one["kind"], one["upload_id"]) for one in report] == [("announcement", upload_id)]

    k8s.eventually("the announcement is disclosed", announced, seconds=60)

    def verified() -> dict[str, Any]:
        return dict(json.loads(_admin("audit", "verify")))

    k8s.eventually("events are chained", lambda: verified()["events"] > 0, seconds=60)
    assert (verified()["intact"], verified()["fault_count"]) == (True, 0)


def _erase(manager: outside.Api, upload_id: str) -> None:
    """The subject is erased: consumers are told, the file is gone, and the certificate verifies."""
    requested = manager.request("POST", f"{SUBJECT}/erasure")
    assert requested.status_code == 202, requested.text
    place = f"/v1/erasures/{requested.json()['erasure_id']}"
    k8s.eventually(
        "erased",
        lambda: manager.request("GET", place).json()["state"] == "done",
        seconds=READY_SECONDS,
    )
    done = manager.request("GET", place).json()
    assert done["counts"]["uploads"] == 1
    claims = jwt.decode(
        done["certificate"], jwt.PyJWK(done["verification_key"]), algorithms=["EdDSA"]
    )
    assert claims["erasure_id"] == done["erasure_id"]
    (message,) = outside.consume(NAME, NAMESPACE, "erasures", 1)
    assert str(UploadErased.from_bytes(message.body).upload_id) == upload_id
    assert manager.request("GET", f"/v1/uploads/{upload_id}/content").status_code == 404
    refused = manager.upload(samples.good_file(1), **NAMED)
    assert refused.json()["type"].endswith("/subject-erased")


def test_the_example_consumers_process_what_is_announced(api: outside.Api, tmp_path: Path) -> None:
    """
    With the credentials that the operator made, each counts an upload, and its outcome is shown.

    The one with the consumer kit forgets an upload that is erased.
    """
    _admin("study", "create", "--study", "counts", "--name", "Counts")
    manager = _manager(api, study="counts", email="hedy@clinic.example")
    wish = {"name": "counts", "scopes": ["upload:read", "outcome:write"]}
    device = manager.request("POST", "/v1/tokens", json=wish).json()["token"]
    token = confidential.keep("token of a consumer", device)
    words = outside.secret_values(f"{NAME}-consumer", NAMESPACE)
    login = f"{words['username']}:{words['password']}"
    with (
        k8s.port_forward("service/rabbitmq", 5672, install.DEPENDENCIES) as broker,
        k8s.port_forward(f"service/{NAME}", 80, NAMESPACE) as port,
    ):
        host = quote(words["virtualHost"], safe="")
        url = f"amqp://{login}@127.0.0.1:{broker}/{host}"
        server = f"http://127.0.0.1:{port}"
        for script, consumer in (
            ("record_counts.py", "record-counts"),
            ("faststream_counts.py", "faststream-counts"),
        ):
            folder = tmp_path / consumer
            with example(folder, script, server=server, url=url, token=token) as database:
                upload = _upload_for_consumers(manager, database, consumer)
                if consumer == "record-counts":
                    assert manager.request("DELETE", upload).status_code == 202
                    is_gone = partial(_is_empty, database)
                    k8s.eventually("forgotten", is_gone, seconds=READY_SECONDS)


def _is_empty(database: Path) -> bool:
    return not counted(database)


def _upload_for_consumers(manager: outside.Api, database: Path, consumer: str) -> str:
    """Upload a file, wait until it was counted and that is shown, and return its path."""
    named = {"Healthingest-Study": "counts", "Healthingest-Subject": "P-1"}
    receipt = manager.upload(samples.good_file(secrets.randbelow(90) + 10), **named).json()
    upload = f"/v1/uploads/{receipt['upload_id']}"

    def outcomes() -> list[tuple[str, str]]:
        found = manager.request("GET", upload).json()["outcomes"]
        return [(one["consumer"], one["state"]) for one in found]

    wanted = [(consumer, "processed")]
    k8s.eventually("the outcome", lambda: outcomes() == wanted, seconds=READY_SECONDS)
    kind, count = receipt["record_type"], receipt["record_count"]
    assert counted(database) == [(receipt["upload_id"], "counts", "P-1", kind, count)]
    return upload
