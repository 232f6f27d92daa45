"""
Lets many devices upload while API processes are killed: `make faults-devices`.

Each device redeems an enrolment code for a token of its own, and uploads one file about its subject
with the client. A proxy cuts every connection after 2 MB, in front of two API processes, which are
killed in turn. In the end each device must have one upload with its bytes, and a token that is
revoked must open neither process. Prints what was done, with the seed; exits 1 if not.
"""

import argparse
import asyncio
import hashlib
import random
import secrets
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from healthingest_client import AsyncClient, ClientError, MemoryTokens, RetryPolicy
from support.avro_files import write_file
from support.cutting_proxy import CuttingProxy, cutting_proxy
from support.deadlines import HANG_SECONDS
from support.replicas import Replica, say, started_replicas
from support.servers.process import work_folder
from support.service_process import environment

MIB: Final = 1024 * 1024
CUT_BYTES: Final = 2 * MIB
BYTES_PER_SECOND: Final = 8 * MIB
LARGER: Final = 3
"""Every tenth file is so many times as large as the others may be, so that it is cut."""
AT_ONCE: Final = 32
"""Devices that upload at the same time."""
KILLS: Final = 6
MOST_SENT: Final = 1.05
PATIENCE: Final = RetryPolicy(patience_seconds=600)
PASSWORD: Final = secrets.token_urlsafe(16)
EMAIL: Final = "ada@clinic.example"
STUDY: Final = "sleep"
ADMIN: Final = (sys.executable, "-m", "healthingest_service.main.admin_cli")
REFUSED: Final = 401
REVOKED_SECONDS: Final = 5.0
LIMITS: Final = {
    "LIMITS__LOGINS": "100000/minute",
    "LIMITS__UPLOADS_AT_ONCE_PER_ADDRESS": "1000",
    "HTTP__MAX_CONNECTIONS_PER_ADDRESS": "1000",
}


@dataclass
class Devices:
    """The devices of a study: what each has sent, and what became of it."""

    folder: Path
    tokens: dict[str, MemoryTokens] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    accepted: int = 0
    failures: list[str] = field(default_factory=list)

    async def upload(self, subject: str, code: str, url: str, content_seed: int) -> None:
        """Redeem a code and upload a file about the subject."""
        path = self.folder / f"{subject}.avro"
        content = write_file(path, self.sizes[subject], content_seed)
        self.hashes[subject] = hashlib.sha256(content).hexdigest()
        self.sizes[subject] = len(content)
        tokens = self.tokens[subject] = MemoryTokens()
        try:
            async with AsyncClient(url, tokens, policy=PATIENCE) as client:
                await client.enrol(code)
                await client.upload(path, study=STUDY, subject=subject)
        except ClientError as error:
            self.failures.append(f"{subject}: {type(error).__name__}")
        else:
            self.accepted += 1
        path.unlink()


async def _kill_in_turn(replicas: list[Replica], devices: Devices, count: int) -> None:
    """Kill a process each time that another share of the devices is done."""
    for number in range(KILLS):
        while devices.accepted < count * (number + 1) // (KILLS + 1):  # noqa: ASYNC110 - processes
            await asyncio.sleep(0.1)
        await asyncio.to_thread(replicas[number % len(replicas)].replace)


async def _enrolled(manager: AsyncClient, count: int) -> dict[str, str]:
    """Return a code for the device of each subject."""
    subjects = [f"P-{number}" for number in range(count)]
    return {
        subject: (await manager.create_enrolment(STUDY, subject=subject))["code"]
        for subject in subjects
    }


async def _run(
    replicas: list[Replica], devices: Devices, codes: dict[str, str], source: random.Random
) -> CuttingProxy:
    """Let all devices upload; returns the proxy."""
    backends = [("127.0.0.1", one.port) for one in replicas]
    opening = cutting_proxy(backends, cut_bytes=CUT_BYTES, bytes_per_second=BYTES_PER_SECOND)
    slots = asyncio.Semaphore(AT_ONCE)

    async def device(subject: str, code: str, content_seed: int) -> None:
        async with slots:
            await devices.upload(subject, code, proxy.url, content_seed)

    async with opening as proxy:
        killer = asyncio.create_task(_kill_in_turn(replicas, devices, len(codes)))
        try:
            async with asyncio.TaskGroup() as tasks:
                for subject, code in codes.items():
                    tasks.create_task(device(subject, code, source.getrandbits(64)))
            async with asyncio.timeout(HANG_SECONDS):
                await killer
        finally:
            killer.cancel()
    return proxy


async def _wrong(manager: AsyncClient, devices: Devices) -> list[str]:
    """Return what is wrong with the uploads of the study."""
    found: dict[str, list[str]] = {}
    async for upload in manager.study_uploads(STUDY):
        found.setdefault(upload["subject"], []).append(upload["file_hash"])
    wanted = {subject: [one] for subject, one in devices.hashes.items()}
    return [one for one in {**wanted, **found} if found.get(one) != wanted.get(one)]


async def _is_refused_after_revocation(
    manager: AsyncClient, replicas: list[Replica], devices: Devices
) -> bool:
    """Revoke the token of a device; returns whether all processes refuse it soon."""
    subject = next(iter(devices.tokens))
    (token,) = [one async for one in manager.study_tokens(STUDY, subject=subject)]
    kept = devices.tokens[subject].get("")
    assert kept is not None
    headers = {"Authorization": f"Bearer {kept.access_token}"}
    async with httpx.AsyncClient(timeout=HANG_SECONDS, headers=headers) as http:

        async def statuses() -> set[int]:
            """Return the answers of all processes to an upload of nothing."""
            urls = [f"http://127.0.0.1:{one.port}/v1/upload" for one in replicas]
            return {(await http.post(url)).status_code for url in urls}

        if REFUSED in await statuses():
            return False
        await manager.revoke_study_token(STUDY, token["id"])
        deadline = time.monotonic() + REVOKED_SECONDS
        while time.monotonic() < deadline:
            if await statuses() == {REFUSED}:
                return True
    return False


async def _prove(replicas: list[Replica], devices: Devices, source: random.Random) -> bool:
    """Upload with all devices; returns whether everything is as promised."""
    direct = f"http://127.0.0.1:{replicas[0].port}"
    async with AsyncClient(direct, MemoryTokens(), policy=PATIENCE) as manager:
        await manager.login(EMAIL, PASSWORD)
        codes = await _enrolled(manager, len(devices.sizes))
        proxy = await _run(replicas, devices, codes, source)
        wrong = await _wrong(manager, devices)
        is_revoked = await _is_refused_after_revocation(manager, replicas, devices)
    ratio = proxy.sent_bytes / sum(devices.sizes.values())
    say(f"accepted {devices.accepted} of {len(codes)}, cuts {proxy.cuts}, kills {KILLS}")
    say(f"not as sent: {len(wrong)}; failed: {devices.failures[:5]}; sent per byte: {ratio:.3f}")
    say(f"a revoked token is refused by all processes: {is_revoked}")
    is_whole = not wrong and devices.accepted == len(codes)
    return is_whole and is_revoked and ratio <= MOST_SENT


def _admin(words: tuple[str, ...], beside: Replica) -> None:
    subprocess.run(
        [*ADMIN, *words],
        env=environment(beside.folder, **beside.settings),
        check=True,
        timeout=HANG_SECONDS,
        stdout=subprocess.DEVNULL,
    )


async def _register(url: str) -> None:
    async with AsyncClient(url, MemoryTokens()) as client:
        await client.register(EMAIL, PASSWORD)


def prove(count: int, seed: int, max_bytes: int) -> int:
    """Run it, and print what was found; returns the exit code."""
    source = random.Random(seed)  # noqa: S311 - not secret
    with ExitStack() as stack:
        place = stack.enter_context(work_folder(None))
        replicas = started_replicas(stack, place, **LIMITS)
        asyncio.run(_register(f"http://127.0.0.1:{replicas[0].port}"))
        roles = ("--email", EMAIL, "--roles", "manager", "reader")
        _admin(("study", "create", "--study", STUDY, "--name", "Sleep"), replicas[0])
        _admin(("study", "member", "--study", STUDY, *roles), replicas[0])
        devices = Devices(place / "devices")
        devices.sizes = {
            f"P-{one}": LARGER * max_bytes if one % 10 == 0 else source.randint(1, max_bytes)
            for one in range(count)
        }
        began = time.monotonic()
        is_kept = asyncio.run(_prove(replicas, devices, source))
        seconds = time.monotonic() - began
    size = sum(devices.sizes.values()) / MIB
    say(f"seed {seed}: {count} devices, {size:.0f} MiB, {seconds:.0f} s")
    return 0 if is_kept else 1


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Kill API processes while devices upload.")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--max-bytes", type=int, default=MIB)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    options = parser.parse_args()
    return prove(options.count, options.seed, options.max_bytes)


if __name__ == "__main__":
    sys.exit(main())
