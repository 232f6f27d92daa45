"""
Measures how fast the audit log is chained and verified, on PostgreSQL.

It inserts events as the API does, but many in one transaction, chains them with the janitor's use
case, and verifies them with the command's use case. A changed row must be found.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.audit import DatabaseAuditLog, audit_values
from healthingest_service.adapters.database.audit_tables import AuditEventRow
from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.migrate import migrate
from healthingest_service.adapters.folder_anchors import FolderAnchors
from healthingest_service.audit.chaining import ChainEvents
from healthingest_service.audit.verification import VerifyChain
from support.audit import event
from support.servers.postgres import postgres_server
from support.uploads import NOON, Clock

_BATCH: Final = 5000
_TIMEOUT_SECONDS: Final = 600.0
_SIZE: Final = "SELECT pg_total_relation_size('audit_event') + pg_total_relation_size('audit_link')"


async def insert_events(engine: AsyncEngine, count: int) -> None:
    """Insert *count* events."""
    for first in range(0, count, _BATCH):
        numbers = range(first, min(first + _BATCH, count))
        values = [
            audit_values(event(number, at=NOON + timedelta(seconds=number))) for number in numbers
        ]
        async with engine.begin() as connection:
            await connection.execute(insert(AuditEventRow), values)


async def measure(url: str, folder: Path, count: int) -> dict[str, float]:
    """Return counts, seconds and bytes."""
    await migrate(url, timeout_seconds=_TIMEOUT_SECONDS)
    async with open_engine(url, pool_size=2, timeout_seconds=_TIMEOUT_SECONDS) as engine:
        log = DatabaseAuditLog(engine, timeout_seconds=_TIMEOUT_SECONDS)
        anchors = FolderAnchors(folder)
        await insert_events(engine, count)
        chaining = ChainEvents(log, anchors, clock=Clock(), interval_seconds=1, anchor_seconds=0)
        began = time.monotonic()
        await chaining.chain_all()
        chained = time.monotonic()
        await chaining.anchor_if_due()
        verify = VerifyChain(log, anchors, clock=Clock())
        before = time.monotonic(), time.process_time()
        found = await verify()
        after = time.monotonic(), time.process_time()
        if (found.events, found.fault_count) != (count, 0):
            raise SystemExit(found)
        async with engine.begin() as connection:
            size_bytes = await connection.scalar(text(_SIZE))
            # The owner can give itself back what the migration took.
            await connection.execute(text("GRANT UPDATE ON audit_event TO CURRENT_USER"))
            await connection.execute(text("ALTER TABLE audit_event DISABLE TRIGGER append_only"))
            await connection.execute(
                text("UPDATE audit_event SET outcome = 'refused' WHERE number = :one"),
                {"one": count // 2},
            )
        if (await verify()).fault_count != 1:
            message = "the changed row was not found"
            raise SystemExit(message)
    return {
        "events": count,
        "chain_seconds": round(chained - began, 2),
        "verify_seconds": round(after[0] - before[0], 2),
        "verify_processor_seconds": round(after[1] - before[1], 2),
        "verified_per_second": round(count / (after[0] - before[0])),
        "load_average": round(os.getloadavg()[0], 1),
        "bytes_per_event": round(size_bytes / count, 1),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    count = parser.parse_args().count
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres_server() as server,
        server.role("password") as (name, url),
    ):
        server.execute(f"ALTER DATABASE {name} OWNER TO {name}")
        figures = asyncio.run(measure(url, Path(folder), count))
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
