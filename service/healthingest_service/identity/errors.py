"""
The errors of authentication, registration and rate limits.

`api/problems.py` maps them to HTTP status and problem code. No error contains a password, a token,
an e-mail address, or the message of a library.
"""

from enum import StrEnum


class MailFailure(StrEnum):
    """The reason why a mail was not sent."""

    UNREACHABLE = "unreachable"
    """The server did not answer in time, or closed the connection."""
    TLS = "tls"
    """The certificate was refused, or the server has no TLS."""
    CREDENTIALS = "credentials"
    """The server refused user name or password."""
    REJECTED = "rejected"
    """The server refused the sender or the mail, or refused the recipient for now."""
    NOT_SUPPORTED = "not-supported"
    """The server lacks an extension, such as STARTTLS, or SMTPUTF8 for the address."""
    FOLDER = "folder"
    """The folder of mails cannot be written."""


class IdentityError(Exception):
    """The base class of all errors of identity."""


class UnauthenticatedError(IdentityError):
    """The request has no credential."""


class InvalidTokenError(IdentityError):
    """The token is unknown, expired or revoked; the error does not say which."""


class InvalidCredentialsError(IdentityError):
    """The account is unknown, the password wrong, or the account may not log in."""


class ProviderNotFoundError(IdentityError):
    """No identity provider with this URL offers sign-in."""


class RedirectUriError(IdentityError):
    """The redirect URI is not one of those of the identity provider's settings."""


class InvalidAuthorizationCodeError(IdentityError):
    """The identity provider refused the code, or its ID token is not for this sign-in."""


class GroupMissingError(IdentityError):
    """The user has none of the groups at the identity provider that the settings require."""


class WrongPasswordError(IdentityError):
    """The current password, which a change of the account requires, is wrong."""


class LastAdministratorError(IdentityError):
    """The account is the last administrator, so it cannot be closed."""


class SessionNotFoundError(IdentityError):
    """The account has no such live session."""


class MissingScopeError(IdentityError):
    """The token does not have the required scope."""

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope


class TooManyTokensError(IdentityError):
    """The account has the maximum number of device tokens."""


class DeviceTokenNotFoundError(IdentityError):
    """The account or the study has no such device token."""


class TooManyCodesError(IdentityError):
    """The study has the maximum number of open enrolment codes."""


class InvalidEnrolmentCodeError(IdentityError):
    """The enrolment code is unknown, expired or used; the error does not say which."""


class BoundTokenError(IdentityError):
    """The token is for another study or subject than the request names."""


class RegistrationClosedError(IdentityError):
    """Clients cannot register in this installation."""


class AccountExistsError(IdentityError):
    """An account with this e-mail address exists."""


class UnacceptablePasswordError(IdentityError):
    """The password breaks a rule, which `reason` describes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidMailTokenError(IdentityError):
    """The token of a mail is unknown, expired or used; the error does not say which."""


class MailDisabledError(IdentityError):
    """The installation sends no mails."""


class MailError(IdentityError):
    """The base class of the errors of sending."""


class MailRefusedError(MailError):
    """The mail server refuses the recipient for good."""


class MailUnavailableError(MailError):
    """The mail was not sent, or no clear answer came."""

    def __init__(self, cause: MailFailure) -> None:
        super().__init__(cause)
        self.cause = cause


class RateLimitedError(IdentityError):
    """A rate limit is exceeded."""

    def __init__(self, rule: str, retry_after_seconds: int) -> None:
        super().__init__(rule)
        self.rule = rule
        self.retry_after_seconds = retry_after_seconds


class IdentityUnavailableError(IdentityError):
    """Accounts or sessions are not available now; repeating later is safe."""


class ProviderUnavailableError(IdentityUnavailableError):
    """An identity provider gave no usable answer; repeating later is safe."""


class PasswordQueueFullError(IdentityUnavailableError):
    """Too many passwords wait to be hashed."""


class LimiterUnavailableError(IdentityError):
    """The shared counters did not answer within their deadline."""
