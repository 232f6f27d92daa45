"""Rules for registration, names and passwords. Pure."""

import unicodedata
from functools import cache
from typing import Final

from healthingest_service.identity.email_address import InvalidEmailError, normal_email
from healthingest_service.identity.errors import RegistrationClosedError, UnacceptablePasswordError
from healthingest_service.identity.model import Account, NewAccount, Registration

PASSWORD_MIN_CHARACTERS: Final = 8
PASSWORD_MAX_CHARACTERS: Final = 1024
"""Longer passwords are refused before hashing, which costs time (ASVS 5.0, 6.2)."""
_MIN_DIFFERENT_CHARACTERS: Final = 4
_BIDIRECTIONAL: Final = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""Characters that change the display order of other text (Unicode Standard Annex 9, 2)."""
_UNPRINTABLE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def normal_password(password: str) -> str:
    """
    Return *password* in Unicode normal form C.

    Keyboards may encode one letter in different ways (NIST SP 800-63B, 5.1.1.2).
    """
    return unicodedata.normalize("NFC", password)


def is_printable(name: str) -> bool:
    """Return whether *name* has no control characters and no text direction characters."""
    return not any(
        character in _BIDIRECTIONAL or unicodedata.category(character) in _UNPRINTABLE
        for character in name
    )


def admit_registration(new: NewAccount, policy: Registration) -> None:
    """
    Check a registration by a client.

    Raises:
        RegistrationClosedError: the policy does not allow registration.
        UnacceptablePasswordError: the password breaks a rule.
    """
    if policy is Registration.CLOSED:
        raise RegistrationClosedError
    admit_password(new)


def admit_password(new: NewAccount) -> None:
    """
    Check the password of a new account.

    Raises:
        UnacceptablePasswordError: the password breaks a rule.
    """
    reason = _objection(new)
    if reason is not None:
        raise UnacceptablePasswordError(reason)


def _objection(new: NewAccount) -> str | None:
    password = normal_password(new.password)
    if len(password) < PASSWORD_MIN_CHARACTERS:
        return f"shorter than {PASSWORD_MIN_CHARACTERS} characters"
    if len(password) > PASSWORD_MAX_CHARACTERS:
        return f"longer than {PASSWORD_MAX_CHARACTERS} characters"
    if len(set(password)) < _MIN_DIFFERENT_CHARACTERS:
        return f"fewer than {_MIN_DIFFERENT_CHARACTERS} different characters"
    if password.casefold().strip() in common_passwords():
        return "one of the most common passwords"
    if _is_address(password, new.email):
        return "the e-mail address, or the part before its @"
    return None


def _is_address(password: str, email: str) -> bool:
    if password.casefold() == email.partition("@")[0]:
        return True
    try:
        return normal_email(password) == email
    except InvalidEmailError:
        return False


@cache
def common_passwords() -> frozenset[str]:
    """Return the 30,000 most common passwords in lower case, from the library zxcvbn."""
    # PLC0415: 0.5 MB, only for registration
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415

    return frozenset(FREQUENCY_LISTS["passwords"])


def may_log_in(account: Account, policy: Registration) -> bool:
    """Return whether the account may log in under *policy*."""
    return account.is_active and (account.is_verified or policy is not Registration.VERIFIED_ONLY)
