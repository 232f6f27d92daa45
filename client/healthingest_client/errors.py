"""What the client raises."""

from typing import Any


class ClientError(Exception):
    """Root of the tree."""


class NotLoggedInError(ClientError):
    """There is no token for this server."""


class UnreachableError(ClientError):
    """The server gave no answer; for an upload, sending it again is safe."""


class ProblemError(ClientError):
    """The server said no, as RFC 9457 lets it: `code` is the end of the problem's type."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("type", "about:blank")).rpartition("/")[2]
        self.problem = problem
        super().__init__(f"{status} {self.code}: {problem.get('detail', '')}")
