"""
The same counts as `record_counts.py`, in a consumer that FastStream runs.

FastStream receives and acknowledges; of the consumer kit it uses the verified files and the memory
of processed uploads. It needs `healthingest[consumer]`, `faststream[rabbit]` and fastavro.

    python faststream_counts.py --secret /etc/consumer --server https://ingest.example \
        --token /etc/token --database counts.sqlite
"""

import argparse
import asyncio
import sqlite3
from pathlib import Path

from faststream import AckPolicy, FastStream
from faststream.exceptions import NackMessage
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue

from healthingest_consumer import (
    AlreadyProcessedError,
    FileGoneError,
    FileMismatchError,
    FileUnavailableError,
    HttpFiles,
    HttpOutcomes,
    ProcessedUnavailableError,
    RecordsUnreadableError,
    SqliteProcessed,
    Upload,
)
from healthingest_contract.events import UploadStored

TABLE = """
CREATE TABLE IF NOT EXISTS records (
    upload_id TEXT PRIMARY KEY, study TEXT, subject TEXT, record_type TEXT, records INTEGER
)
"""
AGAIN_SECONDS = 5.0
"""The pause before a message whose work was impossible is delivered again."""


def main() -> None:
    """Read the arguments and consume until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--secret", type=Path, required=True, help="the mounted Secret")
    parser.add_argument("--server", required=True, help="the address of the service")
    parser.add_argument("--token", type=Path, required=True, help="file with a device token")
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--queue", default="processing")
    options = parser.parse_args()
    with sqlite3.connect(options.database) as database:
        database.execute(TABLE)
    asyncio.run(FastStream(made_broker(options)).run())


def made_broker(options: argparse.Namespace) -> RabbitBroker:
    """Return a broker whose subscriber counts the records of each upload once."""
    token = options.token.read_text().strip()
    files = HttpFiles(options.server, token)
    outcomes = HttpOutcomes(options.server, token, consumer="faststream-counts")
    processed = SqliteProcessed(options.database)
    broker = RabbitBroker((options.secret / "url").read_text().strip())

    # The queue is the operator's, so it is not declared here. What raises goes to the dead letters.
    @broker.subscriber(
        RabbitQueue(options.queue, declare=False),
        channel=Channel(prefetch_count=1),
        ack_policy=AckPolicy.REJECT_ON_ERROR,
    )
    async def on_upload(message: RabbitMessage) -> None:
        event = UploadStored.from_bytes(message.body)
        if await processed.has(event.idempotency_key):
            return  # a repeat
        upload = Upload(
            event.idempotency_key, processed, event=event, files=files, outcomes=outcomes
        )
        try:
            await count(upload)
        except (FileUnavailableError, FileMismatchError, ProcessedUnavailableError) as error:
            await asyncio.sleep(AGAIN_SECONDS)
            raise NackMessage from error  # delivered again
        except (FileGoneError, RecordsUnreadableError):
            upload.reject("unreadable")
            raise
        finally:
            if upload.is_recorded or upload.is_rejected:
                await upload.report()

    return broker


async def count(upload: Upload) -> None:
    """Write a row for an upload, in the transaction that remembers it."""
    records = 0
    async for _record in upload.records():  # a dict; here would be your analysis
        records += 1
    event = upload.event
    row = (event.idempotency_key, event.study, event.subject, event.record_type, records)
    try:
        async with upload.transaction() as database:
            database.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?)", row)
    except AlreadyProcessedError:
        return  # another process was faster


if __name__ == "__main__":
    main()
