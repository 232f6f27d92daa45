"""Arrays of one plain type are read in one loop, with the same result as value by value."""

import pytest

from avrogate import Code
from support.avro.encoding import block, double, header, items, long, record
from support.avro.pure import pure
from support.avro.validating import codes, validate

ITEMS = {"double": double(1.5), "long": long(-300), "int": long(2**31 - 1), "float": bytes(4)}
COUNTS = (1, 2, 3, 4, 40)


def _file(type_: str, *blocks: bytes, records: int = 1) -> bytes:
    """Return records of a list and a long, which show if a list was read too short or too long."""
    schema = record({"type": "array", "items": type_}, "long")
    return header(schema) + block(records, (b"".join(blocks) + long(7)) * records)


@pytest.mark.parametrize("sized", [False, True])
@pytest.mark.parametrize("type_", ITEMS)
def test_any_number_of_items_is_read_to_its_end(type_: str, *, sized: bool) -> None:
    """The counts are right for one block or several, for any chunks, and in both forms."""
    other = pure()
    for count in COUNTS:
        several = [items(*[ITEMS[type_]] * count, sized=sized)[:-1] for _ in range(3)]
        file = _file(type_, *several, long(0), records=3)
        for chunk in (1, 3, 11, 0):
            assert validate(file, chunk=chunk).record_count == 3
        assert other.check([file], other.Policy()).record_count == 3


@pytest.mark.parametrize("type_", ITEMS)
def test_an_item_too_few_is_missed(type_: str) -> None:
    """If the count is one too large, the data after the list is read as an item."""
    for count in COUNTS:
        file = _file(type_, long(count + 1), ITEMS[type_] * count, long(0))
        assert set(codes(file)) & {Code.DATA_CUT_OFF, Code.ITEM_COUNT_WRONG, Code.DATA_LEFT_OVER}


@pytest.mark.parametrize("type_", ITEMS)
def test_an_item_too_many_is_found(type_: str) -> None:
    """If the count is one too small, the declared size in bytes does not match."""
    for count in COUNTS:
        data = ITEMS[type_] * (count + 1)
        assert codes(_file(type_, long(-count), long(len(data)), data, long(0))) == [
            Code.ITEMS_SIZE_WRONG
        ]


@pytest.mark.parametrize("type_", ITEMS)
def test_a_list_that_is_cut_off_is_refused(type_: str) -> None:
    """A file that is cut off at any byte of the list is refused."""
    schema = record({"type": "array", "items": type_})
    whole = items(*[ITEMS[type_]] * 9)
    for length in range(len(whole)):
        assert codes(header(schema) + block(1, whole[:length])), length
