"""Rules of registration and of passwords. Pure."""

from typing import Final

from healthingest_service.identity.errors import RegistrationClosedError, UnacceptablePasswordError
from healthingest_service.identity.model import Account, NewAccount, Registration

PASSWORD_MIN_CHARACTERS: Final = 8
PASSWORD_MAX_CHARACTERS: Final = 1024
"""Longer ones are refused before any is hashed: hashing must not become the attacker's tool (ASVS 5.0, 6.2)."""


def normal_email(email: str) -> str:
    """The form in which addresses are stored and compared."""
    return email.strip().lower()


def admit_registration(new: NewAccount, policy: Registration) -> None:
    """
    Let a registration through.

    Raises:
        RegistrationClosedError, UnacceptablePasswordError: it breaks the policy, or the rules for passwords.
    """
    if policy is Registration.CLOSED:
        raise RegistrationClosedError
    admit_password(new)


def admit_password(new: NewAccount) -> None:
    """
    Let a password through, whoever makes the account.

    Raises:
        UnacceptablePasswordError: it breaks a rule.
    """
    if len(new.password) < PASSWORD_MIN_CHARACTERS:
        reason = f"shorter than {PASSWORD_MIN_CHARACTERS} characters"
        raise UnacceptablePasswordError(reason)
    if len(new.password) > PASSWORD_MAX_CHARACTERS:
        reason = f"longer than {PASSWORD_MAX_CHARACTERS} characters"
        raise UnacceptablePasswordError(reason)
    if normal_email(new.password) == new.email:
        reason = "the same as the e-mail address"
        raise UnacceptablePasswordError(reason)


def may_log_in(account: Account, policy: Registration) -> bool:
    """Whether this account may have tokens."""
    return account.is_active and (account.is_verified or policy is not Registration.VERIFIED_ONLY)
