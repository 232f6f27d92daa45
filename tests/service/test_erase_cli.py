"""`healthingest-admin` for erasures."""

import asyncio
import base64
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from healthingest_contract.environment import (
    IDENTITY_ERASURE_KEY,
    STORE_OBJECT_LOCK_DAYS,
    STORE_OBJECT_LOCK_MODE,
)
from healthingest_service.erasure import certificate
from healthingest_service.erasure.keys import ErasureKeys
from healthingest_service.erasure.model import (
    Erasure,
    ErasureId,
    ErasureKind,
    ErasureState,
    Scope,
)
from healthingest_service.main.runtime import database_url
from healthingest_service.settings import Settings
from healthingest_service.studies.model import DEFAULT_STUDY
from support.admin import Admin
from support.migrated import migrate_by_copy
from support.studies import SLUG

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
STUDY = ("--study", SLUG)
SUBJECT = (*STUDY, "--subject", "P-1")


@pytest.fixture(name="admin")
def _admin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Admin:
    monkeypatch.setenv("HEALTHINGEST_DATA_FOLDER", str(tmp_path))
    monkeypatch.setenv(IDENTITY_ERASURE_KEY, KEY)
    asyncio.run(migrate_by_copy(database_url(Settings(data_folder=tmp_path))))
    admin = Admin(capsys)
    admin.does("study", "create", *STUDY, "--name", "Sleep")
    admin.does("subject", "enrol", *SUBJECT)
    return admin


def test_erasures_are_requested_once(admin: Admin) -> None:
    """Of a subject, an account and a study; each is shown by its id and among the open ones."""
    account = ("--id", str(uuid4()))
    assert admin.does("erase", "status") == {"open": []}
    requested = []
    for words in (("subject", *SUBJECT), ("account", *account), ("study", *STUDY)):
        first = admin.does("erase", *words)
        assert (first["kind"], first["state"]) == (words[0], "requested")
        assert admin.does("erase", *words) == first
        assert admin.does("erase", "status", "--id", first["erasure_id"]) == first
        requested.append(first)
    assert admin.does("erase", "status") == {"open": requested}
    assert admin.fails("subject", "enrol", *STUDY, "--subject", "P-2") == (
        1,
        "the study was erased",
    )


def test_an_erasure_says_until_when_it_can_be_blocked(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the days of the object lock after the request; without a lock it says nothing."""
    assert admin.does("erase", "account", "--id", str(uuid4()))["locked_until"] is None
    monkeypatch.setenv(STORE_OBJECT_LOCK_MODE, "Governance")
    monkeypatch.setenv(STORE_OBJECT_LOCK_DAYS, "30")
    erasure = admin.does("erase", "subject", *SUBJECT)
    requested_at, until = (
        datetime.fromisoformat(erasure[name]) for name in ("requested_at", "locked_until")
    )
    assert until - requested_at == timedelta(days=30)


def test_what_is_not_there_is_told(admin: Admin) -> None:
    """Each with its message."""
    unknown = ("--id", str(uuid4()))
    for words, message in (
        (("upload", *unknown), "there is no such upload"),
        (("status", *unknown), "there is no such erasure"),
        (("subject", *STUDY, "--subject", "P-9"), "the study has no such subject"),
        (("study", "--study", "other"), "there is no such study"),
    ):
        assert admin.fails("erase", *words) == (1, message)
    assert admin.fails("erase", "study", "--study", "default")[0] == 2


def test_a_certificate_is_verified(
    admin: Admin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file or the input; another text, and that of another key, is refused."""
    signed = _signed(ErasureKeys.from_text(KEY))
    path = tmp_path / "certificate"
    path.write_text(signed + "\n", encoding="utf-8")
    assert admin.does("erase", "verify", str(path))["kind"] == "account"
    monkeypatch.setattr("sys.stdin", io.StringIO(signed))
    assert admin.does("erase", "verify", "-")["kind"] == "account"
    other = _signed(ErasureKeys.from_text(base64.urlsafe_b64encode(bytes(32)).decode()))
    for text in (other, "x"):
        path.write_text(text, encoding="utf-8")
        code, message = admin.fails("erase", "verify", str(path))
        assert (code, message[:15]) == (1, "the certificate")
    assert admin.fails("erase", "verify", str(tmp_path / "missing"))[0] == 1


def test_the_key_is_exported(admin: Admin) -> None:
    """As it was set, with the public key of certificates."""
    exported = admin.does("erasure-key", "export")
    assert exported["erasure_key"] == KEY
    assert exported["verification_key"] == certificate.public_key(ErasureKeys.from_text(KEY))


def test_a_pod_without_the_key_erases_nothing(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that is no key is refused, too; neither message has the text."""
    monkeypatch.setenv(IDENTITY_ERASURE_KEY, "hunter2")
    code, message = admin.fails("erasure-key", "export")
    assert code == 2
    assert IDENTITY_ERASURE_KEY in message
    assert "hunter2" not in message


def _signed(keys: ErasureKeys) -> str:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    scope = Scope(ErasureKind.ACCOUNT, DEFAULT_STUDY, uuid4())
    done = Erasure(
        id=ErasureId(uuid4()),
        scope=scope,
        state=ErasureState.DONE,
        requested_at=at,
        starts_at=at,
        done_at=at,
    )
    return certificate.issue(done, keys)
