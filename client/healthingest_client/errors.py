"""The errors of the client. None contains a secret, or a value of a file."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

_TEMPORARY: Final = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.LOCKED,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_TEMPORARY_CODES: Final = frozenset({"upload-in-flight", "body-incomplete"})


class ClientError(Exception):
    """The base class of all errors of the client."""


class ArgumentsError(ClientError):
    """An argument is not valid, or arguments do not fit together."""


class NotLoggedInError(ClientError):
    """There is no valid token for the server: log in first."""


class LoginRefusedError(ClientError):
    """The identity provider did not issue a token."""


class UnreachableError(ClientError):
    """
    The server gave no answer; repeating an upload is safe.

    `was_sent` is whether the server may have received the request.
    """

    def __init__(self, message: str, *, was_sent: bool = True) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class StillWaitingError(ClientError):
    """The awaited state was not reached in time."""


class FileChangedError(ClientError):
    """A file changed while it was uploaded: upload it again."""


class ContentMismatchError(ClientError):
    """Bytes are not those that their digest declares."""


class ProblemError(ClientError):
    """The server answered with a problem (RFC 9457); `code` is the last part of its type."""

    def __init__(
        self,
        status: int,
        problem: Mapping[str, object],
        *,
        retry_after_seconds: float | None = None,
    ) -> None:
        self.status = status
        self.code = str(problem.get("type", "about:blank")).rpartition("/")[2]
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{status} {self.code}: {problem.get('detail', '')}")

    @property
    def is_temporary(self) -> bool:
        """Whether the same request can succeed later."""
        return self.status in _TEMPORARY or self.code in _TEMPORARY_CODES
