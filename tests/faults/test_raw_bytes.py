"""The search of raw bytes finds marks and hashes wherever a file can have them."""

import hashlib
import os
import random
from pathlib import Path

import pytest

from support.faults.people import CORRELATION, Sent, new_person
from support.faults.raw_bytes import found_below

PERSON = new_person(random.Random(1))  # noqa: S311 - a mark of a test
PERSON.sent.append(Sent(1, 0.0, 201))
OTHER = new_person(random.Random(2))  # noqa: S311 - a mark of a test
MARK = PERSON.mark.encode()
WANTED = {MARK} | PERSON.hashes()


@pytest.mark.parametrize("what", ["mark", "hex", "base64"])
def test_a_word_is_found_in_content(tmp_path: Path, what: str) -> None:
    """Of a file in a folder, between other bytes."""
    digest = hashlib.sha256(PERSON.content(1))
    base64 = next(one for one in PERSON.hashes() if one.endswith(b"="))
    word = {"mark": MARK, "hex": digest.hexdigest().encode(), "base64": base64}[what]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "page").write_bytes(b"\x00\x93" + word + b"\x00" + word)
    (tmp_path / "folder" / "other").write_bytes(b"\x00" + OTHER.mark.encode())
    assert found_below(tmp_path, WANTED) == {"folder/page": 2}


def test_a_mark_is_found_in_names_and_attributes(tmp_path: Path) -> None:
    """Of a folder and of an empty file."""
    (tmp_path / f"of-{PERSON.mark}").mkdir()
    file = tmp_path / "empty"
    file.touch()
    os.setxattr(file, "user.metadata", b"subject=" + MARK)
    assert found_below(tmp_path, WANTED) == {f"of-{PERSON.mark}": 1, "empty": 1}


def test_only_correlation_ids_and_folders_left_out_are_allowed(tmp_path: Path) -> None:
    """A mark after another letter is found."""
    allowed = CORRELATION.encode()
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "file").write_bytes(MARK)
    (tmp_path / "log").write_bytes(allowed + MARK + b" " + allowed + MARK)
    without = (tmp_path / "without",)
    assert found_below(tmp_path, WANTED, without=without, before=allowed) == {}
    (tmp_path / "log").write_bytes(b"d." + MARK)
    assert found_below(tmp_path, WANTED, without=without, before=allowed) == {"log": 1}
