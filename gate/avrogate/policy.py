"""How much of everything a file may have, and which schemas. Sizes are in bytes."""

from dataclasses import dataclass

from avrogate.model import Schema

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Policy:
    """
    Limits of the gate; each has a code of its own.

    `record_types` allows short or full names, `fingerprints` exact writer schemas, `readers`
    whatever one of them can read; None and () allow everything.
    """

    max_header_bytes: int = MIB
    max_metadata_entries: int = 64
    max_schema_bytes: int = MIB // 4
    max_schema_depth: int = 64
    max_schema_nodes: int = 5_000
    max_name_characters: int = 256
    max_decimal_precision: int = 1_000
    """Readers take time that grows with the square of it."""
    max_expansion: int = 20_000
    """Schema nodes that a reader visits for one datum of a record without reading a byte."""
    max_blocks: int = 100_000
    """Each costs some microseconds of its own, and the least one has 19 bytes."""
    max_block_bytes: int = 512 * MIB
    max_inflated_block_bytes: int = 512 * MIB
    """
    No codec keeps a whole block, so neither costs memory.

    At most 2 GiB: the walker multiplies it by a count.
    """
    max_inflated_bytes: int = 512 * MIB
    """Of the whole file..."""
    max_inflated_per_byte: int = 4
    """
    ...and so many more for each byte of the file as it is written.

    Large may be large, small no bomb.
    """
    max_window_bytes: int = 8 * MIB
    """
    Of zstandard.

    RFC 8878, 3.1.1.1.2, recommends decoders to support 8 MB, and encoders not to need more.
    """
    max_xz_memory_bytes: int = 80 * MIB
    """`xz -9` needs 65 MiB to be read; only what is inflated is ever touched."""
    max_records: int = 50_000_000
    max_empty_records: int = 10_000
    """
    Records of a schema without a byte, such as one of nulls alone.

    Nothing else bounds their count.
    """
    max_datum_depth: int = 64
    """Records within records."""
    max_steps: int = 300_000_000
    """
    Of the walker, for the whole file: about a second of the most costly.

    Each value or branch is one...
    """
    max_steps_per_byte: int = 4
    """...and so many more for each byte of the file as it is written."""
    max_findings: int = 100
    calendar_years_only: bool = False
    """
    Refuse dates and timestamps outside of the years 1 to 9999.

    The specification allows every number, and so does the default; many readers cannot show them.
    """
    records_only: bool = True
    record_types: frozenset[str] | None = None
    fingerprints: frozenset[str] | None = None
    readers: tuple[Schema, ...] = ()
