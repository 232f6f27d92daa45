"""Valid files of chosen sizes, for tests that send many bytes."""

import random
from pathlib import Path
from typing import Final

from support.samples import block, long, raw_file, record_of

_RECORD_BYTES: Final = 16 * 1024


def write_file(path: Path, size_bytes: int, seed: int) -> bytes:
    """Write a valid file of about *size_bytes*; another *seed* gives other bytes."""
    value = random.Random(seed).randbytes(_RECORD_BYTES)  # noqa: S311 - not secret
    record = long(len(value)) + value
    count = max(1, size_bytes // len(record))
    content = raw_file(record_of("bytes"), [block(1, record)] * count)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return content
