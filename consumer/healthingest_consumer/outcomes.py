"""Reports to the service what became of an upload: best effort, without errors for the caller."""

import asyncio
import logging
import time
from http import HTTPStatus
from typing import Final, Protocol

import httpx

from healthingest_contract.events import UploadStored
from healthingest_contract.outcome_codes import is_code

_LOG: Final = logging.getLogger("healthingest.consumer")
_PAUSE_SECONDS: Final = 30.0
"""How long nothing is reported after a failure, so that an outage does not slow each upload."""
_INVALID_REASON: Final = "invalid-reason"


class Outcomes(Protocol):
    """Where the outcomes of uploads are reported to."""

    async def processed(self, upload: UploadStored) -> None:
        """Report that the upload was processed; it never raises, and repeating is safe."""
        ...

    async def failed(self, upload: UploadStored, reason: str) -> None:
        """Report that the upload cannot be processed; it never raises, and repeating is safe."""
        ...


class HttpOutcomes(Outcomes):
    """
    Reports with the token of an account that may, with the scope `outcome:write`.

    *consumer* is the name under which the history of an upload shows the report: 1 to 64 characters
    of `a-z`, `0-9` and `-`. A report that has no answer after *timeout_seconds* is given up, and
    for half a minute after a failure none is sent.

    Raises:
        ValueError: *consumer* has another form.
    """

    def __init__(
        self,
        server: str,
        token: str,
        *,
        consumer: str,
        timeout_seconds: float = 5.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if not is_code(consumer):
            message = "consumer must have 1 to 64 characters of a-z, 0-9 and -"
            raise ValueError(message)
        self._consumer = consumer
        self._timeout_seconds = timeout_seconds
        self._silent_until = 0.0
        self._http = httpx.AsyncClient(
            base_url=server.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_seconds,
            transport=transport,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def processed(self, upload: UploadStored) -> None:
        """See `Outcomes.processed`."""
        await self._report(upload, {"state": "processed"})

    async def failed(self, upload: UploadStored, reason: str) -> None:
        """See `Outcomes.failed`; a reason of another form, which may have contents, is not sent."""
        sent = reason if is_code(reason) else _INVALID_REASON
        await self._report(upload, {"state": "failed", "reason": sent})

    async def _report(self, upload: UploadStored, said: dict[str, str]) -> None:
        if time.monotonic() < self._silent_until:
            return
        document = {"consumer": self._consumer, **said}
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await self._http.post(
                    f"/v1/uploads/{upload.idempotency_key}/outcome", json=document
                )
        except (httpx.HTTPError, TimeoutError) as error:
            self._pause(type(error).__name__)
            return
        # The upload may be erased meanwhile: that says nothing about the next one.
        if answer.is_error and answer.status_code != HTTPStatus.NOT_FOUND:
            self._pause(str(answer.status_code))

    def _pause(self, reason: str) -> None:
        self._silent_until = time.monotonic() + _PAUSE_SECONDS
        _LOG.warning("consumer did not report an outcome: %s", reason)
