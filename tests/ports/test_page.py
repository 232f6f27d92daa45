"""
The page `/ui` in a real browser: the story of a study, with the mouse and with keys alone.

One browser runs both; the tests look at what it saw. `UPDATE_SCREENSHOTS=1` writes the pictures of
the documents.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from healthingest_service.api.page_session import COOKIE
from support.deadlines import HANG_SECONDS
from support.samples import block, good_file, hostile_files, long, raw_file, record_of
from support.servers.oidc_mock import MockProvider, mock_provider
from support.servers.process import free_port
from support.service_process import environment, service

CHROMIUM: Final = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
PICTURES: Final = Path(__file__).parents[2] / "docs" / "images"
EMAIL: Final = "grace@clinic.example"
PASSWORD: Final = "correct horse battery"
SUBJECTS: Final = ("P-7K2M", "P-9QXT")
GOOD: Final = 17
REFUSED: Final = ("a count that hides records", "text that is not UTF-8", "trailing bytes")
LARGE_BYTES: Final = 6_000_000
SUMMARY: Final = "20 files: 17 accepted, 3 refused."
MANY: Final = "100000/minute"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@dataclass(frozen=True)
class Story:
    """What the browser saw, and the installation that it used."""

    url: str
    seen: dict[str, Any]
    files: list[dict[str, str]]
    """The hash of each good file by its name, with the mouse and with keys."""

    @property
    def mouse(self) -> dict[str, Any]:
        """What was found with the mouse."""
        found: dict[str, Any] = self.seen["mouse"]
        return found

    @property
    def keys(self) -> dict[str, Any]:
        """What was found with keys alone."""
        found: dict[str, Any] = self.seen["keys"]
        return found


def _write_files(folder: Path, seed: int) -> tuple[list[str], dict[str, str]]:
    """Write 17 valid files and three others; returns their paths, and the hashes of the valid."""
    folder.mkdir()
    hashes = {}
    for n in range(GOOD):
        content = good_file(20 + n, seed=seed + n)
        (folder / f"night-{n + 1:02}.avro").write_bytes(content)
        hashes[f"night-{n + 1:02}.avro"] = hashlib.sha256(content).hexdigest()
    for n, name in enumerate(REFUSED):
        (folder / f"wrong-{n + 1}.avro").write_bytes(hostile_files()[name])
    return [str(path) for path in sorted(folder.iterdir())], hashes


def _write_large(path: Path) -> str:
    value = bytes(range(256)) * 4096
    record = long(len(value)) + value
    blocks = [block(1, record) for _ in range(LARGE_BYTES // len(record) + 1)]
    path.write_bytes(raw_file(record_of("bytes", name="SleepRecord"), blocks))
    return str(path)


def _set_up(folder: Path, url: str) -> None:
    """Make an account that has all roles in the study; one command, since each takes a second."""
    person = {"email": EMAIL, "password": PASSWORD}
    with httpx.Client(base_url=url, timeout=HANG_SECONDS) as client:

        def done(method: str, path: str, **sent: Any) -> Any:  # noqa: ANN401 - any JSON
            answer = client.request(method, path, **sent)
            answer.raise_for_status()
            return answer.json()

        account = done("POST", "/auth/register", json=person)["id"]
        words = ("account", "admin", "--email", EMAIL)
        command = [sys.executable, "-m", "healthingest_service.main.admin_cli", *words]
        subprocess.run(
            command,
            env=environment(folder),
            check=True,
            timeout=HANG_SECONDS,
            stdout=subprocess.DEVNULL,
        )
        form = {"username": EMAIL, "password": PASSWORD}
        token = done("POST", "/auth/jwt/login", data=form)["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        done("POST", "/v1/studies", json={"slug": "sleep", "name": "Sleep 2026"})
        roles = {"roles": ["uploader", "reader", "manager"]}
        done("PUT", f"/v1/studies/sleep/members/{account}", json=roles)
        for subject in SUBJECTS:
            done("PUT", f"/v1/studies/sleep/subjects/{subject}", json={})


def _issuers(provider: MockProvider, page: str) -> str:
    issuer = {
        "url": provider.issuer,
        "audience": "healthingest",
        "name": "Research login",
        "client_id": "page",
        "redirect_uris": [page],
    }
    return json.dumps([issuer])


@pytest.fixture(name="story", scope="module")
def _story(tmp_path_factory: pytest.TempPathFactory, node_packages: Path) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("page")
    limits = {f"LIMITS__{name}": MANY for name in ("UPLOADS", "REQUESTS", "LOGINS", "REFRESHES")}
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        mock_provider() as provider,
        service(
            folder,
            JANITOR__INTERVAL_SECONDS="1",
            OIDC__ISSUERS=_issuers(provider, f"{url}/ui"),
            OIDC__CLIENT_SECRETS=json.dumps({provider.issuer: "any"}),
            SERVER__PORT=str(port),
            **limits,
        ) as running,
    ):
        running.wait_until_ready()
        _set_up(folder, url)
        files = [_write_files(folder / f"files-{n}", 1000 * n) for n in range(2)]
        pictures = PICTURES if os.environ.get("UPDATE_SCREENSHOTS") else None
        if pictures is not None:
            pictures.mkdir(exist_ok=True)
        configuration = {
            "address": url,
            "chromium": CHROMIUM,
            "email": EMAIL,
            "password": PASSWORD,
            "study": "sleep",
            "subjects": SUBJECTS,
            "files": [paths for paths, _ in files],
            "large": _write_large(folder / "large.avro"),
            "summary": SUMMARY,
            "pictures": None if pictures is None else str(pictures),
            "hang_seconds": HANG_SECONDS,
        }
        (folder / "story.json").write_text(json.dumps(configuration), encoding="utf-8")
        done = subprocess.run(
            ["node", str(node_packages / "page.mjs"), str(folder / "story.json")],
            env=os.environ | {"HOME": str(folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=4 * HANG_SECONDS,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        yield Story(url, json.loads(done.stdout), [hashes for _, hashes in files])


def test_files_are_sent_and_refused(story: Story) -> None:
    """Of twenty files three are refused, whether they are dropped or chosen with keys."""
    assert (story.mouse["summary"], story.keys["summary"]) == (SUMMARY, SUMMARY)


def test_findings_say_where_and_what_to_do(story: Story) -> None:
    """Each names the file, the place, the fault and the remedy."""
    rows = story.mouse["findings"]
    assert {row[0] for row in rows} == {f"wrong-{n}.avro" for n in (1, 2, 3)}
    for name, where, what, remedy in rows:
        assert where != "the file", name
        assert len(what) > 10
        assert len(remedy) > 10


def test_a_paused_file_goes_on_where_it_was(story: Story) -> None:
    """Also after the page was loaded again, and the same file was chosen again."""
    first, second, third, *_ = story.mouse["offsets"]
    assert first == 0
    assert 0 < second < third < LARGE_BYTES


def test_only_the_last_byte_is_repeated_while_the_same_bytes_are_in_flight(story: Story) -> None:
    """The first refusal costs the rest of the file once; then the service has all but one byte."""
    _, _, third, *after = story.mouse["offsets"]
    assert after == [third, story.mouse["large_bytes"] - 1]


def test_the_history_shows_the_states(story: Story) -> None:
    """All files that were accepted, after their announcement, although nobody pressed a button."""
    rows = story.mouse["history"]
    assert len(rows) == GOOD + 1
    assert {row[6] for row in rows} == {"announced to consumers"}
    assert {row[3] for row in rows} == {SUBJECTS[0]}


def test_a_download_has_the_bytes_of_the_file(story: Story) -> None:
    """And a name of its record type."""
    for found, hashes in zip((story.mouse, story.keys), story.files, strict=True):
        assert found["download"]["hash"] in hashes.values()
        assert found["download"]["name"].startswith("HeartRateRecord-")


def test_a_device_enrols_with_the_code_that_it_scans(story: Story) -> None:
    """The QR code has the code and this address; a token for the device comes out of it."""
    fields = parse_qs(urlsplit(story.keys["scanned"]).query)
    answer = httpx.post(
        f"{fields['server'][0]}/v1/enrolments/redeem",
        json={"code": fields["code"][0]},
        timeout=HANG_SECONDS,
    )
    assert answer.status_code == 201, answer.text
    of_subject = {"code": [story.mouse["code"]], "server": [story.url]}
    assert parse_qs(urlsplit(story.mouse["scanned"]).query) == of_subject
    assert story.mouse["token"].startswith("hi_")


def test_the_coverage_counts_the_files(story: Story) -> None:
    """Of the subject, on the day of the upload."""
    (row,) = story.mouse["coverage"]
    assert row[0] == SUBJECTS[0]
    assert sum(int(cell) for cell in row[1:] if cell) == GOOD + 1


def test_an_erasure_ends_with_its_certificate(story: Story) -> None:
    """It is signed, and says that all files were removed."""
    with httpx.Client(base_url=story.url, timeout=HANG_SECONDS) as client:
        form = {"username": EMAIL, "password": PASSWORD}
        token = client.post("/auth/jwt/login", data=form).json()["access_token"]
        user = {"Authorization": f"Bearer {token}"}
        for found, removed in ((story.mouse, GOOD + 1), (story.keys, GOOD)):
            head = jwt.get_unverified_header(found["certificate"])
            assert head["alg"] == "EdDSA"
            claims = json.loads(_payload(found["certificate"]))
            erasure = client.get(f"/v1/erasures/{claims['erasure_id']}", headers=user).json()
            assert erasure["certificate"] == found["certificate"]
            assert (erasure["state"], erasure["counts"]["uploads"]) == ("done", removed)


def _payload(certificate: str) -> bytes:
    return jwt.utils.base64url_decode(certificate.split(".")[1])


def test_an_erasure_of_a_subject_is_confirmed(story: Story) -> None:
    """By its pseudonym: the button does nothing before."""
    assert story.mouse["is_guarded"] is True


def test_a_provider_that_does_not_answer_is_asked_again(story: Story) -> None:
    """Its button says so; it can be used once the provider answers."""
    assert story.seen["provider"]["away"] == "Research login does not answer; trying again"


def test_a_sign_in_at_a_provider_ends_on_the_page(story: Story) -> None:
    """The code stays neither in the address nor in the browser; the cookie is that of the page."""
    found = story.seen["provider"]
    assert found["problem"] == ""
    assert found["url"] in {f"{story.url}/ui", f"{story.url}/ui#upload"}
    assert found["kept"] == 0
    cookie = found["cookie"]
    assert (cookie["name"], cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (
        COOKIE,
        True,
        True,
        "Strict",
    )
    assert cookie["expires"] == -1  # it ends with the browser


def test_a_sign_out_leaves_nothing_in_the_browser(story: Story) -> None:
    """No cookie, and nothing of what was shown or entered."""
    assert story.mouse["cookies"] == []
    for text in (*SUBJECTS, EMAIL, PASSWORD, "HeartRateRecord", "Sleep 2026", "kitchen tablet"):
        assert text not in story.mouse["left"]
    assert story.mouse["code"] not in story.mouse["left"]


def test_the_page_stays_below_the_limits(story: Story) -> None:
    """It polls as often as the rest of the limit allows, and waits before it uploads too much."""
    pace = story.mouse["pace"]
    assert pace["plenty"] == [2000, 0]
    polls, upload = pace["few"]
    assert 359_000 < polls <= 360_000  # ten polls in the hour; twenty requests are for the user
    assert 39_000 < upload <= 40_000
    assert 3_599_000 < pace["none"][0] <= 3_600_000


def test_names_of_files_are_not_sent(story: Story) -> None:
    """They often name a person; an upload has its study and its subject."""
    pairs = [pair.split(" ")[0] for one in story.seen["metadata"] for pair in one.split(",")]
    assert set(pairs) == {"", "study", "subject"}


def test_the_console_has_the_refusals_alone(story: Story) -> None:
    """Chromium itself writes a line for each answer that is no success; the page writes nothing."""
    texts = [one["text"] for one in story.seen["errors"]]
    assert all(one.startswith("Failed to load resource:") for one in texts)
    urls = [one["url"] for one in story.seen["errors"] if "422" in one["text"]]
    assert urls == [f"{story.url}/v1/files"] * 2 * len(REFUSED)
    assert len([one for one in texts if "409" in one]) == len(texts) - len(urls) == 1


def test_no_other_host_is_asked(story: Story) -> None:
    """Every request goes to the service."""
    assert story.seen["hosts"] == [story.url]


def test_no_rule_of_accessibility_is_violated(story: Story) -> None:
    """In each view, light and dark, on a desktop and on a phone, which it fits."""
    assert story.seen["violations"] == []
    assert story.keys["width"] <= story.seen["phone_width"]
