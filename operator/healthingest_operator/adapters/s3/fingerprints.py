"""
Fingerprints of buckets, by requests that are signed and nothing more.

A thousand buckets are looked at every half minute. A client's call costs several times what the
request does, for parameters, endpoints, retries and models that a fixed GET has no use for; only
its signer is used here. Source: Amazon S3 API reference; what is asked for is what
`S3ObjectStore.observe` asks for.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final
from xml.etree import ElementTree as ET

import aiohttp
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from healthingest_operator.adapters.connection_errors import connection_error
from healthingest_operator.adapters.proxies import proxy_of
from healthingest_operator.adapters.s3.answers import UNSET, UNSUPPORTED, place, refusal
from healthingest_operator.adapters.s3.clients import Clients
from healthingest_operator.reconcile.ports import StoreAccess
from healthingest_operator.status import outside_causes as causes

_QUESTIONS: Final = ("tagging", "versioning", "encryption", "lifecycle", "publicAccessBlock")
_LACKING_SECONDS: Final = 600.0
"""For how long a store is not asked again for what it does not know."""
_LACKING: Final = "lacking"
_FIRST_ERROR: Final = 300


class Fingerprints:
    """Asks for the properties of buckets. *clock* gives monotonic seconds."""

    def __init__(
        self, session: aiohttp.ClientSession, clients: Clients, clock: Callable[[], float]
    ) -> None:
        self._session = session
        self._clients = clients
        self._clock = clock
        self._lacking: dict[tuple[str, str], float] = {}
        self._proxies: dict[str, str | None] = {}

    async def of(self, access: StoreAccess) -> str:
        """
        Of everything that a bucket is looked at for.

        Raises:
            DependencyError: there is no bucket, the store refuses or cannot be reached.
        """
        endpoint = access.endpoint or await self._endpoint(access)
        digest = hashlib.sha256(access.bucket.encode())
        for question in _QUESTIONS:
            known = self._clock() < self._lacking.get((endpoint, question), float("-inf"))
            found = _LACKING if known else await self._answer(access, endpoint, question)
            digest.update(f"\n{question}\n{found}".encode())
        return digest.hexdigest()

    async def _endpoint(self, access: StoreAccess) -> str:
        """AWS has one for each region, which the client knows."""
        async with self._clients.of(access) as client:
            return str(client.meta.endpoint_url)

    def _proxy_of(self, endpoint: str) -> str | None:
        if endpoint not in self._proxies:
            self._proxies[endpoint] = proxy_of(endpoint)
        return self._proxies[endpoint]

    async def _answer(self, access: StoreAccess, endpoint: str, question: str) -> str:
        address = f"{endpoint.rstrip('/')}/{access.bucket}?{question}"
        request = AWSRequest("GET", address)
        S3SigV4Auth(
            Credentials(access.access_key_id, access.secret_access_key), "s3", access.region
        ).add_auth(request)
        try:
            where = URL(address, encoded=True)
            headers = dict(request.headers.items())
            async with self._session.get(
                where, headers=headers, proxy=self._proxy_of(endpoint)
            ) as answer:
                status, text = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise await connection_error(
                causes.STORE, place(access), error, access.endpoint or ""
            ) from error
        try:
            found = ET.fromstring(text)  # noqa: S314 - botocore parses the store's answers in the same way
        except ET.ParseError as error:
            raise refusal(access, str(status)) from error
        if status < _FIRST_ERROR:
            return repr(_canonical(found))
        code = next((part.text or "" for part in found if _name(part) == "Code"), str(status))
        if code in UNSUPPORTED:
            self._lacking[endpoint, question] = self._clock() + _LACKING_SECONDS
            return _LACKING
        if code not in UNSET:
            raise refusal(access, code)
        return code


def _canonical(element: ET.Element) -> Any:  # noqa: ANN401 - as deep as it is
    """
    Names, texts and parts in an order of their own.

    Some stores answer in another one each time.
    """
    return (
        _name(element),
        (element.text or "").strip(),
        sorted((_canonical(part) for part in element), key=repr),
    )


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
