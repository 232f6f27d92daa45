"""
What the server and a gate worker say to each other over their socket.

Frames with a head of 13 bytes.

Kind, number of the file, length, payload; big-endian. The server sends OPEN, FEED, FEED_FILE and
FINISH, the worker one DONE or a REFUSED, ACCEPTED, FAILED, UNREADABLE for each, in the same order:
so the oldest unanswered frame is what it works on. POLICY and CLOSE, which cost nothing, are not
answered: nobody waits for them, and no file is to blame for them.
"""

import struct
from enum import IntEnum
from typing import Final

HEAD: Final = struct.Struct(">BQI")
MAX_PAYLOAD_BYTES: Final = 1 << 20
PIECE: Final = struct.Struct(">QI")
"""Of FEED_FILE: where in the file the next bytes begin, and how many they are; the path follows."""


class Kind(IntEnum):
    """What a frame is."""

    POLICY = 0
    """
    JSON: `schemas`, the listed ones by file name, or null for any, and `limits`.

    The first frame of a connection.
    """
    OPEN = 1
    FEED = 2
    FINISH = 3
    CLOSE = 4
    DONE = 5
    REFUSED = 6
    """JSON: the findings, each with its message and remedy."""
    ACCEPTED = 7
    """JSON: the result."""
    FAILED = 8
    """The worker ran out of memory."""
    FEED_FILE = 9
    """The worker reads the next bytes itself: to copy them through the socket costs more."""
    UNREADABLE = 10
    """It could not."""


def head(kind: Kind, number: int, length: int) -> bytes:
    """The head of a frame."""
    return HEAD.pack(kind, number, length)
