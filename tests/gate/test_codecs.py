"""The gate inflates as the codecs' own libraries do, whatever the pieces of input."""

import random
import zlib
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import avrogate.codecs
from avrogate import Code, Policy
from support.avro.pure import pure

MUTANTS = 4_000
SEED = 20_261
FORMS = (avrogate.codecs, pure().codecs)
DATA = st.one_of(
    st.binary(max_size=2_000),
    st.builds(
        lambda part, times: part * times, st.binary(min_size=1, max_size=40), st.integers(0, 20_000)
    ),
    st.builds(
        lambda seed, size: random.Random(seed).randbytes(size),  # noqa: S311 - data
        st.integers(),
        st.integers(0, 400_000),
    ),
)


def _snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data)) + zlib.crc32(data).to_bytes(4, "big")


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def _inflate(module: ModuleType, codec: str, pieces: Iterable[bytes]) -> bytes | str:
    """Return the inflated bytes, or the code of the refusal."""
    inflater: Any = module.inflaters(Policy())[codec]()
    out = []
    try:
        for piece in pieces:
            out.extend(inflater.feed(piece))
        out.extend(inflater.finish())
    except module.InflateError as error:
        return str(error.code)
    return b"".join(out)


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@given(data=DATA, size=st.integers(1, 70_000))
@settings(max_examples=60, deadline=None)
def test_snappy_comes_out_as_it_went_in(data: bytes, size: int) -> None:
    """Data of the snappy library is inflated in pieces of any size, by both forms."""
    packed = _snappy(data)
    pieces = _cut(packed, max(size, len(packed) // 200))
    assert _inflate(FORMS[0], "snappy", pieces) == data
    if len(data) < 50_000:
        assert _inflate(FORMS[1], "snappy", pieces) == data


def _mutants(write: Callable[[bytes], bytes]) -> Iterable[bytes]:
    random_ = random.Random(SEED)  # noqa: S311 - the same every time
    originals = [
        write(bytes(random_.choices(b"health", k=300)) + random_.randbytes(40)),
        write(b"abc" * 500),
        write(random_.randbytes(90)),
    ]
    for _ in range(MUTANTS):
        mutant = bytearray(random_.choice(originals))
        for _ in range(random_.randint(1, 3)):
            mutant[random_.randrange(len(mutant))] = random_.randrange(256)
        yield bytes(
            mutant[: random_.choice((len(mutant), len(mutant), random_.randrange(len(mutant))))]
        )


def test_snappy_is_refused_where_its_library_refuses() -> None:
    """For changed or cut streams, both forms give the result of the library."""
    for mutant in _mutants(lambda data: bytes(cramjam.snappy.compress_raw(data))):
        try:
            theirs: bytes | None = bytes(cramjam.snappy.decompress_raw(mutant))
        except cramjam.DecompressionError:
            theirs = None
        file = mutant + zlib.crc32(theirs or b"").to_bytes(4, "big")
        ours, interpreted = (_inflate(form, "snappy", _cut(file, 11)) for form in FORMS)
        assert ours == interpreted, (SEED, mutant.hex())
        assert (ours if isinstance(ours, bytes) else None) == theirs, (SEED, mutant.hex())
        assert ours != str(Code.CHECKSUM_WRONG), (
            SEED,
            mutant.hex(),
        )  # the library would have accepted it


def test_deflate_is_refused_where_zlib_refuses() -> None:
    """zlib-ng gives the result of zlib for every changed or cut stream."""
    for mutant in _mutants(_raw_deflate):
        theirs = zlib.decompressobj(-15)
        try:
            expected: bytes | None = theirs.decompress(mutant)
        except zlib.error:
            expected = None
        if not theirs.eof or theirs.unused_data:
            expected = None
        ours = _inflate(FORMS[0], "deflate", _cut(mutant, 13))
        assert (ours if isinstance(ours, bytes) else None) == expected, (SEED, mutant.hex())


@pytest.mark.parametrize("form", FORMS)
def test_snappy_that_looks_back_further_than_any_encoder_is_named(form: ModuleType) -> None:
    """The format allows it, but then the whole block would have to be kept in memory."""
    size = 400_000
    literal = b"\xf8" + (size - 1).to_bytes(3, "little") + bytes(size)
    far = b"\x07" + (size - 1).to_bytes(4, "little")  # two bytes, copied from nearly the beginning
    length = (size + 2) & 0x7F | 0x80, (size + 2) >> 7 & 0x7F | 0x80, (size + 2) >> 14
    file = bytes(length) + literal + far + bytes(4)
    assert _inflate(form, "snappy", [file]) == str(Code.COMPRESSED_WINDOW_TOO_LARGE)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "wrong", [b"\x80\x80\x80\x80\x10", b"\x80\x80\x80\x80\x80\x01", b"\xff" * 6]
)
def test_snappy_length_of_more_than_32_bits_is_refused(form: ModuleType, wrong: bytes) -> None:
    """It is refused before more bytes are read."""
    assert _inflate(form, "snappy", [wrong + bytes(8)]) == str(Code.COMPRESSED_INVALID)
