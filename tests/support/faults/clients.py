"""Correct clients: a key for each file, and a retry after every unclear answer."""

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import httpx

from support.faults.fleet import API, Fleet
from support.faults.history import Answer, Attempt
from support.samples import good_file

PATIENCE_SECONDS = 25.0
REQUEST_SECONDS = 12.0
PAUSE_SECONDS = 0.2
Pieces = Callable[[bytes], AsyncIterator[bytes]]


@dataclass(frozen=True)
class Owner:
    """An account."""

    id: str
    token: str


@dataclass
class Clients:
    """Some accounts, with all their requests and answers."""

    fleet: Fleet
    random: random.Random
    http: httpx.AsyncClient
    owners: list[Owner] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    foreign_answers: list[Answer] = field(default_factory=list)
    files: int = 0

    async def register(self, count: int) -> None:
        """Create accounts."""
        for number in range(count):
            account = {
                "email": f"owner{number}@clinic.example",
                "password": "correct horse battery",
            }
            base = self.fleet.address(API[0])
            made = await self.http.post(f"{base}/auth/register", json=account)
            form = {"username": account["email"], "password": account["password"]}
            entered = await self.http.post(f"{base}/auth/jwt/login", data=form)
            self.owners.append(Owner(made.json()["id"], entered.json()["access_token"]))

    def next_seed(self) -> int:
        """Return the seed of a file that was not sent before."""
        self.files += 1
        return self.files * 1000

    def new_file(self, records: int = 3) -> bytes:
        """Return a file that was not sent before."""
        return good_file(records, seed=self.next_seed())

    async def upload(
        self,
        content: bytes | None = None,
        *,
        owner: Owner | None = None,
        patient: bool = True,
        first: str | None = None,
    ) -> Attempt:
        """
        Send a file until the answer is clear.

        The first request goes to the process *first*, if it is given.
        """
        body = content or self.new_file()
        by = owner or self.random.choice(self.owners)
        sha256 = hashlib.sha256(body).hexdigest()
        deadline = time.monotonic() + PATIENCE_SECONDS
        answers = [await self._send(body, by.token, sha256, first)]
        while patient and _is_unclear(answers[-1]) and time.monotonic() < deadline:
            await asyncio.sleep(PAUSE_SECONDS)
            answers.append(await self._send(body, by.token, sha256))
        attempt = Attempt(by.id, sha256, tuple(answers))
        self.attempts.append(attempt)
        return attempt

    async def upload_refused(self) -> None:
        """Send requests that must leave nothing behind: an invalid file, an unknown token."""
        whole = self.new_file()
        await self.upload(whole[:-7])
        await self.upload(self.new_file(), owner=Owner(self.owners[0].id, "unknown"))

    async def spy(self, attempt: Attempt) -> None:
        """Ask for another account's upload, and send its hash from a different account."""
        for answer in attempt.answers:
            stranger = next(owner for owner in self.owners if owner.id != attempt.owner)
            if answer.upload_id:
                url = f"{self.fleet.address(self.random.choice(API))}/v1/uploads/{answer.upload_id}"
                seen = await self._ask(
                    "GET", url, {"Authorization": f"Bearer {stranger.token}"}, b""
                )
                if seen.status and seen.status < 500:
                    self.foreign_answers.append(seen)

    async def _send(self, body: bytes, token: str, key: str, role: str | None = None) -> Answer:
        base = self.fleet.address(role or self.random.choice(API))
        return await self._ask("POST", f"{base}/v1/upload", upload_headers(token, key), body)

    async def send_to(self, base: str, owner: Owner, body: bytes, pieces: Pieces) -> Answer:
        """Send one request to the process at *base*, in *pieces*, without a retry."""
        sha256 = hashlib.sha256(body).hexdigest()
        headers = upload_headers(owner.token, sha256) | {"Content-Length": str(len(body))}
        answer = await self._ask("POST", f"{base}/v1/upload", headers, pieces(body))
        self.attempts.append(Attempt(owner.id, sha256, (answer,)))
        return answer

    async def _ask(
        self, method: str, url: str, headers: dict[str, str], body: bytes | AsyncIterator[bytes]
    ) -> Answer:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                answer = await self.http.request(method, url, content=body, headers=headers)
        except (httpx.HTTPError, TimeoutError):
            return Answer(0)
        if answer.status_code not in {200, 201} or method == "GET":
            return Answer(answer.status_code)
        receipt = answer.json()
        return Answer(
            answer.status_code, receipt["upload_id"], receipt["object_key"], receipt["file_hash"]
        )


def upload_headers(token: str, key: str) -> dict[str, str]:
    """Return the headers of an upload."""
    return {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/avro",
        "Idempotency-Key": key,
    }


def _is_unclear(answer: Answer) -> bool:
    return answer.status in {0, 409} or answer.status >= 500
