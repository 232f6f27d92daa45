"""`healthingest-admin` for administrators, studies, subjects and devices."""

import asyncio
import io
from pathlib import Path
from uuid import UUID

import pytest

from healthingest_contract.environment import STORE_OBJECT_LOCK_DAYS, STORE_OBJECT_LOCK_MODE
from healthingest_service.main import admin_cli
from healthingest_service.main.runtime import database_url
from healthingest_service.settings import Settings
from support.admin import Admin
from support.edge import open_edge
from support.migrated import migrate_by_copy

EMAIL = "ada@clinic.example"
STUDY = ("--study", "sleep")
SUBJECT = (*STUDY, "--subject", "P-1")
CREATE = ("study", "create", *STUDY, "--name", "Sleep")


@pytest.fixture(name="admin")
def _admin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Admin:
    """A database with one account."""
    monkeypatch.setenv("HEALTHINGEST_DATA_FOLDER", str(tmp_path))
    asyncio.run(migrate_by_copy(database_url(Settings(data_folder=tmp_path))))
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    admin = Admin(capsys)
    admin.does("account", "create", "--email", EMAIL)
    return admin


def test_an_account_becomes_an_administrator(admin: Admin) -> None:
    """And an ordinary one again; an unknown account is an error."""
    words = ("account", "admin", "--email", EMAIL)
    assert [admin.does(*words)["is_admin"] for _ in range(2)] == [True, True]
    assert admin.does(*words, "--revoke")["is_admin"] is False
    for email in ("grace@clinic.example", "nobody"):
        answer = admin.fails("account", "admin", "--email", email)
        assert answer == (1, "no account has this e-mail address")


def test_a_study_is_created_once(admin: Admin) -> None:
    """With its policy; repeating returns it, another policy is an error."""
    words = (
        *CREATE,
        "--enrolment",
        "Listed",
        "--consent-required",
        "--record-types",
        "SleepRecord",
    )
    created = [admin.does(*words) for _ in range(2)]
    assert created[0] == created[1] == admin.does("study", "show", *STUDY)
    policy = created[0]["policy"]
    assert (policy["enrolment"], policy["consent_required"]) == ("Listed", True)
    assert policy["record_types"] == ["SleepRecord"]
    assert admin.fails(*CREATE) == (1, "a study with this slug and other values exists")
    code, message = admin.fails(*CREATE, "--retention-days", "0")
    assert code == 2
    assert message.startswith("--retention-days: out of its range")


def test_a_retention_below_the_object_lock_is_refused(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the option, the days of the lock, and what to do."""
    monkeypatch.setenv(STORE_OBJECT_LOCK_MODE, "Compliance")
    monkeypatch.setenv(STORE_OBJECT_LOCK_DAYS, "30")
    code, message = admin.fails(*CREATE, "--retention-days", "29")
    assert code == 2
    assert message.startswith("--retention-days: less than the 30 days for which the object store")
    assert "give at least as many" in message
    assert admin.does(*CREATE, "--retention-days", "30")["policy"]["retention_days"] == 30


def test_a_study_is_closed_and_opened(admin: Admin) -> None:
    """The study `default` is not."""
    admin.does(*CREATE)
    assert admin.does("study", "close", *STUDY)["state"] == "closed"
    assert admin.does("study", "open", *STUDY)["state"] == "open"
    assert admin.fails("study", "close", "--study", "default") == (
        2,
        "the study default cannot be changed",
    )
    assert admin.fails("study", "close", "--study", "unknown") == (1, "there is no such study")


def test_an_account_gets_roles(admin: Admin) -> None:
    """And loses them."""
    member = ("study", "member", *STUDY, "--email", EMAIL, "--roles")
    assert admin.fails(*member, "manager") == (1, "there is no such study")
    admin.does(*CREATE)
    assert admin.does(*member, "manager", "uploader")["roles"] == ["manager", "uploader"]
    assert admin.does(*member)["roles"] == []


def test_a_subject_from_enrolment_to_withdrawal(admin: Admin) -> None:
    """Each command can be repeated."""
    admin.does(*CREATE)
    assert admin.fails("subject", "withdraw", *SUBJECT) == (1, "the study has no such subject")
    consent = ("--consent-version", "v1", "--consent-given-at", "2026-03-01T12:00:00Z")
    enrolled = [admin.does("subject", "enrol", *SUBJECT, *consent) for _ in range(2)]
    assert enrolled[0] == enrolled[1]
    assert enrolled[0]["consent"]["version"] == "v1"
    withdrawn = [admin.does("subject", "withdraw", *SUBJECT) for _ in range(2)]
    assert withdrawn[0] == withdrawn[1] == admin.does("subject", "show", *SUBJECT)
    assert withdrawn[0]["state"] == "withdrawn"
    code, message = admin.fails("subject", "enrol", *SUBJECT)
    assert (code, message.partition(";")[0]) == (1, "the subject has withdrawn")


@pytest.mark.parametrize(
    "words",
    [
        ("study", "create", "--study", "No Slug", "--name", "x"),
        ("subject", "show", *STUDY, "--subject", "a@b"),
        ("subject", "enrol", *SUBJECT, "--consent-version", "v1"),
    ],
)
def test_wrong_arguments_are_refused(admin: Admin, words: tuple[str, ...]) -> None:
    """With the exit code of the parser, or ours."""
    if "v1" in words:
        admin.does(*CREATE)
    with pytest.raises(SystemExit, match="2"):
        admin_cli.main(words)


def test_a_device_is_enrolled_and_revoked(admin: Admin, tmp_path: Path) -> None:
    """The code is exchanged with the API; the token is listed, and revoked once or twice."""
    admin.does(*CREATE)
    made = admin.does("token", "enrol", *SUBJECT, "--minutes", "5")
    assert made["qr"] == f"healthingest:enrol?code={made['code']}"

    async def redeem() -> None:
        async with open_edge(tmp_path) as edge:
            answer = await edge.http.post("/v1/enrolments/redeem", json={"code": made["code"]})
            assert answer.status_code == 201, answer.text

    asyncio.run(redeem())
    page = admin.does("token", "list", *SUBJECT)
    (token,) = page["tokens"]
    assert (token["study"], token["subject"], page["next_cursor"]) == ("sleep", "P-1", None)
    words = ("token", "revoke", *STUDY, "--id", token["id"])
    assert [admin.does(*words)["is_revoked"] for _ in range(2)] == [True, True]
    assert admin.does("token", "list", *STUDY, "--cursor", token["id"])["tokens"] == []


def test_a_device_cannot_always_be_enrolled(admin: Admin) -> None:
    """The message says why."""
    assert admin.fails("token", "enrol", *STUDY) == (1, "there is no such study")
    admin.does(*CREATE, "--enrolment", "Listed")
    assert admin.fails("token", "enrol", *SUBJECT) == (1, "enrol the subject first")
    admin.does("study", "close", *STUDY)
    assert admin.fails("token", "enrol", *STUDY) == (1, "the study is closed")
    no_token = admin.fails("token", "revoke", *STUDY, "--id", str(UUID(int=1)))
    assert no_token == (1, "the study has no such device token")
