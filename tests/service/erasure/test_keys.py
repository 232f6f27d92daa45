"""The keys that follow from the erasure key."""

import base64
import re
from dataclasses import replace

import pytest

from healthingest_service.erasure.errors import InvalidErasureKeyError
from healthingest_service.erasure.keys import ErasureKeys, new_key_text
from healthingest_service.studies.model import (
    HIDDEN_PATTERN,
    PSEUDONYM_PATTERN,
    Pseudonym,
    StudySlug,
)
from support.studies import SLUG, SUBJECT, subject
from support.uploads import owner, upload


@pytest.mark.parametrize(
    "text", ["", "x", "!" * 44, base64.b64encode(bytes(31)).decode(), "ä" * 44]
)
def test_other_texts_are_refused(text: str) -> None:
    """The message does not repeat the text."""
    with pytest.raises(InvalidErasureKeyError, match="32 bytes") as refused:
        ErasureKeys.from_text(text)
    assert not text or text not in str(refused.value)


def test_equal_texts_give_equal_keys() -> None:
    """Also without padding; another key gives other hashes, and nothing shows a key."""
    text = new_key_text()
    keys = ErasureKeys.from_text(text)
    same = ErasureKeys.from_text(text.rstrip("="))
    other = ErasureKeys.from_text(new_key_text())
    new = upload()
    assert keys.upload_hash(new) == same.upload_hash(new) != other.upload_hash(new)
    assert keys.mac(b"x") == same.mac(b"x") != other.mac(b"x")
    assert keys.has_mac(b"x", same.mac(b"x"))
    assert not keys.has_mac(b"y", keys.mac(b"x"))
    assert not keys.has_mac(b"x", "\u00e9")
    assert re.search("[0-9a-f]{16}", repr(keys)) is None


def test_an_upload_is_recognised_by_bytes_subject_and_study() -> None:
    """Neither time nor id nor uploader matter; the subject of a plain upload is its owner."""
    keys = ErasureKeys.from_text(new_key_text())
    about = subject()
    one = upload(about=about)
    assert keys.upload_hash(one) == keys.upload_hash(upload(about=about, of=owner()))
    others = [
        upload(b"other", about=about),
        upload(about=subject()),
        upload(),
        replace(one, study=StudySlug("other")),
    ]
    hashes = [keys.upload_hash(other) for other in [one, *others]]
    assert len(set(hashes)) == len(hashes)


def test_a_hidden_pseudonym_is_no_pseudonym() -> None:
    """No client can send it, it fits the column, and it differs by study."""
    keys = ErasureKeys.from_text(new_key_text())
    hidden = keys.hidden(SLUG, SUBJECT)
    assert re.fullmatch(PSEUDONYM_PATTERN, hidden) is None
    assert re.fullmatch(HIDDEN_PATTERN, hidden)
    assert len(hidden) <= 64
    assert hidden != keys.hidden(StudySlug("other"), SUBJECT)
    assert hidden != keys.hidden(SLUG, Pseudonym("other"))
