"""
Measures the bytes of a row in each table, on PostgreSQL.

It fills a migrated database with rows that are as long as usual ones, and divides the size of each
table, with its indexes, by their number.
"""

import argparse
import asyncio
import time

from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.migrate import migrate
from support.many_rows import bytes_per_row, fill
from support.results import add_json_option, write_figures
from support.servers.postgres import postgres_server

_TIMEOUT_SECONDS = 3600.0


async def measure(url: str, rows: int) -> dict[str, float | None]:
    """Print and return the bytes of a row for each table."""
    await migrate(url, timeout_seconds=_TIMEOUT_SECONDS)
    async with open_engine(url, pool_size=1, timeout_seconds=_TIMEOUT_SECONDS) as engine:
        began = time.monotonic()
        await fill(engine, rows)
        print(f"{rows:,} rows a table, filled in {time.monotonic() - began:.0f} s")
        found: dict[str, float | None] = {**await bytes_per_row(engine)}
    for table, size_bytes in found.items():
        print(f"{table:20} {size_bytes:8.0f}")
    return found


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    add_json_option(parser)
    options = parser.parse_args()
    with postgres_server() as server, server.database() as url:
        write_figures(options.json, asyncio.run(measure(url, options.rows)))


if __name__ == "__main__":
    main()
