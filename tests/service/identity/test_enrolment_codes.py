"""Enrolment codes: their form, their check, and the token that a repetition gets."""

from string import ascii_uppercase, digits
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthingest_service.identity.device_tokens import derived_device_token, is_device_token
from healthingest_service.identity.enrolment_codes import (
    new_code,
    normal_code,
    qr_payload,
    token_seed,
)

CODE = new_code()


def test_a_code_has_four_groups() -> None:
    """And no letter that looks like a digit."""
    groups = CODE.split("-")
    assert [len(group) for group in groups] == [5, 5, 5, 5]
    assert set("".join(groups)) <= set(digits + ascii_uppercase) - set("ILOU")
    assert new_code() != CODE


@pytest.mark.parametrize(
    "typed",
    [CODE.lower(), CODE.replace("-", ""), CODE.replace("-", " "), CODE.replace("0", "o"), CODE],
    ids=["lower case", "no groups", "spaces", "letters", "as shown"],
)
def test_a_typed_code_is_understood(typed: str) -> None:
    """As people type it."""
    assert normal_code(typed) == CODE.replace("-", "")


@given(st.integers(0, 19), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_one_wrong_character_is_noticed(place: int, character: str) -> None:
    """Without a query, wherever it is."""
    code = CODE.replace("-", "")
    typed = code[:place] + character + code[place + 1 :]
    assert normal_code(typed) == (code if typed == code else None)


@given(st.integers(0, 18))
def test_two_characters_that_changed_places_are_noticed(place: int) -> None:
    """Beside each other."""
    code = CODE.replace("-", "")
    typed = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    assert normal_code(typed) == (code if typed == code else None)


@pytest.mark.parametrize(
    "text",
    ["", "-", CODE[:-1], CODE + "0", "U" * 20, "é" * 20, "ß" * 20],
    ids=["empty", "no characters", "too short", "too long", "letter U", "accents", "sharp s"],
)
def test_other_texts_are_no_codes(text: str) -> None:
    """Also those that change their length in upper case."""
    assert normal_code(text) is None


def test_a_token_belongs_to_code_and_key() -> None:
    """Both decide on its text, which has the form of every token."""
    first = derived_device_token(token_seed(CODE, "key"))
    assert is_device_token(first)
    assert first == derived_device_token(token_seed(CODE, "key"))
    assert first != derived_device_token(token_seed(CODE, "yek"))
    assert first != derived_device_token(token_seed(new_code(), "key"))


def test_the_qr_text_names_the_server() -> None:
    """If it is known."""
    fields = parse_qs(urlsplit(qr_payload(CODE, "https://ingest.example")).query)
    assert fields == {"code": [CODE], "server": ["https://ingest.example"]}
    assert qr_payload(CODE, None) == f"healthingest:enrol?code={CODE}"
