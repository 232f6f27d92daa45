"""The rule by which the erasure key is chosen."""

import base64

import pytest

from healthingest_operator.adapters.system import system_generators
from healthingest_operator.api.healthingest import parse
from healthingest_operator.resources.erasure_key import (
    KeyProblem,
    chosen_key,
    erasure_key_object,
    fingerprint_of,
    is_erasure_key,
)
from support.operator_fakes import erasure_key, manifest

OLD = erasure_key(1)
OTHER = erasure_key(2)
NEW = erasure_key(3)
KNOWN = fingerprint_of(OLD)


def test_a_key_is_32_random_bytes_in_base64() -> None:
    """Two of them differ, and an address or an environment variable can hold each."""
    make = system_generators().erasure_key
    first, second = make(), make()
    assert first != second
    assert len(base64.urlsafe_b64decode(first)) == 32
    assert is_erasure_key(first)


@pytest.mark.parametrize("text", [None, "", "x", OLD[:-2], OLD + "AAAA", "!" * 43, "é" * 43])
def test_anything_else_is_no_key(text: str | None) -> None:
    """Such as a truncated one."""
    assert not is_erasure_key(text)


def test_padding_does_not_matter() -> None:
    """A copy without it is the same key."""
    assert fingerprint_of(OLD.rstrip("=")) == KNOWN
    assert KNOWN not in {OLD, fingerprint_of(OTHER)}


@pytest.mark.parametrize(
    ("kept", "known", "confirmed", "expected"),
    [
        ((None, None), None, "", NEW),
        ((OLD, None), None, "", OLD),
        ((None, OLD), None, "", OLD),
        (("spoilt", OLD), KNOWN, "", OLD),
        ((OTHER, OLD), KNOWN, "", OLD),
        ((None, None), KNOWN, "", KeyProblem.MISSING),
        (("spoilt", None), KNOWN, "", KeyProblem.MISSING),
        ((OTHER, OTHER), KNOWN, "", KeyProblem.CHANGED),
        ((None, None), KNOWN, fingerprint_of(OTHER), KeyProblem.MISSING),
        ((None, None), KNOWN, KNOWN, NEW),
        ((OTHER, None), KNOWN, KNOWN, OTHER),
        ((OTHER, OLD), KNOWN, KNOWN, OLD),
    ],
)
def test_a_new_key_needs_a_first_use_or_a_confirmation(
    kept: tuple[str | None, ...], known: str | None, confirmed: str, expected: object
) -> None:
    """The known key is used wherever it is, and nothing else in its place."""
    assert chosen_key(kept, known, confirmed, lambda: NEW) == expected


def test_the_secret_outlives_its_owner() -> None:
    """It has no owner reference, so the garbage collector keeps it."""
    made = erasure_key_object(parse(manifest()), OLD)
    assert "ownerReferences" not in made["metadata"]
    assert made["metadata"]["name"] == "clinic-erasure-key"
