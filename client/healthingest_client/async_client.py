"""The asynchronous Python client of the upload API, with one method for each route."""

import asyncio
from types import TracebackType
from typing import Self

import httpx

from healthingest_client.account_calls import AccountCalls
from healthingest_client.credentials import TokenStore
from healthingest_client.file_upload import RESUMABLE_FROM_BYTES
from healthingest_client.retries import RetryPolicy
from healthingest_client.session import Session, Sleep
from healthingest_client.upload_calls import UploadCalls

_POLICY = RetryPolicy()


class AsyncClient(AccountCalls, UploadCalls):
    """
    A client of one account at one server. Use it as a context manager.

    Tokens are stored in *tokens*, and renewed before they expire. A request that got no clear
    answer is repeated by *policy*, if that is safe; `Retry-After` is respected. *sleep* waits.

    Every method raises `NotLoggedInError`, `UnreachableError` or `ProblemError`.
    """

    def __init__(  # noqa: PLR0913 - each has a default
        self,
        server: str,
        tokens: TokenStore,
        *,
        policy: RetryPolicy = _POLICY,
        resumable_from_bytes: int = RESUMABLE_FROM_BYTES,
        sleep: Sleep = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._session = Session(server, tokens, policy=policy, sleep=sleep, transport=transport)
        self._resumable_from_bytes = resumable_from_bytes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    @property
    def server(self) -> str:
        """The address of the server."""
        return self._session.server
