"""Where the files of uploads are read from, and the check of their bytes."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from http import HTTPStatus
from typing import Final, Protocol

import httpx

from healthingest_consumer.errors import FileGoneError, FileMismatchError, FileUnavailableError
from healthingest_contract.events import UploadStored

# Not 401: with a new token the file can be read.
_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.FORBIDDEN})


class Files(Protocol):
    """Reads the files of announced uploads."""

    def read(self, upload: UploadStored) -> AsyncGenerator[bytes, None]:
        """
        Yield the bytes of the file in chunks, without a check.

        Raises:
            FileGoneError: there is no such file for this consumer.
            FileUnavailableError: it cannot be read now.
        """
        ...


class HttpFiles(Files):
    """
    Downloads from the service, with the token of an account that may read the study.

    *timeout_seconds* is the longest time without a byte.
    """

    def __init__(
        self,
        server: str,
        token: str,
        *,
        timeout_seconds: float = 60.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=server.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_seconds,
            transport=transport,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def read(self, upload: UploadStored) -> AsyncGenerator[bytes, None]:
        """See `Files.read`."""
        address = f"/v1/uploads/{upload.idempotency_key}/content"
        try:
            async with self._http.stream("GET", address) as answer:
                if answer.status_code in _GONE:
                    raise FileGoneError
                if answer.status_code != HTTPStatus.OK:
                    raise FileUnavailableError
                async for chunk in answer.aiter_bytes():
                    yield chunk
        except httpx.HTTPError as error:
            raise FileUnavailableError from error


async def verified(
    chunks: AsyncGenerator[bytes, None], upload: UploadStored
) -> AsyncIterator[bytes]:
    """
    Yield *chunks*, the last of them after the hash of the file is compared with the message.

    Raises:
        FileMismatchError: the file has other bytes; at least one chunk of it is not yielded.
    """
    digest = hashlib.sha256()
    size_bytes = 0
    held = b""
    async with aclosing(chunks):
        async for chunk in chunks:
            digest.update(chunk)
            size_bytes += len(chunk)
            if size_bytes > upload.file_size_bytes:
                raise FileMismatchError
            if held:
                yield held
            held = chunk
    if (size_bytes, digest.hexdigest()) != (upload.file_size_bytes, upload.file_hash):
        raise FileMismatchError
    if held:
        yield held
