"""Whole files: framing, codecs, chunks."""

import zlib

import pytest

from avrogate import Code, Finding, Gate, Policy, RefusedError, ValidationResult
from support.avro.encoding import (
    CODECS,
    SYNC,
    block,
    compress,
    double,
    file_of,
    header,
    items,
    long,
    one,
    record,
    text,
)
from support.avro.reference import count_records
from support.avro.validating import codes, findings, validate
from support.avro.working import memory_of, work_of

READING = {
    "type": "record",
    "name": "Reading",
    "namespace": "clinic.records",
    "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "rate", "type": "int"},
        {"name": "value", "type": ["null", "double"], "default": None},
        {"name": "tags", "type": {"type": "map", "values": "string"}},
        {"name": "samples", "type": {"type": "array", "items": "long"}},
        {"name": "raw", "type": "bytes"},
    ],
}


def _reading(number: int) -> bytes:
    value = long(1) + double(number / 3) if number % 2 else long(0)
    samples = items(*(long(number - n) for n in range(number % 5)), sized=number % 3 == 0)
    return (
        long(1_700_000_000_000 + number)
        + long(-number)
        + value
        + items(text("k") + text("v"))
        + samples
        + text(b"x")
    )


def _file(codec: str, records: int = 500, per_block: int = 100) -> bytes:
    blocks = [
        (per_block, b"".join(_reading(number) for number in range(first, first + per_block)))
        for first in range(0, records, per_block)
    ]
    return file_of(READING, blocks, codec)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("chunk", [0, 1, 7, 1000])
def test_a_correct_file_passes_with_its_true_counts(codec: str, chunk: int) -> None:
    """For every codec and every division into chunks."""
    result = validate(_file(codec), chunk=chunk)
    assert result == ValidationResult(
        record_type="Reading",
        schema_name="clinic.records.Reading",
        schema_fingerprint=result.schema_fingerprint,
        codec=codec,
        block_count=5,
        record_count=500,
    )


def test_a_file_without_blocks_is_correct() -> None:
    """Its result has no records."""
    assert validate(header(READING)).record_count == 0


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("chunk", [0, 1, 17])
def test_blocks_of_no_records_pass_anywhere(codec: str, chunk: int) -> None:
    """Avro for C++, goavro, Event Hubs Capture and BigQuery write such blocks."""
    full = block(2, compress(codec, _reading(1) + _reading(2)))
    for nothing in (block(0, b""), block(0, compress(codec, b""))):
        for blocks in (
            [nothing],
            [nothing, full],
            [full, nothing],
            [full, nothing, nothing, full],
            [nothing] * 300,
        ):
            file = header(READING, codec) + b"".join(blocks)
            result = validate(file, chunk=chunk)
            assert (result.block_count, result.record_count) == (
                len(blocks),
                2 * blocks.count(full),
            )
            assert count_records(file) == result.record_count


@pytest.mark.parametrize("codec", CODECS)
def test_a_block_of_no_records_holds_no_bytes(codec: str) -> None:
    """Inflated bytes of such a block are refused, even if records of the schema take no bytes."""
    empty = {"type": "record", "name": "R", "fields": []}
    for schema in (READING, empty):
        assert codes(header(schema, codec) + block(0, compress(codec, b"\0"))) == [
            Code.DATA_LEFT_OVER
        ]


def test_empty_blocks_are_counted_as_blocks() -> None:
    """A million of them are refused by name, after the work for the allowed number."""
    nothing = header(READING) + block(0, b"") * 1_000_000
    code, work = work_of(nothing)
    assert code is Code.TOO_MANY_BLOCKS
    assert (work.blocks, work.steps, work.inflated_bytes) == (100_000, 0, 0)
    assert work.fed_bytes < 2_000_000


def test_a_block_may_be_as_large_as_the_policy_says() -> None:
    """The default allows hundreds of MiB without memory; the finding has the limit."""
    large = one("bytes", text(bytes(80 << 20)))
    assert validate(large, chunk=1 << 16).record_count == 1
    for codec in CODECS:
        cost = memory_of(one("bytes", text(bytes(40 << 20)), codec))
        assert (cost.code, cost.work.inflated_bytes) == (None, (40 << 20) + 4)
        assert cost.peak_bytes < 16 << 20  # the window of xz is eight MiB
        (found,) = findings(one("bytes", text(b"x" * 5000), codec), Policy(max_block_bytes=8))
        assert (found.code, found.limit) == (Code.BLOCK_TOO_LARGE, 8)
        (found,) = findings(
            one("bytes", text(b"x" * 5000), codec), Policy(max_inflated_block_bytes=4000)
        )
        assert found.code in {Code.BLOCK_INFLATES_TOO_LARGE, Code.LENGTH_BEYOND_BLOCK}


def test_the_codec_may_be_left_out() -> None:
    """Without `avro.codec` the codec is "null"."""
    assert validate(header(record("int"), None) + block(1, long(5))).codec == "null"


@pytest.mark.parametrize("codec", CODECS)
def test_every_truncation_is_refused(codec: str) -> None:
    """Except between two blocks, where the format cannot show that something is missing."""
    blocks = [(2, _reading(n) + _reading(n + 1)) for n in range(2)]
    whole = file_of(READING, blocks, codec)
    parts = [block(count, compress(codec, data)) for count, data in blocks]
    complete = {len(whole), len(whole) - len(parts[1]), len(whole) - len(parts[1]) - len(parts[0])}
    assert {cut for cut in range(len(whole) + 1) if not codes(whole[:cut])} == complete


def test_wrong_values_are_gathered_over_blocks() -> None:
    """Validation continues, so every invalid value has a finding with its place."""
    schema = record("boolean", "string")
    good = b"\x01" + text("a")
    wrong = b"\x07" + text(b"\xff")
    file = file_of(schema, [(3, good + wrong + good), (1, wrong)])
    start = file.index(SYNC) + len(SYNC) + 2
    second = start + len(good * 2 + wrong) + len(SYNC) + 2
    assert findings(file) == (
        Finding(Code.BOOLEAN_INVALID, 0, 1, start + 3, "a"),
        Finding(Code.UTF8_INVALID, 0, 1, start + 4, "b"),
        Finding(Code.BOOLEAN_INVALID, 1, 0, second, "a"),
        Finding(Code.UTF8_INVALID, 1, 0, second + 1, "b"),
    )


def test_at_most_a_hundred_findings() -> None:
    """Validation ends at the hundredth finding."""
    assert len(findings(file_of(record("boolean"), [(500, b"\x02" * 500)]))) == 100


def test_what_was_known_before_the_refusal() -> None:
    """Type, fingerprint and whole blocks of a refused file are known, too."""
    gate = Gate(Policy())
    with pytest.raises(RefusedError):
        gate.feed(file_of(READING, [(1, _reading(1)), (1, b"")]))
    seen = gate.so_far()
    assert (seen.record_type, seen.codec, seen.block_count, seen.record_count) == (
        "Reading",
        "null",
        1,
        1,
    )


def test_deflate_may_leave_the_checksum_that_its_writers_leave() -> None:
    """
    Writers (fastavro, Apache's for Python) leave three bytes of Adler-32.

    Any other remainder is refused.
    """
    data = long(5)
    packed = compress("deflate", data)
    checksum = zlib.adler32(data).to_bytes(4, "big")
    refused = [
        extra
        for extra in (b"", checksum[:3], checksum, b"\x00", checksum[1:], checksum + b"\x00")
        if codes(header(record("int"), "deflate") + block(1, packed + extra))
    ]
    assert refused == [b"\x00", checksum[1:], checksum + b"\x00"]


def test_a_long_text_needs_no_memory_of_its_own() -> None:
    """A text of megabytes is validated in pieces. A wrong byte at its end is found."""
    long_text = "ä".encode() * 1_000_000
    assert validate(one("string", text(long_text)), chunk=65536).record_count == 1
    assert codes(one("string", text(long_text + b"\xff")), chunk=65536) == [Code.UTF8_INVALID]
    assert codes(one("string", text(long_text[:-1])), chunk=65536) == [Code.UTF8_INVALID]
