"""The Python client of the upload API, with one method for each route."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from healthingest_client.credentials import TokenFile, Tokens
from healthingest_client.errors import NotLoggedInError, ProblemError, UnreachableError

AVRO: Final = "application/avro"
_CHUNK_BYTES: Final = 256 * 1024
_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 120.0
"""Read timeout; the server validates and stores the whole file before it answers."""

Json = dict[str, Any]


class Client:
    """
    A client of one account at one server. Use it as a context manager.

    Tokens are stored in *tokens*, and refreshed when they have expired. The client retries nothing
    else; it is safe for the caller to upload a file again.

    Every method raises `NotLoggedInError`, `UnreachableError` or `ProblemError`.
    """

    def __init__(
        self, server: str, tokens: TokenFile, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._server = server.rstrip("/")
        self._tokens = tokens
        timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        self._http = httpx.Client(base_url=self._server, timeout=timeout, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def register(
        self, email: str, password: str, first_name: str | None = None, last_name: str | None = None
    ) -> Json:
        """Create an account, and return it as the server describes it."""
        account = {
            "email": email,
            "password": password,
            "first_name": first_name,
            "last_name": last_name,
        }
        return self._send("POST", "/auth/register", json=account)

    def login(self, email: str, password: str) -> None:
        """Log in, and store the tokens."""
        self._keep(
            self._send("POST", "/auth/jwt/login", data={"username": email, "password": password})
        )

    def logout(self) -> None:
        """End the session on the server, and remove its tokens."""
        self._authorized("POST", "/auth/jwt/logout")
        self._tokens.put(self._server, None)

    def upload(self, path: Path, *, idempotency_key: str | None = None) -> Json:
        """
        Upload a file, and return its receipt. The file is streamed, never held in memory.

        The file is read once before, for its digest. If its bytes change in transit, or on the disk
        meanwhile, the server refuses them.
        """
        headers = {
            "Content-Type": AVRO,
            "Content-Length": str(path.stat().st_size),
            "Content-Digest": _digest(path),
        }
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        return self._authorized("POST", "/v1/upload", headers=headers, file=path)

    def uploads(self, **filters: str | int) -> Iterator[Json]:
        """
        Yield all uploads of the account, newest first, page by page.

        *filters* are query parameters of the route, for example `record_type` or `state`.
        """
        cursor: str | None = None
        while True:
            query = filters if cursor is None else filters | {"cursor": cursor}
            page = self._authorized("GET", "/v1/uploads", params=query)
            yield from page["uploads"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def get_upload(self, upload_id: str) -> Json:
        """Return one upload with its state."""
        return self._authorized("GET", f"/v1/uploads/{upload_id}")

    # ANN401: httpx's own arguments
    def _authorized(self, method: str, path: str, **more: Any) -> Json:  # noqa: ANN401
        try:
            return self._send(method, path, tokens=self._kept(), **more)
        except ProblemError as error:
            if error.code != "invalid-token":
                raise
        self._keep(
            self._send(
                "POST", "/auth/jwt/refresh", json={"refresh_token": self._kept().refresh_token}
            )
        )
        return self._send(method, path, tokens=self._kept(), **more)

    def _send(
        self,
        method: str,
        path: str,
        *,
        tokens: Tokens | None = None,
        headers: dict[str, str] | None = None,
        file: Path | None = None,
        **more: Any,  # noqa: ANN401 - httpx's own arguments
    ) -> Json:
        bearer = {} if tokens is None else {"Authorization": f"Bearer {tokens.access_token}"}
        content = None if file is None else _chunks(file)
        try:
            answer = self._http.request(
                method, path, headers={**(headers or {}), **bearer}, content=content, **more
            )
        except httpx.TransportError as error:
            message = f"{self._server} does not answer ({type(error).__name__})"
            raise UnreachableError(message) from error
        body = _json(answer)
        if not answer.is_success:
            raise ProblemError(answer.status_code, body)
        return body

    def _kept(self) -> Tokens:
        tokens = self._tokens.get(self._server)
        if tokens is None:
            message = f"not logged in at {self._server}: run `healthingest login`"
            raise NotLoggedInError(message)
        return tokens

    def _keep(self, answer: Json) -> None:
        self._tokens.put(self._server, Tokens(answer["access_token"], answer["refresh_token"]))


def _digest(path: Path) -> str:
    """Return the value of `Content-Digest` (RFC 9530)."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    return f"sha-256=:{base64.b64encode(digest).decode()}:"


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _json(answer: httpx.Response) -> Json:
    try:
        body = answer.json() if answer.content else {}
    except ValueError:  # the page of a proxy, not a response of the service
        body = {}
    return body if isinstance(body, dict) else {}
