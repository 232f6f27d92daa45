"""The errors of the client."""

from collections.abc import Mapping


class ClientError(Exception):
    """The base class of all errors of the client."""


class NotLoggedInError(ClientError):
    """There is no token for the server: log in first."""


class UnreachableError(ClientError):
    """The server did not answer; repeating an upload is safe."""


class ProblemError(ClientError):
    """The server answered with a problem (RFC 9457); `code` is the last part of its type."""

    def __init__(self, status: int, problem: Mapping[str, object]) -> None:
        self.status = status
        self.code = str(problem.get("type", "about:blank")).rpartition("/")[2]
        self.problem = problem
        super().__init__(f"{status} {self.code}: {problem.get('detail', '')}")
