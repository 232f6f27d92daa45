"""
Why somebody is not let in. Free of HTTP: `api/problems.py` gives each one its status and code.

No error carries a password, a token, an e-mail address, or a library's text.
"""


class IdentityError(Exception):
    """Root of the tree."""


class UnauthenticatedError(IdentityError):
    """No credential was presented."""


class InvalidTokenError(IdentityError):
    """The credential is not one of ours, or no longer good. Which of the two is not told."""


class InvalidCredentialsError(IdentityError):
    """Unknown account, wrong password, or an account that may not log in: the three look alike."""


class MissingScopeError(IdentityError):
    """The credential does not allow this."""

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope


class RegistrationClosedError(IdentityError):
    """Nobody can make an account here by himself."""


class AccountExistsError(IdentityError):
    """An account with this e-mail address exists."""


class UnacceptablePasswordError(IdentityError):
    """The password breaks a rule; `reason` says which one, in our words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RateLimitedError(IdentityError):
    """Too many requests."""

    def __init__(self, rule: str, retry_after_seconds: int) -> None:
        super().__init__(rule)
        self.rule = rule
        self.retry_after_seconds = retry_after_seconds


class IdentityUnavailableError(IdentityError):
    """Who is asking cannot be told now; trying again later is safe."""


class PasswordQueueFullError(IdentityUnavailableError):
    """Too many passwords wait to be hashed."""


class LimiterUnavailableError(IdentityError):
    """The shared counters gave no answer within their deadline."""
