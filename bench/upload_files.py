"""Generates files to upload: of any size, all different, without keeping them in memory."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import fastavro

from support.samples import SYNC, block, long

SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "WearableSample",
    "namespace": "bench.records",
    "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "device", "type": "string"},
        {"name": "heart_rate", "type": "int"},
        {"name": "temperature", "type": "double"},
        {
            "name": "motion",
            "type": {"type": "enum", "name": "Motion", "symbols": ["still", "walking", "running"]},
        },
        {"name": "glucose", "type": ["null", "double"]},
        {"name": "charging", "type": "boolean"},
    ],
}
_NUMBER: Final = b"number-000000000000"
_BLOCK_RECORDS: Final = 1300
"""About 64 kB, the block size of Avro's own writers."""


@dataclass(frozen=True, slots=True)
class UploadFile:
    """Yields pieces one after the other; `size_bytes` is their total."""

    size_bytes: int
    begin: bytes
    middle: bytes
    repeats: int
    end: bytes

    def pieces(self) -> Iterator[bytes]:
        """Return the whole file."""
        yield self.begin
        for _ in range(self.repeats):
            yield self.middle
        if self.end:
            yield self.end


def file_of(size_bytes: int, number: int, *, device: str = "watch-000001") -> UploadFile:
    """
    Return a valid file of nearly *size_bytes* with codec `null`, different for each *number*.

    The first block has one record, named after the number; the other blocks are equal. A longer
    *device* makes fewer records.
    """
    begin = _header() + _first_block().replace(_NUMBER, b"number-%012d" % number)
    middle = _block(_BLOCK_RECORDS, device)
    repeats, rest = divmod(max(size_bytes - len(begin), 0), len(middle))
    end = _block(rest * _BLOCK_RECORDS // len(middle), device) if rest > 1024 else b""
    size = len(begin) + repeats * len(middle) + len(end)
    return UploadFile(size, begin, middle, repeats, end)


@cache
def _first_block() -> bytes:
    return _block(1, _NUMBER.decode())


@cache
def _header() -> bytes:
    entries = {"avro.schema": json.dumps(SCHEMA).encode(), "avro.codec": b"null"}
    written = b"".join(
        long(len(key)) + key.encode() + long(len(value)) + value for key, value in entries.items()
    )
    return b"Obj\x01" + long(len(entries)) + written + long(0) + SYNC


@cache
def _block(records: int, device: str) -> bytes:
    data = io.BytesIO()
    for number in range(records):
        row = {
            "at": 1_700_000_000_000 + number * 1000,
            "device": device,
            "heart_rate": 45 + number % 145,
            "temperature": 35 + number % 40 / 10,
            "motion": ("still", "walking", "running")[number % 3],
            "glucose": 60.5 + number % 140 if number % 2 else None,
            "charging": number % 10 == 0,
        }
        fastavro.schemaless_writer(data, SCHEMA, row)
    return block(records, data.getvalue())
