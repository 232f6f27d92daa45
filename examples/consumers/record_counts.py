"""
Counts the records of each subject and type in a SQLite database, with the consumer kit.

It processes each upload once, removes what was erased, and reports outcomes. It needs the package
`healthingest[consumer]` and fastavro, and two queues (`processing` and `erasures` by default).

    python record_counts.py --secret /etc/consumer --server https://ingest.example \
        --token /etc/token --database counts.sqlite
"""

import argparse
import asyncio
import sqlite3
from contextlib import aclosing
from pathlib import Path

from healthingest_consumer import (
    Consumer,
    FileGoneError,
    HttpFiles,
    HttpOutcomes,
    Queue,
    RecordsUnreadableError,
    SqliteProcessed,
    Upload,
)

TABLE = """
CREATE TABLE IF NOT EXISTS records (
    upload_id TEXT PRIMARY KEY, study TEXT, subject TEXT, record_type TEXT, records INTEGER
)
"""


def main() -> None:
    """Read the arguments and consume until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--secret", type=Path, required=True, help="the mounted Secret")
    parser.add_argument("--server", required=True, help="the address of the service")
    parser.add_argument("--token", type=Path, required=True, help="file with a device token")
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--queue", default="processing")
    parser.add_argument("--erasures", default="erasures", help="the queue of erasures")
    options = parser.parse_args()
    with sqlite3.connect(options.database) as database:
        database.execute(TABLE)
    asyncio.run(consume(options))


async def consume(options: argparse.Namespace) -> None:
    """Process uploads and erasures, one of each at a time."""
    url = (options.secret / "url").read_text().strip()
    token = options.token.read_text().strip()
    files = HttpFiles(options.server, token)
    outcomes = HttpOutcomes(options.server, token, consumer="record-counts")
    processed = SqliteProcessed(options.database)

    def consumer(queue: str) -> Consumer:
        return Consumer(Queue(url, queue), files=files, processed=processed, outcomes=outcomes)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(count_uploads(consumer(options.queue)))
        tasks.create_task(forget_erased(consumer(options.erasures)))


async def count_uploads(consumer: Consumer) -> None:
    """Write a row for each upload, in the transaction that remembers it."""
    async with aclosing(consumer.uploads()) as uploads:
        async for upload in uploads:
            try:
                count = await count_records(upload)
            except RecordsUnreadableError:
                upload.reject("unreadable")
                continue
            except FileGoneError:  # erased or lost, or not for this token
                upload.reject("file-gone")
                continue
            event = upload.event
            row = (event.idempotency_key, event.study, event.subject, event.record_type, count)
            async with upload.transaction() as database:
                database.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?)", row)


async def count_records(upload: Upload) -> int:
    """Read the records of a file."""
    count = 0
    async for _record in upload.records():  # a dict; here would be your analysis
        count += 1
    return count


async def forget_erased(consumer: Consumer) -> None:
    """Remove the row of each erased upload."""
    async with aclosing(consumer.erasures()) as erasures:
        async for erasure in erasures:
            async with erasure.transaction() as database:
                upload_id = str(erasure.event.upload_id)
                database.execute("DELETE FROM records WHERE upload_id = ?", (upload_id,))


if __name__ == "__main__":
    main()
