"""
The client of any S3, and its failures in our words.

`store` and `inventory` use it.

botocore's own retries are off: who calls knows what may be repeated, and when.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from healthingest_service.uploads.errors import StoreRefusedError, StoreUnavailableError

_LONGEST_CALL_SECONDS: Final = 3600.0
"""
Every call has a deadline of its own around it: `call_with_deadline`.

This one is the library's, and must not strike first.
"""
_SERVER_ERROR: Final = 500
_NOT_IMPLEMENTED: Final = 501
_UNCLEAR_STATUS: Final = frozenset({408, 409, 425, 429})
_UNCLEAR_CODES: Final = frozenset(
    {"RequestTimeout", "SlowDown", "OperationAborted", "RequestTimeTooSkewed"}
)
"""Temporary in spite of a 4xx status (Amazon S3 API reference, "Error responses")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """
    One bucket and how to come to it; each call has *timeout_seconds*.

    Without *endpoint* it is AWS; without keys, the credentials of the machine or pod are used.
    """

    endpoint: str | None
    region: str
    bucket: str
    access_key_id: str | None = field(repr=False)
    secret_access_key: str | None = field(repr=False)
    timeout_seconds: float


class _OneTrySession(AIOHTTPSession):  # type: ignore[misc] # aiobotocore has no types
    """
    aiohttp sends a PUT again by itself when the connection breaks, and tells nobody.

    A "no" to the second would be taken for a "no" to both. There is no public switch;
    `tests/ports/` counts requests.
    """

    async def _get_session(self, proxy_url: str | None) -> Any:  # noqa: ANN401 - aiobotocore has no types
        session = await super()._get_session(proxy_url)
        session._retry_connection = False  # noqa: SLF001 - see above
        return session


@asynccontextmanager
async def open_client(
    access: S3Access,
) -> AsyncIterator[Any]:
    """The client of aiobotocore; nothing is sent before the first call."""
    config = AioConfig(
        connect_timeout=min(access.timeout_seconds, 5.0),
        read_timeout=_LONGEST_CALL_SECONDS,
        retries={"total_max_attempts": 1},
        # Both cost time in each call: what we say about ourselves, and whether our own arguments
        # have the right types.
        user_agent="healthingest",
        parameter_validation=False,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        http_session_cls=_OneTrySession,
        # The signed header x-amz-checksum-sha256 covers the body; hashing it once more would stall
        # the loop.
        s3={
            "addressing_style": "auto" if access.endpoint is None else "path",
            "payload_signing_enabled": False,
        },
    )
    making = get_session().create_client(
        "s3",
        region_name=access.region,
        endpoint_url=access.endpoint,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        config=config,
    )
    async with making as client:
        yield client


async def call_once(call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - botocore's answers
    """
    Return the answer of one call; translate errors of botocore into ours.

    Raises:
        StoreRefusedError: the store refused the call.
        StoreUnavailableError: no answer, or one that asks to try later.
    """
    try:
        return await call()
    except ClientError as error:
        if _is_unclear(error):
            raise StoreUnavailableError from error
        raise StoreRefusedError from error
    except (BotoConnectionError, HTTPClientError, OSError) as error:
        raise StoreUnavailableError from error
    except BotoCoreError as error:  # no credentials, an impossible parameter: nothing was sent
        raise StoreRefusedError from error


async def call_with_deadline(timeout_seconds: float, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - botocore's answers
    """
    Return the answer of one call within *timeout_seconds*.

    Raises:
        StoreRefusedError: the store refused the call.
        StoreUnavailableError: no clear answer, or none in time.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            return await call_once(call)
    except TimeoutError as error:
        raise StoreUnavailableError from error


async def call_idempotent(timeout_seconds: float, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - botocore's answers
    """
    Return the answer of a call that changes nothing; it is retried once.

    The server may have closed an idle connection. Each attempt has its own deadline.

    Raises:
        StoreRefusedError, StoreUnavailableError: as `call_with_deadline`, from the second attempt.
    """
    with suppress(StoreUnavailableError):
        return await call_with_deadline(timeout_seconds, call)
    return await call_with_deadline(timeout_seconds, call)


def status_of(error: BaseException | None) -> int:
    """The HTTP status of the answer that *error* stands for; 0 when there was none."""
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
