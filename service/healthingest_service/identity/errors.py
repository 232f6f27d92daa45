"""
The errors of authentication, registration and rate limits.

`api/problems.py` maps them to HTTP status and problem code. No error contains a password, a token,
an e-mail address, or the message of a library.
"""


class IdentityError(Exception):
    """The base class of all errors of identity."""


class UnauthenticatedError(IdentityError):
    """The request has no credential."""


class InvalidTokenError(IdentityError):
    """The token is unknown, expired or revoked; the error does not say which."""


class InvalidCredentialsError(IdentityError):
    """The account is unknown, the password wrong, or the account may not log in."""


class WrongPasswordError(IdentityError):
    """The current password, which a change of the account requires, is wrong."""


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
    """The account has no such device token."""


class RegistrationClosedError(IdentityError):
    """Clients cannot register in this installation."""


class AccountExistsError(IdentityError):
    """An account with this e-mail address exists."""


class UnacceptablePasswordError(IdentityError):
    """The password breaks a rule, which `reason` describes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RateLimitedError(IdentityError):
    """A rate limit is exceeded."""

    def __init__(self, rule: str, retry_after_seconds: int) -> None:
        super().__init__(rule)
        self.rule = rule
        self.retry_after_seconds = retry_after_seconds


class IdentityUnavailableError(IdentityError):
    """Accounts or sessions are not available now; repeating later is safe."""


class PasswordQueueFullError(IdentityUnavailableError):
    """Too many passwords wait to be hashed."""


class LimiterUnavailableError(IdentityError):
    """The shared counters did not answer within their deadline."""
