"""
The PUT of an object, signed here, because aiobotocore takes several times the processor time.

Everything else stays that of the client: its connections with TLS and proxy, its credentials with
their renewal, and its rules for the address of a bucket. What these rules cannot express as a plain
signature, and what a server answers with another region, goes through the client itself. See
docs/decisions/0099-the-put-of-an-object-is-signed-here.md.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.exceptions import ClientError, NoCredentialsError, ParamValidationError

from healthingest_contract.s3_signature import (
    UNSIGNED_PAYLOAD,
    AccessKeys,
    UnsignedRequest,
    encoded_key,
    host_header,
    signed_headers,
)
from healthingest_service.adapters.s3.body import FileBody
from healthingest_service.adapters.s3.client import S3Connection
from healthingest_service.adapters.s3.http_session import Answer

_OPERATION: Final = "PutObject"
_HEADERS: Final = {
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
}
"""Headers of the arguments of `encryption_arguments` (Amazon S3 API reference, "PutObject")."""
_CHECKSUM: Final = "x-amz-checksum-sha256"
_UNSIGNED: Final = {"user-agent": "healthingest", "accept-encoding": "identity"}
"""Headers that proxies may change."""
_OK: Final = range(200, 300)
_REDIRECTION: Final = range(300, 400)
_OTHER_REGION: Final = frozenset({"AuthorizationHeaderMalformed", "PermanentRedirect"})
_UNNAMED_REGION: Final = "IllegalLocationConstraintException"
"""Codes after which botocore uses the region of the answer, or looks for it with a HEAD."""
_CODE: Final = re.compile(rb"<Code>\s*([A-Za-z0-9._:-]{1,100})\s*</Code>")
_BROKEN_STATUS: Final = 500
"""Status that botocore gives to an answer 200 with an error in its body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPut:
    """
    An object to send, of *size_bytes* with the hexadecimal *sha256*.

    `creating` has the arguments of `encryption_arguments`.
    """

    key: str
    size_bytes: int
    sha256: str
    content_type: str
    metadata: Mapping[str, str]
    creating: Mapping[str, str]

    @property
    def checksum(self) -> str:
        """The SHA-256 in base64, as in the header of request and answer."""
        return base64.b64encode(bytes.fromhex(self.sha256)).decode()

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of `put_object` without bucket and body."""
        return {
            "Key": self.key,
            "ContentLength": self.size_bytes,
            "ContentType": self.content_type,
            "ChecksumSHA256": self.checksum,
            "Metadata": dict(self.metadata),
            **self.creating,
        }

    @property
    def headers(self) -> dict[str, str]:
        """The headers that `put_object` would make of the arguments."""
        return {
            "content-length": str(self.size_bytes),
            "content-type": self.content_type,
            _CHECKSUM: self.checksum,
            **{f"x-amz-meta-{name.lower()}": value for name, value in self.metadata.items()},
            **{_HEADERS[name]: value for name, value in self.creating.items()},
        }


@dataclass(frozen=True, slots=True)
class Address:
    """Where the objects of a bucket are: `path` ends without a slash."""

    scheme: str
    host: str
    path: str
    region: str


class ObjectSender:
    """Sends objects to one bucket. A request is never repeated after an unclear answer."""

    def __init__(self, connection: S3Connection, bucket: str) -> None:
        self._connection = connection
        self._bucket = bucket
        self._address: Address | None = None

    async def send(self, put: ObjectPut, body: bytes | FileBody) -> str | None:
        """
        Send an object, and return the checksum of the answer; None if it has none.

        Raises:
            ClientError, BotoCoreError, PodIdentityError, OSError, aiohttp.ClientError: as the
                client of aiobotocore and its HTTP session; `call_once` translates them.
        """
        address = self._address or await self._resolve()
        self._address = address
        if address is None:
            return await self.send_through_client(put, body)
        answer = await self._exchange(address, put, body)
        if answer.status in _OK and not answer.body.strip():
            return answer.checksum
        status = _BROKEN_STATUS if answer.status in _OK else answer.status
        code = _code_in(answer.body) or str(status)  # as botocore
        self._connection.key_refused(code)
        if _is_elsewhere(answer, code):
            self._address = None  # the client finds the region, and keeps it
            return await self.send_through_client(put, body)
        error = {"Code": code, "Message": ""}
        raise ClientError(
            {"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}, _OPERATION
        )

    async def send_through_client(self, put: ObjectPut, body: bytes | FileBody) -> str | None:
        """Send an object with `put_object` of aiobotocore; see `send`."""
        answer = await self._connection.client.put_object(
            Bucket=self._bucket, Body=body, **put.arguments
        )
        checksum: str | None = answer.get("ChecksumSHA256")
        return checksum

    async def _exchange(self, address: Address, put: ObjectPut, body: bytes | FileBody) -> Answer:
        path = f"{address.path}/{encoded_key(put.key)}"
        is_small = isinstance(body, bytes)
        # The signed checksum covers the body of a file. A second hash would take the server half
        # as long as the whole request.
        payload_sha256 = put.sha256 if is_small else UNSIGNED_PAYLOAD
        signed = signed_headers(
            UnsignedRequest("PUT", address.host, path, put.headers, payload_sha256),
            await self._keys(),
            region=address.region,
            now=datetime.now(UTC),
        )
        _check(signed)
        # A server that refuses the request need not read a file.
        waiting = {} if is_small else {"expect": "100-continue"}
        return await self._connection.http.put(
            f"{address.scheme}://{address.host}{path}", {**signed, **_UNSIGNED, **waiting}, body
        )

    async def _keys(self) -> AccessKeys:
        credentials = self._connection.credentials
        if credentials is None:
            raise NoCredentialsError
        frozen = await credentials.get_frozen_credentials()
        return AccessKeys(frozen.access_key, frozen.secret_key, frozen.token)

    async def _resolve(self) -> Address | None:
        """Return the bucket's address by botocore's rules; None: it needs another signature."""
        meta = self._connection.client.meta
        context = {"client_region": meta.region_name, "client_config": meta.config}
        # botocore has no public function for it that gives the address of a PUT.
        base, headers, _ = await self._connection.client._resolve_endpoint_ruleset(  # noqa: SLF001
            meta.service_model.operation_model(_OPERATION),
            {"Bucket": self._bucket, "Key": "key"},
            context,
        )
        signing = context.get("signing", {})
        is_plain = (meta.config.signature_version, context.get("auth_type")) == ("s3v4", "v4")
        if headers or not is_plain or signing.get("signing_name") != "s3":
            return None
        parts = urlsplit(base)
        region = signing.get("region") or meta.region_name
        return Address(parts.scheme, host_header(parts), parts.path.rstrip("/"), region)


def _check(headers: Mapping[str, str]) -> None:
    """
    Check the values of headers, of which some come from uploads and Secrets.

    Raises:
        ParamValidationError: a value is not printable ASCII; it is not in the message.
    """
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise ParamValidationError(report=f"{name}: must be printable ASCII")


def _is_elsewhere(answer: Answer, code: str) -> bool:
    """
    Return whether the bucket is in another region, which botocore can find.

    A redirection that names no region is a refusal: botocore would repeat its HEAD for ever.
    """
    names_region = answer.region is not None or b"<Region>" in answer.body
    is_elsewhere = answer.status in _REDIRECTION or code in _OTHER_REGION
    return (names_region and is_elsewhere) or code == _UNNAMED_REGION


def _code_in(body: bytes) -> str:
    """Return the code in the XML of an error; empty: there is none."""
    found = _CODE.search(body)
    return found[1].decode() if found else ""
