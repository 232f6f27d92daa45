"""
Measures what study, subject, consent and audit log cost an upload, beside an earlier commit.

Three kinds of uploads of 20 kB are measured in turn, in many short rounds: of an account to the
service of the commit, which had neither studies nor an audit log; of an account to this service;
and about subjects of a study that requires consent. Each service has an API process, a relay, a
janitor, and a database, virtual host and bucket of its own on the same servers. A round begins when
the messages and events of the one before are announced and chained.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
from processes import processor_seconds
from upload_client import Target, burst
from upload_files import UploadFile, file_of
from upload_measures import CLIENTS, SMALL_BYTES, Series
from upload_servers import Server, on_servers, real_servers

from support.deadlines import HANG_SECONDS
from support.results import add_json_option, write_figures
from support.servers.process import ServerUnavailableError, work_folder

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCES: Final = ("contract", "gate", "service")
WITHOUT_STUDIES: Final = "355c945"
"""The last commit before studies and the audit log."""
BEFORE: Final = "before"
PLAIN: Final = "default study"
STUDY: Final = "study"
AIM: Final = 0.95
_COMPILE: Final = "import pathlib, hatch_build; hatch_build.compile_gate(pathlib.Path.cwd())"
_BUILD_SECONDS: Final = 600.0
_OUTBOX: Final = "SELECT count(*) FROM outbox"
_UNCHAINED: Final = "SELECT (SELECT count(*) FROM audit_event) - (SELECT count(*) FROM audit_link)"
_HAS_AUDIT: Final = "SELECT to_regclass('audit_event') IS NOT NULL"


@dataclass
class Kind:
    """Uploads of one kind: their targets, and what was measured."""

    targets: Sequence[Target]
    process_id: int
    database_url: str
    rate: Series = field(default_factory=Series)
    processor_ms: Series = field(default_factory=Series)
    statuses: dict[int, int] = field(default_factory=dict)


def sources_of(commit: str) -> Path:
    """
    Return a folder with the sources of *commit*, and its gate compiled; it is kept.

    Raises:
        ServerUnavailableError: the repository is not here, or does not have the commit.
    """
    found = subprocess.run(
        ["git", "rev-parse", "--verify", f"{commit}^{{commit}}"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if found.returncode:
        message = f"no commit {commit} here: it needs a clone with its history"
        raise ServerUnavailableError(message)
    folder = ROOT / ".cache" / "commits" / found.stdout.strip()
    if (folder / ".compiled").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    packed = folder / "sources.tar"
    archive = ["git", "archive", "--output", str(packed), commit, *SOURCES, "hatch_build.py"]
    for command, where in (
        (archive, ROOT),
        (["tar", "--extract", "--file", str(packed)], folder),
        ([sys.executable, "-c", _COMPILE], folder),
    ):
        subprocess.run(command, cwd=where, check=True, timeout=_BUILD_SECONDS)
    (folder / ".compiled").touch()
    return folder


def run_from(folder: Path) -> tuple[str, ...]:
    """Return the command that runs Python with the sources in *folder* before others."""
    paths = os.pathsep.join(str(folder / one) for one in SOURCES)
    return ("env", f"PYTHONPATH={paths}")


async def make_administrator(url: str) -> None:
    """Let the only account of a new installation create studies."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("UPDATE account SET is_superuser = true")
    finally:
        await connection.close()


def targets_in_study(plain: Target, url: str) -> list[Target]:
    """Create a study that requires consent, and return a target for each of its subjects."""
    asyncio.run(make_administrator(url))
    authorization = {"Authorization": plain.headers["Authorization"]}
    base = f"http://127.0.0.1:{plain.port}"
    with httpx.Client(base_url=base, headers=authorization, timeout=HANG_SECONDS) as client:

        def put(path: str, document: Mapping[str, Any]) -> None:
            client.put(f"/v1/studies/sleep{path}", json=document).raise_for_status()

        policy = {"enrolment": "Listed", "consent_required": True}
        new = {"slug": "sleep", "name": "Sleep", "policy": policy}
        client.post("/v1/studies", json=new).raise_for_status()
        account = client.get("/auth/me").raise_for_status().json()["id"]
        put(f"/members/{account}", {"roles": ["uploader", "manager"]})
        for number in range(CLIENTS):
            put(f"/subjects/P-{number}", {})
            consent = {"version": "v1", "given_at": "2026-01-01T00:00:00Z"}
            put(f"/subjects/P-{number}/consent", consent)
    named = [
        {"Healthingest-Study": "sleep", "Healthingest-Subject": f"P-{number}"}
        for number in range(CLIENTS)
    ]
    return [replace(plain, name=STUDY, headers={**plain.headers, **one}) for one in named]


async def settled(url: str) -> None:
    """Return when all messages are announced and all events chained."""
    deadline = time.monotonic() + HANG_SECONDS
    connection = await asyncpg.connect(url)
    try:
        waiting = [_OUTBOX]
        if await connection.fetchval(_HAS_AUDIT):
            waiting.append(_UNCHAINED)
        for query in waiting:
            while await connection.fetchval(query):
                assert time.monotonic() < deadline, query
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


def measure_round(kind: Kind, seconds: float, numbers: Iterator[int]) -> None:
    """Measure one burst of uploads, and wait until what follows from them is done."""

    def make(number: int) -> UploadFile:
        return file_of(SMALL_BYTES, number)

    os.sync()
    before = processor_seconds(kind.process_id)
    seen = burst(kind.targets, make, clients=CLIENTS, seconds=seconds, numbers=numbers)
    used = processor_seconds(kind.process_id) - before
    kind.rate.values.append(seen.per_second)
    kind.processor_ms.values.append(used * 1000 / len(seen.each_seconds))
    for status, found in seen.statuses.items():
        kind.statuses[status] = kind.statuses.get(status, 0) + found
    asyncio.run(settled(kind.database_url))


def measure(
    kinds: Mapping[str, Kind], *, rounds: int, seconds: float, numbers: Iterator[int]
) -> None:
    """Measure the kinds in turn; every second round has the opposite order."""
    for kind in kinds.values():
        measure_round(kind, 1.0, numbers)  # processes and pools start with the first uploads
        kind.rate.values.clear()
        kind.processor_ms.values.clear()
    for number in range(rounds):
        order = list(kinds.values())
        for kind in order if number % 2 == 0 else order[::-1]:
            measure_round(kind, seconds, numbers)


def figures_of(kinds: Mapping[str, Kind]) -> dict[str, float | None]:
    """Return the medians by kind, and the median ratio of each kind to `before`."""
    figures: dict[str, float | None] = {}
    for name, kind in kinds.items():
        figures[f"{name}/per_second"] = kind.rate.median
        figures[f"{name}/processor_ms"] = kind.processor_ms.median
        figures[f"{name}/of_before"] = statistics.median(_ratios(kind.rate, kinds[BEFORE].rate))
    return figures


def report(kinds: Mapping[str, Kind]) -> bool:
    """Print the figures; returns whether the aim was met."""
    head = f"20 kB, {CLIENTS} clients"
    print(f"\n{head:16} {'uploads/s (least to most)':>32} {'processor, ms each':>32}   answers")
    for name, kind in kinds.items():
        print(f"{name:16} {kind.rate!s:>32} {kind.processor_ms!s:>32}   {kind.statuses}")
    base = kinds[BEFORE]
    for name in (PLAIN, STUDY):
        rate = _ratios(kinds[name].rate, base.rate)
        processor = _ratios(kinds[name].processor_ms, base.processor_ms)
        print(f"{name} / {BEFORE}: uploads/s {_text(rate)}, processor time {_text(processor)}")
    met = statistics.median(_ratios(kinds[STUDY].rate, base.rate)) >= AIM
    print(f"aim at least {AIM} of the uploads/s: {'met' if met else 'NOT MET'}")
    return met


def _ratios(some: Series, others: Series) -> list[float]:
    """Return the ratio of each round."""
    return [one / other for one, other in zip(some.values, others.values, strict=True)]


def _text(ratios: Sequence[float]) -> str:
    middle = statistics.median(ratios)
    if len(ratios) < 2:
        return f"{middle:.3f}"
    low, _, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} (quartiles {low:.3f} to {high:.3f})"


def main() -> int:
    """Run all rounds; exit code 0 if the aim was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default=WITHOUT_STUDIES, help="the commit to compare with")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a round")
    add_json_option(parser)
    options = parser.parse_args()
    run_by = run_from(sources_of(options.before))
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(work_folder(None)))
        servers = stack.enter_context(real_servers())
        before_on, now_on = (stack.enter_context(servers.backing()) for _ in range(2))
        before = stack.enter_context(on_servers(folder / "before", before_on, run_by=run_by))
        now = stack.enter_context(on_servers(folder / "now", now_on))
        kinds = {
            BEFORE: _kind(before, before_on.database_url, [before.target]),
            PLAIN: _kind(now, now_on.database_url, [now.target]),
            STUDY: _kind(
                now, now_on.database_url, targets_in_study(now.target, now_on.database_url)
            ),
        }
        measure(kinds, rounds=options.rounds, seconds=options.seconds, numbers=count(1))
        write_figures(options.json, figures_of(kinds))
        return 0 if report(kinds) else 1


def _kind(server: Server, database_url: str, targets: Sequence[Target]) -> Kind:
    return Kind(targets, server.process_id, database_url)


if __name__ == "__main__":
    sys.exit(main())
