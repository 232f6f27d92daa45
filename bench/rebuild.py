"""
Measures the rebuild of the database from the bucket: an empty database, and an object for each row.

The objects are put by the service's own adapter, with the metadata of uploads, into a real S3
server. The command runs as an administrator runs it: a process of its own, with the settings of a
pod. Afterwards the rows are compared with the uploads that the objects were made from.
"""

import argparse
import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import func, select

from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.migrate import migrate
from healthingest_service.adapters.database.tables import OutboxRow, UploadRow
from healthingest_service.adapters.s3.store import S3Store, open_s3_store
from healthingest_service.uploads.model import NewObject, Upload, UploadState
from healthingest_service.uploads.object_metadata import object_metadata
from support.results import add_json_option, write_figures
from support.s3 import access_to
from support.servers.postgres import postgres_server
from support.servers.versitygw import S3Server, s3_server
from support.uploads import NOON, owner, sha256, upload

_WRITERS: Final = 16
_OWNERS: Final = 100
_SECONDS: Final = 3600
_COMMAND: Final = "from healthingest_service.main.admin_cli import main; raise SystemExit(main())"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command: its answer, wall time and processor time in seconds."""

    answer: dict[str, int]
    seconds: float
    processor_seconds: float


def uploads_of(count: int) -> Iterator[tuple[Upload, bytes]]:
    """Yield *count* uploads of many days, with their bytes."""
    owners = [owner() for _ in range(_OWNERS)]
    for number in range(count):
        content = b"upload %d" % number
        at = NOON + timedelta(seconds=7 * number)
        new = upload(content, of=owners[number % _OWNERS], at=at)
        yield replace(new, state=UploadState.STORED), content


async def fill(server: S3Server, count: int, folder: Path) -> str:
    """Put the objects; return the fingerprint of the uploads."""
    fingerprint = hashlib.sha256()
    source = uploads_of(count)
    found: list[str] = []

    async def write(store: S3Store, number: int) -> None:
        body = folder / str(number)
        for new, content in source:
            body.write_bytes(content)
            key = new.receipt.object_key
            await store.put(
                NewObject(key, body, len(content), sha256(content), object_metadata(new))
            )
            found.append(_line(new))

    async with (
        open_s3_store(access_to(server, timeout_seconds=120)) as store,
        asyncio.TaskGroup() as group,
    ):
        for number in range(_WRITERS):
            group.create_task(write(store, number))
    for line in sorted(found):
        fingerprint.update(line.encode())
    return fingerprint.hexdigest()


def _line(one: Upload) -> str:
    """Return all of an upload that a rebuilt row must equal."""
    return repr(replace(one, stored_at=None, announced_at=None))


async def compare(url: str) -> tuple[str, int]:
    """Return the fingerprint of the rows, and the number of waiting messages."""
    fingerprint = hashlib.sha256()
    async with open_engine(url, pool_size=1, timeout_seconds=600) as engine, engine.connect() as to:
        found = [_line(rows.upload(row)) for row in await to.execute(select(UploadRow))]
        messages = await to.scalar(select(func.count()).select_from(OutboxRow))
    for line in sorted(found):
        fingerprint.update(line.encode())
    return fingerprint.hexdigest(), messages or 0


def rebuild(environment: dict[str, str]) -> Run:
    """Run the command."""
    began = time.monotonic()
    before = os.times()
    words = [sys.executable, "-c", _COMMAND, "ledger", "rebuild", "--from-bucket"]
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    after = os.times()
    if done.returncode:
        raise SystemExit(done.stderr)
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return Run(json.loads(done.stdout), time.monotonic() - began, used)


@contextmanager
def servers() -> Iterator[tuple[S3Server, str]]:
    """A bucket, and the address of an empty database."""
    with ExitStack() as stack:
        store = stack.enter_context(s3_server()).new_bucket()
        url = stack.enter_context(stack.enter_context(postgres_server()).database())
        yield store, url


def _row(name: str, run: Run, count: int) -> str:
    return (
        f"| {name} | {run.seconds:.1f} | {count / run.seconds:.0f} | {run.processor_seconds:.1f} |"
    )


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    add_json_option(parser)
    options = parser.parse_args()
    count = options.rows
    load = os.getloadavg()[0]
    with servers() as (store, url), tempfile.TemporaryDirectory() as folder:
        asyncio.run(migrate(url, timeout_seconds=60))
        began = time.monotonic()
        wanted = asyncio.run(fill(store, count, Path(folder)))
        filled = time.monotonic() - began
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("HEALTHINGEST_")
        } | {
            "HEALTHINGEST_DATABASE__URL": url,
            "HEALTHINGEST_STORE__ENDPOINT": store.endpoint,
            "HEALTHINGEST_STORE__REGION": store.region,
            "HEALTHINGEST_STORE__BUCKET": store.bucket,
            "HEALTHINGEST_STORE__ACCESS_KEY_ID": store.access_key_id,
            "HEALTHINGEST_STORE__SECRET_ACCESS_KEY": store.secret_access_key,
            "HEALTHINGEST_DATA_FOLDER": folder,
        }
        first = rebuild(environment)
        again = rebuild(environment)
        found, messages = asyncio.run(compare(url))
    is_equal = found == wanted and messages == count
    outcome = "equal" if is_equal else "DIFFER"
    known = again.answer["known"]
    figures = {
        "rebuilt": first.answer["rebuilt"],
        "missing": count - first.answer["rebuilt"],
        "differ": 0 if is_equal else 1,
        "not_waiting": count - messages,
        "per_second": count / first.seconds,
        "again_per_second": count / again.seconds,
    }
    write_figures(options.json, figures)
    lines = [
        f"{datetime.now(UTC):%F}, load {load:.1f} at the start; objects put in {filled:.0f} s",
        "| | seconds | rows/s | processor time, s |",
        "| --- | --- | --- | --- |",
        _row("an empty database", first, count),
        _row("again", again, count),
        f"rebuilt {first.answer['rebuilt']}, then known {known}; all rows {outcome}",
        f"{messages} messages wait",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if is_equal and first.answer["rebuilt"] == count else 1


if __name__ == "__main__":
    sys.exit(main())
