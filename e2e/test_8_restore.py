"""
The drill of docs/how-to/back-up-and-restore.md: the database is dropped under uploads.

It is rebuilt from the bucket: no acknowledged upload is lost, and each is announced.
"""

import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pytest

import install
import kubectl as k8s
import outside
from healthingest_contract.events import UploadStored
from sampling import LONG
from steady import NO_LIMITS, SteadyUploads
from stopwatch import NOTES, Stopwatch

NAMESPACE: Final = "e2e-restore"
NAME: Final = f"restored-{secrets.token_hex(3)}"
"""A bucket and a database of an earlier run would be rebuilt, too, which takes minutes."""
UPLOADS: Final = 1000 if LONG else 300
CLIENTS: Final = 4
READY_SECONDS = 120.0
UPLOADED_SECONDS = 240.0
REBUILT_SECONDS = 120.0
AT_ONCE: Final = 100
"""Messages that are consumed within one deadline."""
COLUMNS: Final = (
    "id, owner_id, object_key, correlation_id, record_type, record_count, file_size_bytes,"
    " file_hash, schema_name, schema_fingerprint, received_at, study, subject"
)
"""All columns of table upload apart from its state, the times of storing and announcing, leases."""
pytestmark = pytest.mark.story


@pytest.fixture(scope="module", name="user")
def _user() -> Iterator[outside.Api]:
    """A client of a HealthIngest without limits of requests."""
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    manifest = install.minimal(NAME)
    manifest["spec"] |= {"replicas": 2, "limits": dict(NO_LIMITS)}
    k8s.apply(manifest, namespace=NAMESPACE)
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=READY_SECONDS)
    yield outside.Api(f"{NAME}.example").signed_in()
    k8s.remove_namespace(NAMESPACE, wait=False)


@pytest.mark.timeout(900)  # on a busy machine the uploads alone take minutes
def test_a_dropped_database_is_rebuilt_from_the_bucket(
    user: outside.Api, stopwatch: Stopwatch
) -> None:
    """All rows are as before the drop; every acknowledged upload has a message."""
    with SteadyUploads(user, clients=CLIENTS, pause_seconds=0.1) as uploads:
        uploads.some_more(UPLOADS, seconds=UPLOADED_SECONDS)
        database = _database()
        rows = _rows_before_the_drop(database)
        uploads.some_more(CLIENTS)  # they fail
    acknowledged = uploads.acknowledged
    assert len(acknowledged) >= UPLOADS
    assert acknowledged <= {row.split("|")[0] for row in rows}
    _confirm_the_new_database()
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=READY_SECONDS)
    began = time.monotonic()
    rebuilt = _admin("ledger", "rebuild", "--from-bucket")
    waited = time.monotonic() - began
    stopwatch.record(f"{len(rows)} uploads rebuilt", waited, bound_seconds=REBUILT_SECONDS)
    assert rows <= _rows(_database()), rebuilt
    heard = _messages(acknowledged)
    waiting = outside.broker(f"/api/queues/{NAME}/processing")["messages"]
    NOTES.append(
        f"restore: {len(acknowledged)} uploads acknowledged, {len(uploads.failures)} failed while"
        f" the database was away, {len(rows)} of {len(rows)} rows equal,"
        f" {sum(heard.values()) - len(heard)} duplicate messages among {sum(heard.values())}, and"
        f" {waiting} further ones"
    )


def _live() -> dict[str, Any]:
    found = k8s.get("healthingest", NAME, NAMESPACE)
    assert found is not None
    return found


def _psql(database: str, text: str) -> str:
    where = ["exec", "deployment/postgres", "--namespace", install.DEPENDENCIES, "--"]
    options = ["--username", "admin", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1"]
    return k8s.kubectl(*where, "psql", *options, "--dbname", database, "--command", text)


def _database() -> str:
    """Return the name of the database, of which the condition tells."""
    message = k8s.condition(_live(), "DatabaseReady")["message"]
    found = re.fullmatch(r"database (\S+) on \S+", message)
    assert found is not None, message
    return found[1]


def _rows_before_the_drop(database: str) -> set[str]:
    """Take the database away from everybody, drop it, and return its last rows."""
    gone = f"{database}_gone"
    sessions = f"FROM pg_stat_activity WHERE datname = '{database}'"
    _psql("admin", f'ALTER DATABASE "{database}" WITH ALLOW_CONNECTIONS false')
    _psql("admin", f"SELECT pg_terminate_backend(pid) {sessions}")
    _psql("admin", f'ALTER DATABASE "{database}" RENAME TO "{gone}"')
    _psql("admin", f'ALTER DATABASE "{gone}" WITH ALLOW_CONNECTIONS true')
    rows = _rows(gone)
    _psql("admin", f'DROP DATABASE "{gone}"')
    return rows


def _rows(database: str) -> set[str]:
    text = f"SELECT {COLUMNS} FROM upload WHERE state IN ('stored', 'announced')"  # noqa: S608
    return set(_psql(database, text).split("\n")) - {""}


def _confirm_the_new_database() -> None:
    def refused() -> str:
        found = k8s.condition(_live(), "DatabaseReady")
        if found.get("reason") != "DatabaseReplaced":
            return ""
        named = re.search(r"confirm-database=(\S+)", found["message"])
        return named[1] if named else ""

    place = k8s.eventually("DatabaseReplaced", refused, seconds=READY_SECONDS)
    annotation = f"healthingest.dev/confirm-database={place}"
    k8s.kubectl("annotate", "healthingest", NAME, "--namespace", NAMESPACE, annotation)


def _admin(*words: str) -> str:
    where = ["exec", f"deployment/{NAME}-api", "--namespace", NAMESPACE, "--container", "api", "--"]
    return k8s.kubectl(*where, "healthingest-admin", *words, seconds=REBUILT_SECONDS)


def _messages(wanted: set[str]) -> Counter[str]:
    """Return how often each upload was announced, once every wanted one was."""
    heard: Counter[str] = Counter()
    while missing := wanted - set(heard):
        count = min(len(missing), AT_ONCE)
        for message in outside.consume(NAME, NAMESPACE, "processing", count):
            heard[UploadStored.from_bytes(message.body).idempotency_key] += 1
    return heard
