"""
The consumer kit: it gets each announced upload once, with its verified file.

It receives messages from a queue of RabbitMQ, drops repeats, and acknowledges a message after the
caller has done its work. See docs/how-to/connect-a-consumer.md.
"""

from healthingest_consumer.consumer import Consumer, Erasure, Upload
from healthingest_consumer.errors import (
    AlreadyProcessedError,
    ConsumerError,
    FileGoneError,
    FileMismatchError,
    FileUnavailableError,
    ProcessedUnavailableError,
    RecordsUnreadableError,
)
from healthingest_consumer.files import Files, HttpFiles
from healthingest_consumer.outcomes import HttpOutcomes, Outcomes
from healthingest_consumer.processed import MemoryProcessed, Processed, SqliteProcessed
from healthingest_consumer.queue import Queue

__all__ = [
    "AlreadyProcessedError",
    "Consumer",
    "ConsumerError",
    "Erasure",
    "FileGoneError",
    "FileMismatchError",
    "FileUnavailableError",
    "Files",
    "HttpFiles",
    "HttpOutcomes",
    "MemoryProcessed",
    "Outcomes",
    "Processed",
    "ProcessedUnavailableError",
    "Queue",
    "RecordsUnreadableError",
    "SqliteProcessed",
    "Upload",
]
