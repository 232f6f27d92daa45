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
from botocore.credentials import Credentials

from healthingest_contract.pod_identity import KeySource, PodIdentity
from healthingest_contract.tls import TlsMaterial
from healthingest_operator.adapters.s3.pod_identity import (
    Exchange,
    discard_expired,
    identity_session,
)
from healthingest_operator.adapters.tls import context_of
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import StoreAccess
from healthingest_operator.status import identity_causes as causes

MOST_CLIENTS: Final = 16
"""Maximum number of open clients; each has some hundred kilobytes and its own connections."""

_Login = tuple[str | None, str, str | None, str | None, TlsMaterial]


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
    """
    Clients that stay open between requests; the least recently used ones are closed.

    Those without keys share the temporary keys of *identity*, the operator's own.
    """

    def __init__(self, timeout_seconds: float, identity: PodIdentity | None = None) -> None:
        self._session = AioSession()
        self._source: KeySource | None = None
        if identity is not None:
            exchange = Exchange(identity, timeout_seconds)
            self._source = KeySource(exchange.keys, time.monotonic)
            self._identity_session = identity_session(self._source)
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
        """
        Return a client with this login.

        Raises:
            DependencyError: it has no keys, and the operator has no identity.
        """
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
            entry = _Client(await self._open(access, stack), stack)
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
        if self._source is not None:
            await self._source.close()

    async def credentials(self, access: StoreAccess) -> Credentials:
        """
        Return the keys that sign a request now.

        Raises:
            PodIdentityError: the operator's identity gives no keys.
            DependencyError: there are no keys, and the operator has no identity.
        """
        if access.has_keys:
            return Credentials(access.access_key_id, access.secret_access_key)
        keys = await self._own_keys().keys()
        return Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)

    def discard_own_keys(self) -> None:
        """Get new keys of the operator's identity, because a store has refused the present ones."""
        self._own_keys().discard()

    def _own_keys(self) -> KeySource:
        if self._source is None:
            raise DependencyError.of(causes.OPERATOR_HAS_NO_KEYS)
        return self._source

    async def _close_down_to(self, most: int) -> None:
        idle = [login for login, entry in self._clients.items() if not entry.users]
        idle.sort(key=lambda login: self._clients[login].used_at)
        surplus = idle[: max(0, len(self._clients) - most)]
        for stack in [self._clients.pop(login).stack for login in surplus]:
            await stack.aclose()

    # ANN401: botocore creates the class
    async def _open(self, access: StoreAccess, stack: AsyncExitStack) -> Any:  # noqa: ANN401
        source = None if access.has_keys else self._own_keys()
        session = self._session if source is None else self._identity_session
        making = session.create_client(
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
        client = await stack.enter_async_context(making)
        if source is not None:
            discard_expired(client, source)
        return client
