"""The limits of the gate, and the schemas that it allows. Sizes are in bytes."""

from dataclasses import dataclass

from avrogate.model import Schema

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Policy:
    """
    Limits and allowed schemas. Most limits have their own code.

    `record_types` allows short or full names; `fingerprints` allows exact writer schemas; `readers`
    allows every writer schema that one of them can read. None and () allow everything.
    """

    max_header_bytes: int = MIB
    max_metadata_entries: int = 64
    max_schema_bytes: int = MIB // 4
    max_schema_depth: int = 64
    max_schema_nodes: int = 5_000
    max_name_characters: int = 256
    max_decimal_precision: int = 1_000
    """The time of readers grows with the square of the precision."""
    max_expansion: int = 20_000
    """Schema nodes that a reader visits for one datum of a record without reading a byte."""
    max_blocks: int = 100_000
    """Each block costs some microseconds; the smallest has 19 bytes."""
    max_block_bytes: int = 512 * MIB
    max_inflated_block_bytes: int = 512 * MIB
    """
    Neither limit of a block costs memory, because no codec keeps a whole block.

    It is at most 2 GiB, because the walker multiplies it by a count.
    """
    max_inflated_bytes: int = 512 * MIB
    """The limit for the whole file, to which `max_inflated_per_byte` adds."""
    max_inflated_per_byte: int = 4
    """
    Inflated bytes that each byte of the compressed file adds to the limit.

    So a large file may inflate to much, and a small file cannot be a decompression bomb.
    """
    max_window_bytes: int = 8 * MIB
    """
    The window of zstandard.

    RFC 8878, 3.1.1.1.2, recommends that decoders support 8 MB, and encoders need no more.
    """
    max_xz_memory_bytes: int = 80 * MIB
    """Reading `xz -9` needs 65 MiB, of which only the inflated part is touched."""
    max_records: int = 50_000_000
    max_empty_records: int = 10_000
    """
    Records that take no bytes, such as records of nulls only.

    The size of the file does not limit their number.
    """
    max_datum_depth: int = 64
    """Nested records."""
    max_steps: int = 300_000_000
    """
    Steps of the walker for the whole file; each value or branch is one step.

    The default is about a second of the slowest steps. `max_steps_per_byte` adds to it.
    """
    max_steps_per_byte: int = 4
    """Steps that each byte of the compressed file adds to the limit."""
    max_findings: int = 100
    calendar_years_only: bool = False
    """
    Refuse dates and timestamps outside of the years 1 to 9999, which many readers cannot show.

    The specification allows every number, and so does the default.
    """
    records_only: bool = True
    record_types: frozenset[str] | None = None
    fingerprints: frozenset[str] | None = None
    readers: tuple[Schema, ...] = ()
