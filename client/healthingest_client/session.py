"""Sends requests to one server: tokens, deadlines and retries."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import httpx

from healthingest_client import provider_tokens
from healthingest_client.credentials import Tokens, TokenStore
from healthingest_client.documents import Json
from healthingest_client.errors import (
    ArgumentsError,
    ClientError,
    NotLoggedInError,
    ProblemError,
    UnreachableError,
)
from healthingest_client.pacing import Pacing
from healthingest_client.retries import Patience, RetryPolicy, may_repeat, retry_after_seconds

Sleep = Callable[[float], Awaitable[None]]
_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 120.0
"""Read timeout; the server validates and stores the whole file before it answers."""
_RENEWAL_POLICY: Final = RetryPolicy(patience_seconds=5.0, longest_wait_seconds=2.0)
"""A refresh token that is used again later than after ten seconds ends the session."""
_EARLY_SECONDS: Final = 30.0
"""A token is renewed so long before it ends, because a refused upload has sent its bytes."""
_NOTHING_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    A request. `body` makes the bytes of its content anew for each attempt.

    A call that is not repeatable is sent again only if it had certainly no effect.
    """

    method: str
    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    document: object = None
    form: Mapping[str, str] | None = None
    body: Callable[[], AsyncIterator[bytes]] | None = None
    is_repeatable: bool = True
    needs_token: bool = True


class Session:
    """
    The connections to one server, with the tokens of one account.

    Its methods raise `NotLoggedInError`, `UnreachableError` or `ProblemError`.
    """

    def __init__(
        self,
        server: str,
        tokens: TokenStore,
        *,
        policy: RetryPolicy,
        sleep: Sleep,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self.server = _checked(server)
        self.tokens = tokens
        self.policy = policy
        self.sleep = sleep
        timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        self.http = httpx.AsyncClient(timeout=timeout, transport=transport)
        self._renewal = asyncio.Lock()
        self._pacing = Pacing()

    async def close(self) -> None:
        """Close all connections."""
        await self.http.aclose()

    async def document(self, call: Call) -> Any:  # noqa: ANN401 - a document of the API
        """Send, with retries; return the JSON object of the answer, which is empty if it is not."""
        return json_of(await self.send(call))

    async def send(self, call: Call, policy: RetryPolicy | None = None) -> httpx.Response:
        """Send, with retries, and return the answer."""
        patience = Patience(policy or self.policy)
        while True:
            try:
                return await self.attempt(call)
            except ClientError as error:
                if not may_repeat(error, is_repeatable=call.is_repeatable):
                    raise
                await self.wait(patience, error)

    async def attempt(self, call: Call) -> httpx.Response:
        """Send once, or again with a renewed token if the first was not valid any more."""
        async with self.stream(call) as answer:
            await _read(answer, self.server)
            return answer

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[httpx.Response]:
        """Send as `attempt`, and yield the answer before its body is read."""
        tokens = await self._valid_tokens() if call.needs_token else None
        try:
            answer = await self._once(call, tokens)
        except ProblemError as error:
            # Not the code: an answer to `HEAD` has none.
            if error.status != HTTPStatus.UNAUTHORIZED or tokens is None:
                raise
            if tokens.refresh_token is None:
                raise
            answer = await self._once(call, await self._renewed(tokens))
        try:
            yield answer
        finally:
            await answer.aclose()

    async def wait(self, patience: Patience, error: ClientError) -> None:
        """
        Wait before the next attempt.

        Raises:
            ClientError: *error*, if waiting is of no use any more.
        """
        seconds = patience.wait_after(error)
        if seconds is None:
            raise error
        await self.sleep(seconds)

    def keep(self, answer: Mapping[str, Any]) -> None:
        """Store the tokens of a login or of a refresh (RFC 6749, 5.1)."""
        self.tokens.put(self.server, login_tokens(answer, time.time()))

    async def _once(self, call: Call, tokens: Tokens | None) -> httpx.Response:
        bearer = {} if tokens is None else {"Authorization": f"Bearer {tokens.access_token}"}
        request = self.http.build_request(
            call.method,
            f"{self.server}{call.path}",
            params=dict(call.params) or None,
            headers={**call.headers, **bearer},
            json=call.document,
            data=None if call.form is None else dict(call.form),
            content=None if call.body is None else call.body(),
        )
        try:
            answer = await self._paced(request)
        except httpx.TransportError as error:
            raise unreachable(self.server, error) from error
        if not answer.is_success:
            try:
                await _read(answer, self.server)
            finally:
                await answer.aclose()
            raise problem_of(answer)
        return answer

    async def _paced(self, request: httpx.Request) -> httpx.Response:
        """Send a request, once the rate limits have room for it."""
        kind = f"{request.method} {'/'.join(request.url.path.split('/')[:3])}"
        wait = self._pacing.seconds_before(kind, time.monotonic())
        if wait:
            await self.sleep(wait)
        rules = self._pacing.sending(kind)
        try:
            answer = await self.http.send(request, stream=True)
        finally:
            self._pacing.ended(rules)
        self._pacing.answered(kind, answer.headers.get("RateLimit", ""), time.monotonic())
        return answer

    async def _valid_tokens(self) -> Tokens:
        tokens = self.tokens.get(self.server)
        if tokens is None:
            message = f"not logged in at {self.server}: run `healthingest login`"
            raise NotLoggedInError(message)
        is_over = tokens.expires_at is not None and tokens.expires_at - _EARLY_SECONDS < time.time()
        if is_over and tokens.refresh_token is not None:
            return await self._renewed(tokens)
        return tokens

    async def _renewed(self, old: Tokens) -> Tokens:
        """Return new tokens in place of *old*; another task or process may have got them first."""
        async with self._renewal:
            kept = self.tokens.get(self.server)
            if kept is not None and kept != old:
                return kept
            new = await self._exchanged(old)
            self.tokens.put(self.server, new)
            return new

    async def _exchanged(self, old: Tokens) -> Tokens:
        if old.token_endpoint is not None:
            return await provider_tokens.renewed(self.http, old)
        call = Call(
            method="POST",
            path="/auth/jwt/refresh",
            document={"refresh_token": old.refresh_token},
            needs_token=False,
        )
        try:
            answer = json_of(await self.send(call, _RENEWAL_POLICY))
        except ProblemError as error:
            if error.code != "invalid-token":
                raise
            message = f"the session at {self.server} has ended: run `healthingest login`"
            raise NotLoggedInError(message) from error
        return login_tokens(answer, time.time())


def path_of(*segments: str) -> str:
    """
    Return the path of these segments.

    Raises:
        ArgumentsError: a segment would make it another path, such as that of the whole study.
    """
    for segment in segments:
        if segment in {"", ".", ".."}:
            message = f"{segment!r} is no name or id"
            raise ArgumentsError(message)
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def login_tokens(answer: Mapping[str, Any], now: float) -> Tokens:
    """Return the tokens of a login's answer; *now* is in seconds since 1970."""
    lifetime = answer.get("expires_in")
    return Tokens(
        access_token=answer["access_token"],
        refresh_token=answer.get("refresh_token"),
        expires_at=None if lifetime is None else now + float(lifetime),
    )


def unreachable(server: str, error: httpx.TransportError) -> UnreachableError:
    """Return the error of a request that got no answer."""
    message = f"{server} does not answer ({type(error).__name__})"
    return UnreachableError(message, was_sent=not isinstance(error, _NOTHING_SENT))


def problem_of(answer: httpx.Response) -> ProblemError:
    """Return the problem in an answer that is no success."""
    asked = retry_after_seconds(answer.headers.get("Retry-After"), datetime.now(UTC))
    return ProblemError(answer.status_code, json_of(answer), retry_after_seconds=asked)


def json_of(answer: httpx.Response) -> Json:
    """Return the JSON object of an answer; it is empty if the answer has none."""
    try:
        body = answer.json() if answer.content else {}
    except ValueError:  # the page of a proxy, not a response of the service
        body = {}
    return body if isinstance(body, dict) else {}


async def _read(answer: httpx.Response, server: str) -> None:
    try:
        await answer.aread()
    except httpx.TransportError as error:
        raise unreachable(server, error) from error


def _checked(server: str) -> str:
    """
    Return the address of a server without a slash at its end.

    Raises:
        ArgumentsError: it is no address.
    """
    try:
        url = httpx.URL(server)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in {"http", "https"} or not url.host:
        message = f"{server}: the address of a server begins with https:// and its name"
        raise ArgumentsError(message)
    return server.rstrip("/")
