"""
The protocol between the server and a worker of the gate.

A frame has a head of 13 bytes (kind, number of the file, length of the payload; big-endian) and a
payload. The worker answers each FEED, FEED_FILE and FINISH in their order, with DONE, REFUSED,
ACCEPTED, FAILED or UNREADABLE. If it stalls or crashes, the oldest unanswered frame is the cause.
POLICY, OPEN and CLOSE have no answer.
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple

HEAD: Final = struct.Struct(">BQI")
MAX_PAYLOAD_BYTES: Final = 1 << 20
PIECE: Final = struct.Struct(">QI")
"""The payload of FEED_FILE: offset and number of the next bytes; the path follows."""


class Kind(IntEnum):
    """The kinds of frames."""

    POLICY = 0
    """
    The first frame of a connection: JSON with `schemas` and `limits`.

    `schemas` has the allowed schemas by file name, or is null if any schema is allowed.
    """
    OPEN = 1
    FEED = 2
    FINISH = 3
    CLOSE = 4
    DONE = 5
    REFUSED = 6
    """JSON with the findings, each with message and remedy."""
    ACCEPTED = 7
    """JSON with the validation result."""
    FAILED = 8
    """The worker ran out of memory."""
    FEED_FILE = 9
    """The worker reads the next bytes from a file, which costs less than a copy on the socket."""
    UNREADABLE = 10
    """The worker could not read the file of FEED_FILE."""


ANSWERED: Final = frozenset({Kind.FEED, Kind.FEED_FILE, Kind.FINISH})
"""The kinds that the worker answers."""


class Answer(NamedTuple):
    """A frame of the worker; *number* is that of the file."""

    kind: int
    number: int
    payload: bytes


def head(kind: Kind, number: int, length: int) -> bytes:
    """Return the head of a frame."""
    return HEAD.pack(kind, number, length)


class Answers:
    """Splits what a worker sends into its answers."""

    def __init__(self) -> None:
        self._received = b""

    def split(self, data: bytes) -> list[Answer]:
        """Return the answers that are complete with *data*; the rest is kept."""
        received = self._received + data
        found = []
        begin = 0
        while (end := begin + HEAD.size) <= len(received):
            kind, number, length = HEAD.unpack_from(received, begin)
            if end + length > len(received):
                break
            found.append(Answer(kind, number, received[end : end + length]))
            begin = end + length
        self._received = received[begin:]
        return found
