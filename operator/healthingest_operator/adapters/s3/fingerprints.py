"""
Fingerprints of buckets, by HTTP requests of our own.

A thousand buckets are read every half minute. A call of a botocore client costs several times as
much CPU time as the request, for parameters, endpoints, retries and models that a fixed GET does
not need. Source: Amazon S3 API reference. The properties are those that `S3ObjectStore.observe`
reads.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import aiohttp
from yarl import URL

from healthingest_contract.pod_identity import UNUSABLE, PodIdentityError
from healthingest_contract.s3_signature import (
    NO_PAYLOAD,
    AccessKeys,
    UnsignedRequest,
    host_header,
    signed_headers,
)
from healthingest_operator.adapters.connection_errors import connection_error
from healthingest_operator.adapters.proxies import proxy_of
from healthingest_operator.adapters.s3.answers import (
    UNSET,
    UNSUPPORTED,
    identity_refusal,
    place,
    refusal,
)
from healthingest_operator.adapters.s3.clients import Clients
from healthingest_operator.adapters.tls import aiohttp_tls
from healthingest_operator.reconcile.ports import StoreAccess
from healthingest_operator.status import outside_causes as causes

_QUESTIONS: Final = ("tagging", "versioning", "encryption", "lifecycle", "publicAccessBlock")
_OBJECT_LOCK: Final = "object-lock"
_LACKING_SECONDS: Final = 600.0
"""Seconds for which a store is not asked again for a property that it does not support."""
_LACKING: Final = "lacking"
_FIRST_ERROR: Final = 300


class Fingerprints:
    """Reads the properties of buckets; *clock* gives monotonic seconds."""

    def __init__(
        self, session: aiohttp.ClientSession, clients: Clients, clock: Callable[[], float]
    ) -> None:
        self._session = session
        self._clients = clients
        self._clock = clock
        self._lacking: dict[tuple[str, str], float] = {}
        self._proxies: dict[str, str | None] = {}

    async def of(self, access: StoreAccess, *, needs_object_lock: bool = False) -> str:
        """
        Return the fingerprint of all properties of a bucket; of its lock only if it is needed.

        Raises:
            DependencyError: the bucket does not exist, or the store refuses or cannot be reached.
        """
        endpoint = access.endpoint or await self._endpoint(access)
        digest = hashlib.sha256(access.bucket.encode())
        for question in (*_QUESTIONS, *((_OBJECT_LOCK,) if needs_object_lock else ())):
            known = self._clock() < self._lacking.get((endpoint, question), float("-inf"))
            found = _LACKING if known else await self._answer(access, endpoint, question)
            digest.update(f"\n{question}\n{found}".encode())
        return digest.hexdigest()

    async def _endpoint(self, access: StoreAccess) -> str:
        """Return the endpoint of the region at AWS, which botocore knows."""
        async with self._clients.of(access) as client:
            return str(client.meta.endpoint_url)

    def _proxy_of(self, endpoint: str) -> str | None:
        if endpoint not in self._proxies:
            self._proxies[endpoint] = proxy_of(endpoint)
        return self._proxies[endpoint]

    async def _answer(self, access: StoreAccess, endpoint: str, question: str) -> str:
        status, text = await self._ask(access, endpoint, question)
        try:
            found = ET.fromstring(text)  # noqa: S314 - botocore parses responses in the same way
        except ET.ParseError as error:
            raise refusal(access, str(status)) from error
        if status < _FIRST_ERROR:
            return repr(_canonical(found))
        code = next((part.text or "" for part in found if _name(part) == "Code"), str(status))
        if code in UNSUPPORTED:
            self._lacking[endpoint, question] = self._clock() + _LACKING_SECONDS
            return _LACKING
        if code in UNUSABLE and not access.has_keys:
            self._clients.discard_own_keys()
        if code not in UNSET:
            raise refusal(access, code)
        return code

    async def _ask(self, access: StoreAccess, endpoint: str, question: str) -> tuple[int, bytes]:
        """Send a signed request; return status and body of the response."""
        address = f"{endpoint.rstrip('/')}/{access.bucket}?{question}"
        parts = urlsplit(address)
        try:
            found = await self._clients.credentials(access)
        except PodIdentityError as error:
            raise identity_refusal(error) from error
        headers = signed_headers(
            UnsignedRequest("GET", host_header(parts), parts.path, {}, NO_PAYLOAD, question),
            AccessKeys(found.access_key, found.secret_key, found.token),
            region=access.region,
            now=datetime.now(UTC),
        )
        where = URL(address, encoded=True)
        try:
            async with self._session.get(
                where,
                headers=headers,
                proxy=self._proxy_of(endpoint),
                ssl=aiohttp_tls(access.tls),
            ) as answer:
                return answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise await connection_error(
                causes.STORE, place(access), error, access.endpoint or ""
            ) from error


def _canonical(element: ET.Element) -> Any:  # noqa: ANN401 - nested to any depth
    """
    Return name, text and sorted children of an element.

    Some stores return elements in another order each time.
    """
    return (
        _name(element),
        (element.text or "").strip(),
        sorted((_canonical(part) for part in element), key=repr),
    )


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
