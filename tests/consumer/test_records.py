"""Records come from verified files only."""

from collections.abc import AsyncIterator

import pytest

from healthingest_consumer.errors import FileMismatchError, RecordsUnreadableError
from healthingest_consumer.files import verified
from healthingest_consumer.records import records
from support.announcements import CONTENT, STORED, MemoryFiles
from support.samples import good_file


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    """Yield a file in pieces."""
    for start in range(0, len(content), 100):
        yield content[start : start + 100]


async def test_each_record_is_a_value() -> None:
    """In the order of the file, with the names of its schema."""
    found = [record async for record in records(chunks(good_file(250)))]
    assert len(found) == 250
    assert all(isinstance(name, str) for name in found[0])


@pytest.mark.parametrize(
    "content", [b"", b"not Avro", good_file(250)[:-30]], ids=["empty", "other", "cut"]
)
async def test_an_unreadable_file_says_nothing(content: bytes) -> None:
    """The error has no text, which could have contents, and no cause."""
    with pytest.raises(RecordsUnreadableError) as error:
        [record async for record in records(chunks(content))]
    assert (error.value.args, error.value.__cause__) == ((), None)


async def test_no_record_comes_from_other_bytes() -> None:
    """Than those that were announced."""
    changed = MemoryFiles({STORED.idempotency_key: CONTENT[:-1] + b"x"})
    with pytest.raises(FileMismatchError):
        [record async for record in records(verified(changed.read(STORED), STORED))]
