"""Key and metadata of an object tell everything about its upload."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from healthingest_service.studies.model import Pseudonym, StudySlug
from healthingest_service.uploads.model import Sha256, StoredObject, UploadState
from healthingest_service.uploads.object_metadata import object_metadata, upload_of
from support.studies import subject
from support.uploads import NOON, upload

NEW = replace(upload(b"content"), received_at=NOON.replace(microsecond=123_456))
STORED = StoredObject(7, NEW.receipt.file_hash, object_metadata(NEW))


def test_an_upload_is_read_back() -> None:
    """As it was, with the time of its object as the time of storing."""
    read = upload_of(NEW.receipt.object_key, STORED, stored_at=NOON)
    assert read == replace(NEW, state=UploadState.STORED, stored_at=NOON)


def test_an_upload_about_a_subject_is_read_back() -> None:
    """With study, subject and account; its key has the id of the subject."""
    about = subject()
    new = upload(b"content", about=about)
    stored = StoredObject(7, new.receipt.file_hash, object_metadata(new))
    assert str(about.id) in new.receipt.object_key
    assert str(new.owner) not in new.receipt.object_key
    read = upload_of(new.receipt.object_key, stored, stored_at=NOON)
    assert read == replace(new, state=UploadState.STORED, stored_at=NOON)


def test_metadata_fits_into_two_kilobytes() -> None:
    """The longest names that the gate and the API accept."""
    receipt = replace(NEW.receipt, correlation_id="c" * 64, record_count=2**63 - 1)
    longest = replace(
        NEW,
        receipt=receipt,
        schema_name="s" * 1024,
        study=StudySlug("s" * 40),
        subject=Pseudonym("p" * 64),
    )
    sent = object_metadata(longest).items()
    assert sum(len(name) + len(value) for name, value in sent) <= 1500


def _without(name: str) -> Callable[[], StoredObject]:
    return lambda: replace(
        STORED, metadata={key: value for key, value in STORED.metadata.items() if key != name}
    )


def _with(**changed: str) -> Callable[[], StoredObject]:
    changes = {name.replace("_", "-"): value for name, value in changed.items()}
    return lambda: replace(STORED, metadata={**STORED.metadata, **changes})


@pytest.mark.parametrize(
    "stored",
    [
        *(_without(name) for name in STORED.metadata),
        _with(upload_id="1"),
        _with(record_count="many"),
        _with(received_at="yesterday"),
        _with(received_at="2026-03-01T12:00:00"),
        _with(received_at="2020-01-01T00:00:00+00:00"),
        lambda: replace(STORED, sha256=Sha256("0" * 64)),
        lambda: StoredObject(7, None),
    ],
)
def test_a_contradiction_is_refused(stored: Callable[[], StoredObject]) -> None:
    """Missing or damaged metadata, another time than the key's, other bytes."""
    with pytest.raises(ValueError, match=r"\w"):
        upload_of(NEW.receipt.object_key, stored(), stored_at=NOON)
