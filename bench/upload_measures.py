"""Measures upload servers: rates in alternating rounds, processor time, memory."""

import os
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from processes import MIB, processor_seconds, resident_bytes, watching
from upload_client import Burst, Connection, burst
from upload_files import UploadFile, file_of
from upload_servers import Server

MB: Final = 1_000_000
LARGE_BYTES: Final = 50 * MB
SMALL_BYTES: Final = 20_000
CLIENTS: Final = 16
_FILES_A_TURN: Final = 3


@dataclass
class Series:
    """The measured rounds of one server."""

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Return the median."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        return f"{self.median:8.1f}  ({min(self.values):.1f} to {max(self.values):.1f})"


@dataclass
class Large:
    """Measure files of 50 MB: MB/s, and milliseconds of processor time for each."""

    rate: Series = field(default_factory=Series)
    processor_ms: Series = field(default_factory=Series)


def large(servers: Sequence[Server], rounds: int, numbers: Iterator[int]) -> dict[str, Large]:
    """Measure one upload after the other on one connection, each server in turn."""
    found = {server.target.name: Large() for server in servers}
    for server in servers:
        _send(server, [file_of(LARGE_BYTES, next(numbers))])  # workers start with the first file
    for _ in range(rounds):
        for server in servers:
            files = [file_of(LARGE_BYTES, next(numbers)) for _ in range(_FILES_A_TURN)]
            os.sync()  # so that no server writes back what an earlier one has left
            before = _all_processor_seconds(server)
            began = time.monotonic()
            _send(server, files)
            seconds = time.monotonic() - began
            used = _all_processor_seconds(server) - before
            found[server.target.name].rate.values.append(
                sum(file.size_bytes for file in files) / MB / seconds
            )
            found[server.target.name].processor_ms.values.append(used * 1000 / len(files))
    return found


def _send(server: Server, files: Sequence[UploadFile]) -> None:
    with Connection(server.target.port) as connection:
        for file in files:
            status = connection.upload(server.target, file)
            assert status == 201, (server.target.name, status)


@dataclass
class Small:
    """
    Measure files of 20 kB: uploads a second, and the 99th percentile in milliseconds.

    `processor_ms` is the processor time of the server's own processes for each upload, in
    milliseconds.
    """

    rate: Series = field(default_factory=Series)
    p99_ms: Series = field(default_factory=Series)
    processor_ms: Series = field(default_factory=Series)
    statuses: dict[int, int] = field(default_factory=dict)


def small(
    servers: Sequence[Server], rounds: int, seconds: float, numbers: Iterator[int]
) -> dict[str, Small]:
    """Measure sixteen clients at once, each server in turn."""
    found = {server.target.name: Small() for server in servers}
    for server in servers:
        _small_burst(server, 1.0, numbers)
    for _ in range(rounds):
        for server in servers:
            os.sync()
            before = _all_processor_seconds(server)
            seen = _small_burst(server, seconds, numbers)
            used = _all_processor_seconds(server) - before
            into = found[server.target.name]
            into.rate.values.append(seen.per_second)
            into.p99_ms.values.append(seen.percentile(0.99) * 1000)
            into.processor_ms.values.append(used * 1000 / len(seen.each_seconds))
            for status, count in seen.statuses.items():
                into.statuses[status] = into.statuses.get(status, 0) + count
    return found


def _small_burst(server: Server, seconds: float, numbers: Iterator[int]) -> Burst:
    def make(number: int) -> UploadFile:
        return file_of(SMALL_BYTES, number)

    targets = [one.target for one in server.all]
    return burst(targets, make, clients=CLIENTS, seconds=seconds, numbers=numbers)


def _all_processor_seconds(server: Server) -> float:
    return sum(processor_seconds(process_id) for process_id in server.process_ids)


def memory_per_upload(server: Server, at_once: int, numbers: Iterator[int]) -> float:
    """Return the MiB that each of *at_once* uploads of 50 MB adds to the server's peak."""
    _send(server, [file_of(LARGE_BYTES, next(numbers)) for _ in range(2)])
    idle = resident_bytes(server.process_id)
    with watching(server.process_id) as peak:
        threads = [
            threading.Thread(target=_send, args=(server, [file_of(LARGE_BYTES, next(numbers))]))
            for _ in range(at_once)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return (peak.bytes - idle) / MIB / at_once
