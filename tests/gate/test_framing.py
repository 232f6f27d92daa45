"""A single wrong byte in framing is found."""

from support.avro.encoding import MAGIC, SYNC, block, header, items, long, record, text
from support.avro.validating import codes

SCHEMA = record("string", {"type": "array", "items": "long"}, ["null", "boolean"])
RECORD = text("name") + items(long(9), long(300)) + long(1) + b"\x01"
"""The first item is 9: with 1, a longer text would leave another valid array, unnoticed."""


def _framed() -> tuple[bytes, list[int]]:
    """
    Return a file of two blocks, and the positions of its framing.

    These are all bytes but the schema, metadata keys and values.
    """
    head = header(SCHEMA)
    blocks = block(2, RECORD * 2) + block(1, RECORD)
    first = len(head)
    heads = [first, first + 1]
    second = first + 2 + len(RECORD) * 2 + len(SYNC)
    heads += [second, second + 1]
    syncs = [
        *range(second - len(SYNC), second),
        *range(len(head + blocks) - len(SYNC), len(head + blocks)),
    ]
    schema_key = head.index(b"avro.schema") - 1
    schema_value = schema_key + 12
    places = [
        *range(len(MAGIC)),
        len(MAGIC),
        schema_key,
        schema_value,
        schema_value + 1,
        first - len(SYNC) - 1,
    ]
    inside = (
        first + 2
    )  # of the first record: length of the text, count and end of the array, branch
    places += [inside, inside + 5, inside + 9, inside + 10]
    return head + blocks, places + heads + syncs + list(range(first - len(SYNC), first))


def _wrong(changed: bytes) -> bool:
    return bool(codes(changed))


def test_any_changed_byte_of_framing_is_found() -> None:
    """Each position with each other value."""
    file, places = _framed()
    assert not codes(file)
    passed = [
        (place, byte)
        for place in places
        for byte in range(256)
        if byte != file[place] and not _wrong(file[:place] + bytes([byte]) + file[place + 1 :])
    ]
    assert passed == []


def test_any_dropped_byte_of_framing_is_found() -> None:
    """Each position."""
    file, places = _framed()
    assert [place for place in places if not _wrong(file[:place] + file[place + 1 :])] == []


def test_any_added_byte_is_found() -> None:
    """Each value before each position."""
    file, places = _framed()
    passed = [
        (place, byte)
        for place in places
        for byte in range(256)
        if not _wrong(file[:place] + bytes([byte]) + file[place:])
    ]
    assert passed == []
