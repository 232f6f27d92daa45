"""
A correct client of resumable uploads, and a fault at each point of one.

The client sends a file in several requests by tus 1.0, each to any process, and asks after each
unclear answer how much has arrived.
"""

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import httpx

from support.faults.case import HIT_SECONDS, Case
from support.faults.clients import PAUSE_SECONDS, REQUEST_SECONDS, Clients, Owner
from support.faults.fleet import API
from support.faults.history import Answer, Attempt, Outcome
from support.faults.point_cases import RESTART_SECONDS, keep_alive
from support.faults.points import Fault, Mode, ResumablePoint, arm, hits
from support.faults.world import World
from support.samples import good_file

PATIENCE_SECONDS: Final = 180.0
"""A killed process keeps its lease until that ends, and several may die for one file."""
HANG_SECONDS: Final = 8.0
"""Longer than the lease of a request that stores a part."""
REQUESTS: Final = 4
RECORDS: Final = 200
TOGETHER: Final = {Mode.KILL: 4, Mode.RAISE: 16, Mode.HANG: 16}
"""Faults that wait at the same time in the short form."""
_TUS: Final = {"Tus-Resumable": "1.0.0"}
_UPLOAD_ID: Final = "healthingest-upload-id"
_BYTES: Final = "application/offset+octet-stream"


def resumable_cases(*, short: bool) -> list[Case]:
    """Return a case for each point and mode; in the short form for some points together."""
    points = tuple(ResumablePoint)
    cases = []
    for mode, together in TOGETHER.items():
        size = together if short else 1
        cases += [_case(mode, points[at : at + size]) for at in range(0, len(points), size)]
    return cases


def _case(mode: Mode, points: tuple[ResumablePoint, ...]) -> Case:
    seconds = HANG_SECONDS if mode is Mode.HANG else 0.0
    faults = tuple(Fault(point, mode, seconds) for point in points)
    more = f" … {points[-1]}, {len(points)} points" if len(points) > 1 else ""
    return Case(f"{mode}: {points[0]}{more}", partial(at_points, faults=faults))


async def at_points(world: World, faults: tuple[Fault, ...]) -> bool:
    """Arm the faults, send a file for each and one more, and wait for every point."""
    before = len(hits(world.faults))
    for fault in faults:
        arm(world.faults, fault)
    done = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_alive(world, done))
        files = range(len(faults) + 1)
        sent = await asyncio.gather(*(upload_resumable(world.clients) for _ in files))
        deadline = time.monotonic() + HIT_SECONDS + RESTART_SECONDS * len(faults)
        while len(hits(world.faults)) < before + len(faults) and time.monotonic() < deadline:
            # A fault may keep files from the next point.
            sent.append(await upload_resumable(world.clients))
        done.set()
    if any(one.outcome is not Outcome.ACKNOWLEDGED for one in sent):
        world.wrong.append("a file was not accepted, although its client went on")
    early = await world.query(
        "SELECT count(*) FROM resumable_upload"
        " WHERE state = 'receiving' AND received_bytes = size_bytes"
    )
    if early[0][0]:
        world.wrong.append("a client was told an end that is no upload")
    return len(hits(world.faults)) >= before + len(faults)


async def upload_resumable(clients: Clients) -> Attempt:
    """Send a new file in several requests, until it is accepted or patience ends."""
    content = good_file(RECORDS, seed=clients.next_seed())
    sending = _Sending(clients, clients.random.choice(clients.owners), content)
    attempt = Attempt(sending.owner.id, sending.sha256, await sending.answers_of())
    clients.attempts.append(attempt)
    return attempt


@dataclass
class _Sending:
    """One file on its way."""

    clients: Clients
    owner: Owner
    content: bytes
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        self.sha256 = hashlib.sha256(self.content).hexdigest()

    async def answers_of(self) -> tuple[Answer, ...]:
        """Return a success after an unclear answer, or that answer if patience ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        location = upload_id = ""
        while time.monotonic() < deadline and not upload_id:
            if not location:
                made = await self._ask("POST", "/v1/files", {"Upload-Length": self._size})
                location = made.headers["location"] if made is not None else ""
            else:
                upload_id = await self._further(location)
            if not location or not upload_id:
                await asyncio.sleep(PAUSE_SECONDS)
        if not upload_id:
            return (Answer(0),)
        while time.monotonic() < deadline:
            found = await self._ask("GET", f"/v1/uploads/{upload_id}", {})
            if found is not None:
                row = found.json()
                return (Answer(0), Answer(200, upload_id, row["object_key"], row["file_hash"]))
            await asyncio.sleep(PAUSE_SECONDS)
        return (Answer(0),)

    @property
    def _size(self) -> str:
        return str(len(self.content))

    async def _further(self, location: str) -> str:
        """Ask how much there is, and send the next bytes; returns the id of the upload, or ""."""
        found = await self._ask("HEAD", location, {})
        if found is None or _UPLOAD_ID in found.headers:
            return "" if found is None else str(found.headers[_UPLOAD_ID])
        offset = int(found.headers["upload-offset"])
        until = min(len(self.content), offset + len(self.content) // REQUESTS + 1)
        headers = {"Upload-Offset": str(offset), "Content-Type": _BYTES}
        done = await self._ask("PATCH", location, headers, self.content[offset:until])
        return "" if done is None else str(done.headers.get(_UPLOAD_ID, ""))

    async def _ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b""
    ) -> httpx.Response | None:
        """Return a success; None for any other answer, after which the client asks again."""
        clients = self.clients
        url = f"{clients.fleet.address(clients.random.choice(API))}{path}"
        sent = {"Authorization": f"Bearer {self.owner.token}", **_TUS, **headers}
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                answer = await clients.http.request(method, url, content=body, headers=sent)
        except (httpx.HTTPError, TimeoutError):
            return None
        return answer if answer.is_success else None
