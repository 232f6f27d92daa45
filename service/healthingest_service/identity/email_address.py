"""The normal form of e-mail addresses, used to store, compare and count them. Pure."""

import unicodedata
from typing import Final

from email_validator import EmailNotValidError, validate_email

EMAIL_MAX_CHARACTERS: Final = 320
"""Longer texts are refused before parsing (RFC 3696, 3: 64 + 1 + 255)."""


class InvalidEmailError(ValueError):
    """The text is not an e-mail address. The message does not contain it."""


def normal_email(text: str) -> str:
    """
    Return the normal form of an address: NFC, lower case, the domain in Unicode.

    Two spellings of one mailbox have one normal form: `ADA@Clinic.example`, a domain in Punycode
    (`xn--…`) or in full-width letters, and letters that are composed or decomposed. A display name
    is refused.

    Raises:
        InvalidEmailError: *text* is not an e-mail address.
    """
    if len(text) > EMAIL_MAX_CHARACTERS:
        message = "too long"
        raise InvalidEmailError(message)
    try:
        address = validate_email(
            text.strip(), check_deliverability=False, allow_smtputf8=True, allow_display_name=False
        ).normalized
    except EmailNotValidError:
        message = "not an e-mail address"
        raise InvalidEmailError(message) from None
    return unicodedata.normalize("NFC", address.lower())
