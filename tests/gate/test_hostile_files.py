"""Malicious files: each is refused with its code, by both forms, with limited work."""

import pytest

from avrogate import Code, Policy
from avrogate.codecs import PIECE_BYTES
from support.avro.hostile import hostile_files
from support.avro.pure import pure
from support.avro.validating import codes
from support.avro.working import calls_of, memory_of

MOST_CALLS = 5_000_000
"""Function calls: 100,000 blocks, the most that a file may have, take half of it."""
MOST_MEMORY_BYTES = 16 << 20
pytestmark = pytest.mark.timeout(
    300
)  # a guard against hanging; the first test that needs the files generates them


def test_there_are_hundreds_of_them() -> None:
    """There are at least two hundred, and each has its own name."""
    names = [hostile.name for hostile in hostile_files()]
    assert len(names) >= 200
    assert len(set(names)) == len(names)


def test_each_is_refused_with_its_code() -> None:
    """The installed form refuses them, fed at once or in small chunks."""
    wrong = []
    for hostile in hostile_files():
        found = codes(hostile.file)[-1:]
        again = codes(hostile.file, chunk=1 if len(hostile.file) < 2000 else 4096)[-1:]
        if not found == again == [hostile.code]:
            wrong.append((hostile.name, hostile.code, found, again))
    assert wrong == []


def test_none_costs_more_work_than_a_file_may() -> None:
    """
    Counted are calls, steps, inflated bytes and blocks.

    No file exceeds the budget for its size.
    """
    policy = Policy()
    costly = []
    for hostile in hostile_files():
        cost = calls_of(hostile.file)
        size = len(hostile.file)
        most_steps = policy.max_steps + size * policy.max_steps_per_byte + 4 * PIECE_BYTES
        most_bytes = policy.max_inflated_bytes + size * policy.max_inflated_per_byte + PIECE_BYTES
        if (
            cost.calls > MOST_CALLS
            or cost.work.steps > most_steps
            or cost.work.inflated_bytes > most_bytes
            or cost.work.blocks > policy.max_blocks
            or cost.work.fed_bytes > size
        ):
            costly.append((hostile.name, cost))
    assert costly == []


@pytest.mark.long
def test_none_needs_much_memory() -> None:
    """Counted is the peak of allocated memory in addition to the file: header, pieces, window."""
    large = {hostile.name: memory_of(hostile.file).peak_bytes for hostile in hostile_files()}
    assert {name: size for name, size in large.items() if size > MOST_MEMORY_BYTES} == {}


def test_the_interpreted_form_says_the_same() -> None:
    """Both forms give the same code for each file."""
    other = pure()
    assert not other.compiled
    differing = []
    for hostile in hostile_files():
        if "more doubles than fit" in hostile.name or hostile.name.startswith("costly"):
            continue  # the interpreted form takes minutes for millions of records
        try:
            other.check([hostile.file], other.Policy())
        except other.RefusedError as refused:
            if refused.findings[-1].code == hostile.code:
                continue
        differing.append(hostile.name)
    assert differing == []


def test_every_code_but_those_of_policies_has_an_example() -> None:
    """Codes without an example file have one in the tests of policies and of reader schemas."""
    shown = {hostile.code for hostile in hostile_files()}
    elsewhere = {
        Code.RECORD_TYPE_NOT_ALLOWED,
        Code.SCHEMA_NOT_ALLOWED,
        Code.CALENDAR_RANGE,
        *(code for code in Code if code.startswith("reader_")),
    }
    assert set(Code) - shown == elsewhere
