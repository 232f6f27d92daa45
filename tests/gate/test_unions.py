"""Branches of a fixed size are read with their index; the result is that of value by value."""

import pytest

from avrogate import Code, Finding
from support.avro.encoding import SYNC, block, double, file_of, header, long, record, text
from support.avro.pure import pure
from support.avro.validating import codes, findings, validate

FIXED = {"type": "fixed", "name": "Three", "size": 3}
PAIR = {
    "type": "record",
    "name": "Pair",
    "fields": [{"name": "x", "type": "double"}, {"name": "y", "type": "float"}],
}
BRANCHES = ["null", "boolean", "double", FIXED, PAIR, "string", "long"]
VALUES = (b"", b"\x01", double(1.5), bytes(3), double(-1) + bytes(4), text("ab"), long(-300))
CUT = {Code.BLOCK_COUNT_WRONG, Code.DATA_CUT_OFF, Code.LENGTH_BEYOND_BLOCK}
SCHEMA = record(BRANCHES, "long", [*BRANCHES[:3], "int"])


def _record(number: int) -> bytes:
    """Return a record; the long between the unions shows if a branch was read wrongly."""
    first = number % len(BRANCHES)
    second = number % 3
    return long(first) + VALUES[first] + long(7) + long(second) + VALUES[second]


def test_each_branch_is_read_to_its_end() -> None:
    """The count is right for any chunks, and in both forms."""
    count = 3 * len(BRANCHES)
    file = header(SCHEMA) + block(count, b"".join(_record(number) for number in range(count)))
    for chunk in (1, 2, 3, 5, 11, 0):
        assert validate(file, chunk=chunk).record_count == count
    other = pure()
    assert other.check([file], other.Policy()).record_count == count


@pytest.mark.parametrize("number", range(len(BRANCHES)))
def test_a_branch_that_is_cut_off_is_refused(number: int) -> None:
    """A block that ends within the record, at any byte, is refused."""
    whole = _record(number)
    for length in range(len(whole)):
        assert set(codes(header(SCHEMA) + block(1, whole[:length]))) & CUT, length


def test_a_wrong_boolean_is_found() -> None:
    """Also as a branch; validation goes on behind it."""
    wrong = long(1) + b"\x02" + long(7) + long(1) + b"\x03"
    file = file_of(SCHEMA, [(3, _record(1) + wrong + _record(2))])
    at = file.index(SYNC) + len(SYNC) + 2 + len(_record(1))
    assert findings(file) == (
        Finding(Code.BOOLEAN_INVALID, 0, 1, at + 1, "a"),
        Finding(Code.BOOLEAN_INVALID, 0, 1, at + 4, "c"),
    )
