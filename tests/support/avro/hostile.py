"""
Malicious files, each with the code of its refusal.

They are generated, never kept as opaque bytes.
"""

from dataclasses import dataclass
from functools import cache

from avrogate import Code
from support.avro import wrong_data, wrong_framing, wrong_schemas


@dataclass(frozen=True, slots=True)
class Hostile:
    """An invalid file and the code of its refusal."""

    name: str
    file: bytes
    code: Code


@cache
def hostile_files() -> tuple[Hostile, ...]:
    """Return all files; names are unique."""
    parts = (
        wrong_framing.headers(),
        wrong_schemas.schemas(),
        wrong_schemas.names(),
        wrong_schemas.structures(),
        wrong_framing.blocks(),
        wrong_framing.codecs(),
        wrong_data.values(),
        wrong_data.collections(),
        wrong_data.logical(),
    )
    return tuple(Hostile(*entry) for part in parts for entry in part)
