"""
The port `ObjectStore` on any S3.

One client, made once. Every object goes in one PUT of known length with an explicit SHA-256 that the server verifies:
no trailers and no default CRC, which several servers do not understand. botocore's own retries are off: they stand
here, in `S3Store.put`.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from healthingest_service.uploads.errors import StoreRefusedError, StoreUnavailableError
from healthingest_service.uploads.model import Sha256, StoredObject

Encryption = Literal["None", "SSE-S3", "SSE-KMS"]

_CHUNK_BYTES: Final = 256 * 1024
_ATTEMPTS: Final = 3
_PAUSE_SECONDS: Final = 0.2
_HASH_ENTRY: Final = "sha256"  # sent as x-amz-meta-sha256
_NOT_FOUND: Final = 404
_SERVER_ERROR: Final = 500
_NOT_IMPLEMENTED: Final = 501
_UNCLEAR_STATUS: Final = frozenset({408, 409, 425, 429})
_UNCLEAR_CODES: Final = frozenset({"RequestTimeout", "SlowDown", "OperationAborted", "RequestTimeTooSkewed"})
"""4xx by status, but passing: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""


class _OneTrySession(AIOHTTPSession):  # type: ignore[misc] # aiobotocore has no types
    """
    aiohttp sends a PUT again by itself when the connection breaks, and tells nobody.

    A "no" to the second would be taken for a "no" to both. There is no public switch; `tests/ports/` counts requests.
    """

    async def _get_session(self, proxy_url: str | None) -> Any:  # noqa: ANN401 - aiobotocore has no types
        session = await super()._get_session(proxy_url)
        session._retry_connection = False  # noqa: SLF001 - see above
        return session


@asynccontextmanager
async def open_s3_store(  # noqa: PLR0913 - the settings of one server
    *,
    endpoint: str | None,
    region: str,
    bucket: str,
    access_key_id: str | None,
    secret_access_key: str | None,
    encryption: Encryption,
    kms_key_id: str | None,
    timeout_seconds: float,
) -> AsyncIterator["S3Store"]:
    """
    A store on *bucket*; nothing is sent before the first call.

    Without *endpoint* it is AWS; without keys, the credentials of the machine or pod are used.
    """
    config = AioConfig(
        connect_timeout=min(timeout_seconds, 5.0),
        read_timeout=timeout_seconds,
        retries={"total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        http_session_cls=_OneTrySession,
        # The signed header x-amz-checksum-sha256 covers the body; hashing it once more would stall the loop.
        s3={"addressing_style": "auto" if endpoint is None else "path", "payload_signing_enabled": False},
    )
    making = get_session().create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        config=config,
    )
    async with making as client:
        yield S3Store(client, bucket, _encryption_arguments(encryption, kms_key_id), timeout_seconds)


@dataclass(frozen=True, slots=True)
class _PutArguments:
    key: str
    path: Path
    size_bytes: int
    sha256: str


class S3Store:
    """Objects of one bucket."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - aiobotocore makes its class at run time
        bucket: str,
        put_arguments: dict[str, str],
        timeout_seconds: float,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._put_arguments = put_arguments
        self._timeout_seconds = timeout_seconds

    async def put(self, key: str, path: Path, *, size_bytes: int, sha256: str) -> None:
        """
        See `ObjectStore.put`.

        Up to three attempts within one deadline; after an unclear answer a HEAD tells whether another is needed.
        """
        wanted = _PutArguments(key, path, size_bytes, sha256)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._put_until_clear(wanted)
        except TimeoutError as error:
            raise StoreUnavailableError from error

    async def _put_until_clear(self, wanted: _PutArguments) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                await self._put_once(wanted)
            except StoreUnavailableError:
                if await self._arrived(wanted):
                    return
                if attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS * 2**attempt)
            except StoreRefusedError as error:
                if attempt > 0:  # this one is not there, but an earlier one may still arrive
                    raise StoreUnavailableError from error
                raise
            else:
                return

    async def _put_once(self, wanted: _PutArguments) -> None:
        # One system call; in a thread, a cancelled open would leave the file to nobody.
        file = wanted.path.open("rb")
        try:
            await _translated(
                lambda: self._client.put_object(
                    Bucket=self._bucket,
                    Key=wanted.key,
                    Body=file,
                    ContentLength=wanted.size_bytes,
                    ContentType="application/avro",
                    ChecksumSHA256=base64.b64encode(bytes.fromhex(wanted.sha256)).decode(),
                    Metadata={_HASH_ENTRY: wanted.sha256},
                    **self._put_arguments,
                )
            )
        finally:
            file.close()

    async def _arrived(self, wanted: _PutArguments) -> bool:
        try:
            found = await self.head(wanted.key)
        except (StoreUnavailableError, StoreRefusedError):
            return False
        return found is not None and (found.size_bytes, found.sha256) == (wanted.size_bytes, wanted.sha256)

    async def head(self, key: str) -> StoredObject | None:
        """
        See `ObjectStore.head`.

        The hash is the server's own checksum where it tells one, else the metadata that came with the verified PUT.
        """
        try:
            answer = await self._ask(
                lambda: self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
            )
        except StoreRefusedError as error:
            if _status(error.__cause__) == _NOT_FOUND:
                return None
            raise
        return StoredObject(answer["ContentLength"], _hash(answer))

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """See `ObjectStore.read`."""
        answer = await self._ask(lambda: self._client.get_object(Bucket=self._bucket, Key=key))
        body = answer["Body"]
        try:
            while chunk := await self._within_deadline(lambda: body.read(_CHUNK_BYTES)):
                yield chunk
        finally:
            body.close()

    async def check(self) -> None:
        """See `ObjectStore.check`."""
        await self._ask(lambda: self._client.head_bucket(Bucket=self._bucket))

    async def _ask(self, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - botocore's answers
        """A call that changes nothing: twice, since a kept connection may have been closed by the server meanwhile."""
        with suppress(StoreUnavailableError):
            return await self._within_deadline(call)
        return await self._within_deadline(call)

    async def _within_deadline(self, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - botocore's answers
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await _translated(call)
        except TimeoutError as error:
            raise StoreUnavailableError from error


def _encryption_arguments(encryption: Encryption, kms_key_id: str | None) -> dict[str, str]:
    match encryption:
        case "None":
            return {}
        case "SSE-S3":
            return {"ServerSideEncryption": "AES256"}
        case "SSE-KMS":
            key = {} if kms_key_id is None else {"SSEKMSKeyId": kms_key_id}
            return {"ServerSideEncryption": "aws:kms", **key}


async def _translated(call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - botocore's answers
    """
    One call, its failures in our words: an answer is a clear no, unless it says "later"; no answer is unclear.

    Raises:
        StoreRefusedError, StoreUnavailableError: see above.
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


def _is_unclear(error: ClientError) -> bool:
    status = _status(error)
    if status >= _SERVER_ERROR:
        return status != _NOT_IMPLEMENTED
    return status in _UNCLEAR_STATUS or error.response.get("Error", {}).get("Code") in _UNCLEAR_CODES


def _status(error: BaseException | None) -> int:
    if not isinstance(error, ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _hash(answer: dict[str, Any]) -> Sha256 | None:
    checksum = answer.get("ChecksumSHA256")
    if checksum and "-" not in checksum:  # with a dash it is a checksum of checksums, of a multipart upload
        return Sha256(base64.b64decode(checksum).hex())
    noted = answer.get("Metadata", {}).get(_HASH_ENTRY)
    return None if noted is None else Sha256(noted)
