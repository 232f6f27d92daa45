"""
People of a study, and clients that upload data about them.

Each person has a unique mark, which is in every value that a client controls.
"""

import asyncio
import base64
import hashlib
import io
import random
import time
from dataclasses import dataclass, field
from typing import Any, Final

import fastavro
import httpx

from support.faults.fleet import API, Fleet
from support.samples import READING, SYNC

STUDY: Final = "sleep"
PATH: Final = f"/v1/studies/{STUDY}"
MARK: Final = rb"zq7x[0-9a-f]{16}"
"""Matches the mark of any person."""
CORRELATION: Final = "c."
"""Before the mark in a correlation id, which logs may have."""
BIG_BYTES: Final = 11 * 1024 * 1024
"""More than two parts of a multipart object."""
REQUEST_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.2
AT_ONCE: Final = 12
_EVERY_FORM: Final = 5
_EVERY_BIG: Final = 200


@dataclass(frozen=True)
class Sent:
    """
    An upload with its last answer.

    `began_at` is the monotonic time of its first request; `upload_id` is of an acknowledged one.
    """

    number: int
    began_at: float
    status: int
    upload_id: str | None = None
    code: str = ""


@dataclass
class Person:
    """
    A subject of the study.

    `erased_at` is the monotonic time at which the request of the erasure was answered.
    """

    mark: str
    sent: list[Sent] = field(default_factory=list)
    erasure_id: str | None = None
    erased_at: float | None = None
    numbers: int = 0

    @property
    def pseudonym(self) -> str:
        """The pseudonym."""
        return f"P-{self.mark}"

    @property
    def acknowledged(self) -> list[Sent]:
        """The uploads with a receipt."""
        return [one for one in self.sent if one.upload_id]

    def content(self, number: int) -> bytes:
        """Return a file, equal for equal numbers; a few are big enough for multipart objects."""
        note = f"n.{self.mark}.{number}"
        if number % _EVERY_BIG == _EVERY_BIG - 1:
            note += "." * BIG_BYTES
        rows = [{"at": 1_700_000_000_000 + number, "rate": 60, "note": note}]
        content = io.BytesIO()
        metadata = {"device": f"m.{self.mark}"}
        fastavro.writer(content, READING, rows, sync_marker=SYNC, metadata=metadata)
        return content.getvalue()

    def hashes(self) -> set[bytes]:
        """Return the SHA-256 of each file that was sent, in hexadecimal and in Base64."""
        digests = [hashlib.sha256(self.content(one.number)).digest() for one in self.sent]
        return {one.hex().encode() for one in digests} | {base64.b64encode(one) for one in digests}


def new_person(chance: random.Random) -> Person:
    """Return a person with a new mark."""
    return Person(f"zq7x{chance.getrandbits(64):016x}")


@dataclass
class StudyClients:
    """A manager of the study, and clients that repeat a request until the answer is clear."""

    fleet: Fleet
    random: random.Random
    http: httpx.AsyncClient
    token: str
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def ask(self, method: str, path: str, body: Any = None) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON of an answer of 2xx."""
        answer = await self._until_clear(method, path, json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def create_study(self, account: str) -> None:
        """Create the study; the account, an administrator, gets all roles."""
        policy = {"enrolment": "Listed", "consent_required": True}
        study = {"slug": STUDY, "name": "Sleep", "policy": policy}
        await self.ask("POST", "/v1/studies", study)
        roles = ["uploader", "reader", "manager"]
        await self.ask("PUT", f"{PATH}/members/{account}", {"roles": roles})

    async def enrol(self, person: Person) -> None:
        """Enrol a person with consent."""
        consent = {"version": f"v.{person.mark}"[:32], "given_at": "2026-01-02T03:04:05Z"}
        await self.ask("PUT", f"{PATH}/subjects/{person.pseudonym}", {"consent": consent})

    async def upload(self, person: Person) -> Sent:
        """Upload a new file about the person."""
        person.numbers += 1
        began = time.monotonic()
        sent = await self._send(person, person.numbers, f"k.{person.mark}.{person.numbers}", began)
        person.sent.append(sent)
        return sent

    async def retry(self, person: Person, number: int, *, same_key: bool) -> Sent:
        """Send the same bytes again, with the key of the first time or another."""
        key = f"k.{person.mark}.{number}" + ("" if same_key else f".{self.random.random()}")
        return await self._send(person, number, key, time.monotonic())

    async def erase(self, person: Person) -> None:
        """Request the erasure of the person."""
        path = f"{PATH}/subjects/{person.pseudonym}/erasure"
        answer = await self.ask("POST", path)
        person.erased_at = time.monotonic()
        person.erasure_id = answer["erasure_id"]

    async def erasure(self, person: Person) -> dict[str, Any]:
        """Return the state of the erasure."""
        found: dict[str, Any] = await self.ask("GET", f"/v1/erasures/{person.erasure_id}")
        return found

    async def content(self, upload_id: str) -> bytes:
        """Return the file of an upload; empty if the answer is not 200."""
        answer = await self._until_clear("GET", f"/v1/uploads/{upload_id}/content")
        return answer.content if answer.status_code == httpx.codes.OK else b""

    async def _send(self, person: Person, number: int, key: str, began: float) -> Sent:
        headers = {
            "Idempotency-Key": key,
            "X-Correlation-ID": f"{CORRELATION}{person.mark}",
            "User-Agent": f"u.{person.mark}",
            "Healthingest-Study": STUDY,
            "Healthingest-Subject": person.pseudonym,
        }
        content = person.content(number)
        path = f"/v1/upload?q={person.mark}"
        if number % _EVERY_FORM == 0:
            form = {"file": (f"f.{person.mark}.avro", content, "application/avro")}
            answer = await self._until_clear("POST", path, headers=headers, files=form)
        else:
            headers["Content-Type"] = "application/avro"
            answer = await self._until_clear("POST", path, headers=headers, content=content)
        status = answer.status_code
        if answer.is_success:
            return Sent(number, began, status, answer.json()["upload_id"])
        code = answer.json()["type"].rpartition("/")[2] if status else ""
        return Sent(number, began, status, code=code)

    async def _until_clear(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        **body: Any,  # noqa: ANN401 - what httpx takes
    ) -> httpx.Response:
        """Return the first answer that a client need not try again, or the last of a minute."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        ours = {"Authorization": f"Bearer {self.token}"} | (headers or {})
        while True:
            answer = await self._once(method, path, ours, body)
            if not _is_unclear(answer.status_code) or time.monotonic() > deadline:
                return answer
            await asyncio.sleep(PAUSE_SECONDS)

    async def _once(
        self, method: str, path: str, headers: dict[str, str], body: dict[str, Any]
    ) -> httpx.Response:
        url = self.fleet.address(self.random.choice(API)) + path
        async with self.slots:
            try:
                async with asyncio.timeout(REQUEST_SECONDS):
                    return await self.http.request(method, url, headers=headers, **body)
            except (httpx.HTTPError, TimeoutError):
                return httpx.Response(0)


def _is_unclear(status: int) -> bool:
    return status in {0, 409, httpx.codes.TOO_MANY_REQUESTS} or status >= 500
