"""
Invalid headers, blocks and compressed data.

Each function yields names, files and the codes of their findings.
"""

import bz2
import lzma
import zlib
from collections.abc import Iterator
from typing import Final

import cramjam
from backports import zstd

from avrogate import Code
from support.avro.encoding import (
    CODECS,
    MAGIC,
    SYNC,
    block,
    compress,
    file_of,
    header,
    long,
    overlong,
    record,
    text,
    unsigned,
)

HUGE: Final = (2**40, 2**62, 2**63 - 1)
Entry = tuple[str, bytes, Code]


def headers() -> Iterator[Entry]:
    """Yield wrong magic, metadata and codec names."""
    good = header(record("int")) + block(1, long(1))
    schema = text("avro.schema") + text(b'{"type":"record","name":"R","fields":[]}')
    yield "nothing", b"", Code.MAGIC_WRONG
    for length in (1, 3, 4, 5, 20, 40, len(header(record("int"))) - 1):
        yield f"header of {length} bytes", good[:length], Code.HEADER_CUT_OFF
    for magic in (
        b"Obj\x02",
        b"Obj\x00",
        b"obj\x01",
        b"PK\x03\x04",
        b"\x00\x00\x00\x00",
        b"PAR1",
        b"\xef\xbb\xbfObj\x01",
    ):
        yield f"magic {magic!r}", magic + good[4:], Code.MAGIC_WRONG
    for count in HUGE:
        yield f"{count} metadata entries", MAGIC + long(count) + schema, Code.HEADER_CUT_OFF
        yield f"metadata key of {count} bytes", MAGIC + long(1) + long(count), Code.HEADER_TOO_LARGE
        yield (
            f"metadata value of {count} bytes",
            MAGIC + long(1) + text("k") + long(count),
            Code.HEADER_TOO_LARGE,
        )
    yield "least count of metadata", MAGIC + long(-(2**63)) + long(0) + schema, Code.HEADER_CUT_OFF
    yield "negative metadata key length", MAGIC + long(1) + long(-1), Code.METADATA_INVALID
    yield (
        "negative metadata value length",
        MAGIC + long(1) + text("k") + long(-5),
        Code.METADATA_INVALID,
    )
    yield (
        "false size of metadata",
        MAGIC + long(-1) + long(3) + schema + long(0) + SYNC,
        Code.METADATA_INVALID,
    )
    yield (
        "negative size of metadata",
        MAGIC + long(-1) + long(-3) + schema + long(0) + SYNC,
        Code.METADATA_INVALID,
    )
    yield (
        "metadata key not UTF-8",
        MAGIC + long(1) + text(b"\xff") + text(""),
        Code.METADATA_INVALID,
    )
    many = {f"k{number}": b"" for number in range(64)}
    yield "65 metadata entries", header(record("int"), None, more=many), Code.METADATA_TOO_MANY
    yield (
        "schema twice",
        MAGIC + long(2) + schema + schema + long(0) + SYNC,
        Code.METADATA_DUPLICATE,
    )
    yield (
        "key twice",
        MAGIC + long(2) + (text("k") + text("")) * 2 + long(0) + SYNC,
        Code.METADATA_DUPLICATE,
    )
    yield (
        "header over a mebibyte",
        header(record("int"), more={"k": bytes(1 << 20)}),
        Code.HEADER_TOO_LARGE,
    )
    yield (
        "no schema",
        MAGIC + long(1) + text("avro.codec") + text("null") + long(0) + SYNC,
        Code.SCHEMA_MISSING,
    )
    yield "no metadata", MAGIC + long(0) + SYNC, Code.SCHEMA_MISSING
    yield (
        "overlong metadata count",
        MAGIC + overlong(1) + schema + long(0) + SYNC,
        Code.VARINT_OVERLONG,
    )
    yield "endless metadata count", MAGIC + b"\xff" * 1000, Code.VARINT_TOO_LONG
    yield "metadata count of 65 bits", MAGIC + b"\xff" * 9 + b"\x02", Code.VARINT_TOO_LONG
    for codec in ("rot13", "Deflate", "", "NULL", "lz4", "zstd", "deflate\0", "ÿ"):
        yield (
            f"codec {codec!r}",
            header(record("int"), codec) + block(1, long(1)),
            Code.CODEC_UNSUPPORTED,
        )


def blocks() -> Iterator[Entry]:
    """Yield wrong counts, sizes and markers."""
    head = header(record("int"))
    schema = record("int")
    good = block(2, long(1) + long(2))
    yield "count 0", head + block(0, long(1) * 2), Code.DATA_LEFT_OVER
    for count in (-1, -2, -(2**63)):
        yield f"count {count}", head + block(count, long(1) * 2), Code.BLOCK_COUNT_WRONG
    yield "count beyond the bytes", head + block(50, long(1) * 5), Code.BLOCK_COUNT_WRONG
    yield "count that hides records", head + block(1, long(1) * 5), Code.DATA_LEFT_OVER
    yield (
        "more records than a file may have",
        head + block(50_000_001, long(1)),
        Code.TOO_MANY_RECORDS,
    )
    for size in (-1, -(2**63)):
        yield f"size {size}", head + block(1, long(1), size=size), Code.BLOCK_SIZE_WRONG
    for size in (2**30, *HUGE):
        yield f"size {size}", head + block(1, long(1), size=size), Code.BLOCK_TOO_LARGE
    yield "size one more", head + block(1, long(1), size=2), Code.DATA_LEFT_OVER
    yield "size one less", head + block(2, long(1) + long(2), size=1), Code.BLOCK_COUNT_WRONG
    yield "size zero", head + block(1, long(1), size=0), Code.BLOCK_COUNT_WRONG
    yield "another marker", head + block(1, long(1), sync=SYNC[::-1]), Code.SYNC_WRONG
    yield "no marker", head + block(1, long(1), sync=b""), Code.BLOCK_CUT_OFF
    yield "no marker between blocks", head + block(1, long(1), sync=b"") + good, Code.SYNC_WRONG
    yield "the header again", head + good + head + good, Code.BLOCK_COUNT_WRONG
    for tail, code in {
        b"\x00": Code.BLOCK_CUT_OFF,
        b"\x00" * 7: Code.BLOCK_CUT_OFF,
        b"\x00" * 18: Code.SYNC_WRONG,
        b"\n": Code.BLOCK_CUT_OFF,
        b"\x02": Code.BLOCK_CUT_OFF,
        b"\x80": Code.BLOCK_CUT_OFF,
        b"\x02\x02": Code.BLOCK_CUT_OFF,
        b"\xff" * 11: Code.VARINT_TOO_LONG,
        SYNC: Code.BLOCK_SIZE_WRONG,
    }.items():
        yield f"{tail!r} at the end", head + good + tail, code
    yield "overlong count", head + overlong(1) + long(1) + long(1) + SYNC, Code.VARINT_OVERLONG
    yield "overlong size", head + long(1) + overlong(1) + long(1) + SYNC, Code.VARINT_OVERLONG
    empty = {"type": "record", "name": "R", "fields": []}
    for name, nothing in {"empty": empty, "nulls": record("null", "null")}.items():
        yield (
            f"10,001 {name} records",
            header(nothing) + block(10_001, b""),
            Code.TOO_MANY_EMPTY_RECORDS,
        )
        yield f"2^40 {name} records", header(nothing) + block(2**40, b""), Code.TOO_MANY_RECORDS
        yield f"bytes in {name} records", header(nothing) + block(1, b"\x00"), Code.DATA_LEFT_OVER
    yield (
        "empty records in many blocks",
        header(empty) + block(6000, b"") * 2,
        Code.TOO_MANY_EMPTY_RECORDS,
    )
    yield "100,001 blocks", head + block(1, long(1)) * 100_001, Code.TOO_MANY_BLOCKS
    yield "a million blocks of nothing", head + block(0, b"") * 1_000_000, Code.TOO_MANY_BLOCKS
    yield "a block of nothing without marker", head + block(0, b"", sync=b""), Code.BLOCK_CUT_OFF
    yield (
        "a block of nothing and another marker",
        head + block(0, b"", sync=SYNC[::-1]),
        Code.SYNC_WRONG,
    )
    yield "count 0 of a negative size", head + block(0, b"", size=-1), Code.BLOCK_SIZE_WRONG
    yield "count 0 of a size too large", head + block(0, b"", size=2**30), Code.BLOCK_TOO_LARGE
    yield "a byte too few", file_of(schema, [(1, b"\x80")]), Code.DATA_CUT_OFF


def codecs() -> Iterator[Entry]:
    """Yield wrong input for the libraries of the codecs."""
    good = long(1)
    schema = record("int")
    for codec in CODECS[1:]:
        packed = compress(codec, good)
        yield f"{codec}: nothing", header(schema, codec) + block(1, b""), Code.COMPRESSED_CUT_OFF
        bare = packed if codec == "snappy" else packed[:-1]
        if codec == "snappy":
            bare = packed[:1] + packed[-4:]
        yield f"{codec}: cut off", header(schema, codec) + block(1, bare), Code.COMPRESSED_CUT_OFF
        yield f"{codec}: count too large", file_of(schema, [(2, good)], codec), Code.DATA_CUT_OFF
        yield (
            f"{codec}: count too small",
            file_of(schema, [(1, good * 2)], codec),
            Code.DATA_LEFT_OVER,
        )
        yield (
            f"{codec}: count 2^25",
            header(schema, codec) + block(2**25 * 1, packed),
            Code.DATA_CUT_OFF,
        )
        yield (
            f"{codec}: too large",
            header(schema, codec) + block(1, good, size=513 << 20),
            Code.BLOCK_TOO_LARGE,
        )
        yield (
            f"{codec}: count 0 hides a record",
            file_of(schema, [(0, good)], codec),
            Code.DATA_LEFT_OVER,
        )
        yield (
            f"{codec}: count 0 of garbage",
            header(schema, codec) + block(0, b"\xfe" * 64),
            Code.COMPRESSED_INVALID,
        )
        yield f"{codec}: empty content", file_of(schema, [(1, b"")], codec), Code.DATA_CUT_OFF
        garbage = header(schema, codec) + block(1, b"\xfe" * 64)
        yield f"{codec}: garbage", garbage, Code.COMPRESSED_INVALID
    deflated = compress("deflate", good)
    for tail in (b"\x00", b"abc", b"abcd", bytes(100), deflated):
        left = header(schema, "deflate") + block(1, deflated + tail)
        yield f"deflate: {tail!r} behind", left, Code.COMPRESSED_LEFT_OVER
    zlibbed = header(schema, "deflate") + block(1, zlib.compress(good))
    yield "deflate: zlib's frame", zlibbed, Code.COMPRESSED_INVALID
    yield (
        "bzip2: garbage behind",
        header(schema, "bzip2") + block(1, bz2.compress(good) + b"x" * 9),
        Code.COMPRESSED_INVALID,
    )
    yield (
        "xz: garbage behind",
        header(schema, "xz") + block(1, lzma.compress(good) + b"x" * 12),
        Code.COMPRESSED_INVALID,
    )
    behind = header(schema, "zstandard") + block(1, zstd.compress(good) + b"x" * 9)
    yield "zstandard: garbage behind", behind, Code.COMPRESSED_INVALID
    snappy = bytes(cramjam.snappy.compress_raw(good))
    yield (
        "snappy: wrong checksum",
        header(schema, "snappy") + block(1, snappy + bytes(4)),
        Code.CHECKSUM_WRONG,
    )
    yield (
        "snappy: no checksum",
        header(schema, "snappy") + block(1, snappy),
        Code.COMPRESSED_CUT_OFF,
    )
    for name, raw in {
        "copy from nowhere": b"\x05\x01\x05",
        "copy of offset 0": b"\x05\x00A\x01\x00",
        "more than it declares": b"\x01\x04AB",
        "less than it declares": b"\x09\x00A",
        "half an element behind": b"\x01\x00A\xfe",
        "length of 33 bits": b"\x80\x80\x80\x80\x10\x00A",
    }.items():
        code = (
            Code.COMPRESSED_CUT_OFF
            if name.startswith(("less", "half"))
            else Code.COMPRESSED_INVALID
        )
        yield f"snappy: {name}", header(schema, "snappy") + block(1, raw + bytes(4)), code
    for length in (513 << 20, 2**31, 2**32 - 1):
        declared = header(schema, "snappy") + block(1, unsigned(length) + b"\x00A" + bytes(4))
        yield f"snappy: declares {length}", declared, Code.BLOCK_INFLATES_TOO_LARGE
    many = {"bzip2": bz2.compress(b""), "zstandard": zstd.compress(b""), "xz": lzma.compress(b"")}
    for codec, nothing in many.items():
        streams = header(schema, codec) + block(1, nothing * 300)
        yield f"{codec}: 300 streams", streams, Code.COMPRESSED_TOO_MANY_STREAMS
    yield from _bombs()
    yield from _costly()
    window = zstd.CompressionParameter
    options: dict[int, int] = {window.window_log: 27, window.content_size_flag: 0}
    packer = zstd.ZstdCompressor(options=options)
    wide = packer.compress(good) + packer.flush()
    yield (
        "zstandard: window of 128 MiB",
        header(schema, "zstandard") + block(1, wide),
        Code.COMPRESSED_WINDOW_TOO_LARGE,
    )
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 28}]
    dictionary = lzma.compress(good, filters=filters)
    yield (
        "xz: dictionary of 256 MiB",
        header(schema, "xz") + block(1, dictionary),
        Code.COMPRESSED_WINDOW_TOO_LARGE,
    )


def _costly() -> Iterator[Entry]:
    """Yield valid files with too much data for their size."""
    tree = record({"type": "array", "items": "R"})
    count = 1 << 20
    branches = block(count, compress("zstandard", (long(3) + long(0) * 4) * count))
    yield (
        "costly: a forest in 70 kB",
        header(tree, "zstandard") + branches * 128,
        Code.TOO_MANY_STEPS,
    )
    frames = block(0, zstd.compress(b"") * 256)
    yield (
        "costly: frames of nothing",
        header(tree, "zstandard") + frames * 1000,
        Code.TOO_MANY_STEPS,
    )
    for codec, code in (("deflate", Code.FILE_INFLATES_TOO_LARGE), ("bzip2", Code.TOO_MANY_STEPS)):
        texts = block(100_000, compress(codec, text("üa" * 30) * 100_000))
        yield (
            f"costly: half a gibibyte of text in {codec}",
            header(record("string"), codec) + texts * 64,
            code,
        )


def _bombs() -> Iterator[Entry]:
    """Yield a MiB of zeros more than a block may have, compressed as small as possible."""
    over = 513
    for codec in ("zstandard", "bzip2", "xz"):  # several streams are one content
        zeros = compress(codec, bytes(4 << 20)) * (over // 4 + 1)
        for name, length, code in (
            ("a value over the limit", over << 20, Code.LENGTH_BEYOND_BLOCK),
            ("a bomb behind a value", 4 << 20, Code.DATA_LEFT_OVER),
        ):
            file = header(record("bytes"), codec) + block(1, compress(codec, long(length)) + zeros)
            yield f"{codec}: {name}", file, code
        pairs = header(record("double", "double"), codec) + block(32 << 20, zeros)
        code = (
            Code.TOO_MANY_STEPS if codec == "bzip2" else Code.BLOCK_INFLATES_TOO_LARGE
        )  # it is slow, and so costs
        yield f"{codec}: more doubles than fit", pairs, code
    pairs = header(record("double", "double"), "deflate") + block(32 << 20, _deflated_zeros(over))
    yield "deflate: more doubles than fit", pairs, Code.BLOCK_INFLATES_TOO_LARGE


def _deflated_zeros(mebibytes: int) -> bytes:
    """Return zeros whose compressed MiBs are equal, because each ends with a full flush."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packer.compress(bytes(1 << 20))
    packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * mebibytes + packer.flush()
