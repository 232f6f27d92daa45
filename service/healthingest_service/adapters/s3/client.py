"""
The S3 client, and the translation of its errors into those of the core.

The retries of botocore are off, because only the caller knows what may be repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from healthingest_contract.pod_identity import EXPIRED, PodIdentity, PodIdentityError
from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial
from healthingest_service.adapters.s3.http_session import OneTrySession, session_class_of
from healthingest_service.adapters.s3.pod_identity import (
    TokenService,
    discard_refused,
    identity_session,
)
from healthingest_service.uploads.errors import StoreRefusedError, StoreUnavailableError

_LONGEST_CALL_SECONDS: Final = 3600.0
"""Read timeout of the library, longer than any deadline of `call_with_deadline`."""
_MOST_CONNECTIONS: Final = 128
"""
Connections of a client, more than concurrent requests; botocore's default is 10.

A request that waits for a connection is overtaken by later ones, until its deadline is over.
"""
_SERVER_ERROR: Final = 500
_NOT_IMPLEMENTED: Final = 501
_UNCLEAR_STATUS: Final = frozenset({408, 409, 425, 429})
_UNCLEAR_CODES: Final = frozenset(
    {"RequestTimeout", "SlowDown", "OperationAborted", "RequestTimeTooSkewed"} | EXPIRED
)
"""Temporary in spite of a 4xx status (Amazon S3 API reference, "Error responses")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """
    Address, bucket and credentials of an object store; *timeout_seconds* is the deadline of a call.

    Without *endpoint* it is AWS. Without keys, temporary ones of *identity* are used, or the chain
    of botocore if there is none.
    """

    endpoint: str | None
    region: str
    bucket: str
    access_key_id: str | None = field(repr=False)
    secret_access_key: str | None = field(repr=False)
    timeout_seconds: float
    tls: TlsMaterial = NO_TLS_MATERIAL
    identity: PodIdentity | None = None


@dataclass(frozen=True, slots=True)
class S3Connection:
    """
    An open client of aiobotocore, and its parts, for which it has no public names.

    `key_refused` gets the code of an error response.
    """

    client: Any
    key_refused: Callable[[str], None]

    @property
    def http(self) -> OneTrySession:
        """The HTTP session: connections, TLS and proxy."""
        return cast("OneTrySession", self.client._endpoint.http_session)  # noqa: SLF001 - see above

    # ANN401: aiobotocore has no types
    @property
    def credentials(self) -> Any:  # noqa: ANN401
        """The credentials with which requests are signed, and their renewal; None: none."""
        return self.client._get_credentials()  # noqa: SLF001 - see above


@asynccontextmanager
async def open_client(access: S3Access) -> AsyncIterator[Any]:
    """Open a client of aiobotocore; see `open_connection`."""
    async with open_connection(access) as connection:
        yield connection.client


@asynccontextmanager
async def open_connection(access: S3Access) -> AsyncIterator[S3Connection]:
    """
    Open a client of aiobotocore; the first call connects.

    Raises:
        ValueError: the bundle is unusable.
        PodIdentityError: the token service refuses the identity, or there is no token.
    """
    session_class = session_class_of(access.tls)
    keys = {
        "aws_access_key_id": access.access_key_id,
        "aws_secret_access_key": access.secret_access_key,
    }
    address = {"region_name": access.region, "endpoint_url": access.endpoint}
    config = _config(access, session_class)
    async with AsyncExitStack() as stack:
        key_refused: Callable[[str], None] = _keep
        session = get_session()
        if access.access_key_id is None and access.identity is not None:
            service = TokenService(access.region, session_class, access.timeout_seconds)
            session, source = await stack.enter_async_context(
                identity_session(access.identity, service)
            )
            keys = {}
            key_refused = discard_refused(source)
        making = session.create_client("s3", **address, **keys, config=config)
        client = await stack.enter_async_context(making)
        client.meta.events.register(
            "after-call.s3",
            lambda parsed, **_: key_refused(parsed.get("Error", {}).get("Code", "")),
        )
        yield S3Connection(client, key_refused)


def _config(access: S3Access, session_class: type[OneTrySession]) -> AioConfig:
    return AioConfig(
        connect_timeout=min(access.timeout_seconds, 5.0),
        read_timeout=_LONGEST_CALL_SECONDS,
        retries={"total_max_attempts": 1},
        max_pool_connections=_MOST_CONNECTIONS,
        # The default user agent and the validation of arguments cost time in each call.
        user_agent="healthingest",
        parameter_validation=False,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        http_session_cls=session_class,
        # The signed header x-amz-checksum-sha256 covers the body; a second hash would block the
        # event loop.
        s3={
            "addressing_style": "auto" if access.endpoint is None else "path",
            "payload_signing_enabled": False,
        },
    )


def _keep(_code: str) -> None:
    """Keep the keys: botocore renews its own ones before they expire."""


async def call_once(call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - botocore's answers
    """
    Return the response of one call, with translated errors.

    Raises:
        StoreRefusedError: the store refused the call.
        StoreUnavailableError: no response, or a temporary error.
    """
    try:
        return await call()
    except ClientError as error:
        if _is_unclear(error):
            raise StoreUnavailableError from error
        raise StoreRefusedError from error
    except (BotoConnectionError, HTTPClientError, aiohttp.ClientError, OSError) as error:
        raise StoreUnavailableError from error
    # missing credentials, invalid parameters: nothing was sent
    except (BotoCoreError, PodIdentityError) as error:
        raise StoreRefusedError from error


# ANN401: botocore's answers
async def call_with_deadline(timeout_seconds: float, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401
    """
    Return the response of one call within *timeout_seconds*.

    Raises:
        StoreRefusedError: the store refused the call.
        StoreUnavailableError: no response within the deadline, or a temporary error.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            return await call_once(call)
    except TimeoutError as error:
        raise StoreUnavailableError from error


# ANN401: botocore's answers
async def call_idempotent(timeout_seconds: float, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401
    """
    Return the response of an idempotent call, which is retried once.

    The server may have closed an idle connection. Each attempt has its own deadline.

    Raises:
        StoreRefusedError, StoreUnavailableError: as `call_with_deadline`, from the second attempt.
    """
    with suppress(StoreUnavailableError):
        return await call_with_deadline(timeout_seconds, call)
    return await call_with_deadline(timeout_seconds, call)


def status_of(error: BaseException | None) -> int:
    """Return the HTTP status of an error response; 0 for other errors."""
    if not isinstance(error, ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _is_unclear(error: ClientError) -> bool:
    status = status_of(error)
    if status >= _SERVER_ERROR:
        return status != _NOT_IMPLEMENTED
    return (
        status in _UNCLEAR_STATUS or error.response.get("Error", {}).get("Code") in _UNCLEAR_CODES
    )
