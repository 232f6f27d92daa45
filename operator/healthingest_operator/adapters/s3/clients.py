"""S3 clients, one for each login: creating one costs more than a dozen of its requests."""

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession

from healthingest_contract.tls import TlsMaterial
from healthingest_operator.adapters.tls import context_of
from healthingest_operator.reconcile.ports import StoreAccess

MOST_CLIENTS: Final = 16
"""Maximum number of open clients; each has some hundred kilobytes and its own connections."""

_Login = tuple[str | None, str, str, str, TlsMaterial]


def _session_class(tls: TlsMaterial) -> type[AIOHTTPSession]:
    """Return the class of the HTTP session; with a bundle, only its authorities are trusted."""
    if tls.ca_bundle is None:
        return AIOHTTPSession  # type: ignore[no-any-return] # aiobotocore has no types
    context = context_of(tls)

    class _TrustingSession(AIOHTTPSession):  # type: ignore[misc] # aiobotocore has no types
        def _build_verify_context(self) -> ssl.SSLContext:
            return context

    return _TrustingSession


@dataclass(slots=True)
class _Client:
    client: Any
    stack: AsyncExitStack
    users: int = 0
    used_at: float = 0.0


class Clients:
    """Clients that stay open between requests; the least recently used ones are closed."""

    def __init__(self, timeout_seconds: float) -> None:
        self._session = AioSession()
        self._config = AioConfig(
            connect_timeout=timeout_seconds,
            read_timeout=timeout_seconds,
            retries={"total_max_attempts": 1},
            # The adapter sends checksums itself, because many stores refuse botocore's trailing
            # checksum.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        self._clients: dict[_Login, _Client] = {}

    @asynccontextmanager
    async def of(self, access: StoreAccess) -> AsyncIterator[Any]:
        """Return a client with this login."""
        login = (
            access.endpoint,
            access.region,
            access.access_key_id,
            access.secret_access_key,
            access.tls,
        )
        entry = self._clients.get(login)
        if entry is None:
            stack = AsyncExitStack()
            entry = _Client(await stack.enter_async_context(self._made(access)), stack)
            if login in self._clients:  # another task created it meanwhile
                await stack.aclose()
                entry = self._clients[login]
            self._clients[login] = entry
        entry.users += 1
        try:
            yield entry.client
        finally:
            entry.users -= 1
            entry.used_at = time.monotonic()
            await self._close_down_to(MOST_CLIENTS)

    async def close(self) -> None:
        """Close the clients that are not in use."""
        await self._close_down_to(0)

    async def _close_down_to(self, most: int) -> None:
        idle = [login for login, entry in self._clients.items() if not entry.users]
        idle.sort(key=lambda login: self._clients[login].used_at)
        surplus = idle[: max(0, len(self._clients) - most)]
        for stack in [self._clients.pop(login).stack for login in surplus]:
            await stack.aclose()

    def _made(self, access: StoreAccess) -> Any:  # noqa: ANN401 - botocore creates the class
        return self._session.create_client(
            "s3",
            endpoint_url=access.endpoint,
            region_name=access.region,
            aws_access_key_id=access.access_key_id,
            aws_secret_access_key=access.secret_access_key,
            config=self._config.merge(
                AioConfig(
                    s3={"addressing_style": "path" if access.endpoint else "auto"},
                    http_session_cls=_session_class(access.tls),
                )
            ),
        )
