"""S3 through aiobotocore. Source of calls and error codes: Amazon S3 API reference."""

import base64
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError
from typing_extensions import override

from healthingest_contract.conditions import Reason
from healthingest_contract.object_keys import ERASURES_PREFIX
from healthingest_contract.object_keys import PREFIX as UPLOADS_PREFIX
from healthingest_contract.pod_identity import PodIdentity, PodIdentityError
from healthingest_operator.adapters.connection_errors import connection_error, speaks_otherwise
from healthingest_operator.adapters.s3.answers import (
    BAD_LOGIN,
    FORBIDDEN,
    MISSING,
    UNSET,
    UNSUPPORTED,
    identity_refusal,
    place,
    refusal,
)
from healthingest_operator.adapters.s3.clients import Clients
from healthingest_operator.adapters.s3.fingerprints import Fingerprints
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import ObjectStore, StoreAccess
from healthingest_operator.resources.bucket import Capability, Observed, Step
from healthingest_operator.status import outside_causes as causes

PROBE_KEY: Final = ".healthingest/probe"
READER_PROBE_KEY: Final = ".healthingest/reader-probe"
_UPLOAD_KEY: Final = f"{UPLOADS_PREFIX}.healthingest/reader-probe"
_BAD_CHECKSUM: Final = frozenset({"BadDigest", "XAmzContentChecksumMismatch", "InvalidDigest"})
"""Error codes for a body that does not match its checksum, after the right to write it."""
_PROBE_BODY: Final = b"HealthIngest writes this to see whether the store works."

_NO_BUCKET: Final = "NoSuchBucket"
"""
Error code in the body of a GET response for a missing bucket.

A response with only a status comes from a server that is not S3.
"""
_LACKING_SECONDS: Final = 600.0
_DEFAULT_REGION: Final = "us-east-1"  # the one region that must not be named as a location


@asynccontextmanager
async def s3_object_store(
    timeout_seconds: float, identity: PodIdentity | None = None
) -> AsyncIterator["S3ObjectStore"]:
    """
    Open clients for all stores; *timeout_seconds* applies to each request.

    *identity* is the operator's own, for stores without keys.
    """
    clients = Clients(timeout_seconds, identity)
    session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout_seconds))
    try:
        yield S3ObjectStore(clients, Fingerprints(session, clients, time.monotonic))
    finally:
        await session.close()
        await clients.close()


class S3ObjectStore(ObjectStore):
    """Implements the port `ObjectStore`."""

    def __init__(self, clients: Clients, fingerprints: Fingerprints) -> None:
        self._clients = clients
        self._fingerprints = fingerprints
        self._lacking: dict[str, dict[Capability, float]] = {}

    @override
    async def check(self, access: StoreAccess) -> None:
        async with self._client(access) as client:
            await client.head_bucket(Bucket=access.bucket)

    @override
    async def observe(
        self, access: StoreAccess, *, needs_object_lock: bool = False
    ) -> Observed | None:
        async with self._client(access) as client:
            if not await _exists(client, access.bucket):
                return None
            lacking = self._lacking.setdefault(str(client.meta.endpoint_url), {})
            for capability in [one for one, until in lacking.items() if until < time.monotonic()]:
                del lacking[capability]
            ask = _Question(client, access.bucket, lacking)
            tags = await ask(Capability.TAGGING, "get_bucket_tagging", "TagSet")
            encryption = await ask(
                Capability.ENCRYPTION, "get_bucket_encryption", "ServerSideEncryptionConfiguration"
            )
            rules = (encryption or {}).get("Rules") or [{}]
            return Observed(
                tags={tag["Key"]: tag["Value"] for tag in tags or []},
                versioning=await ask(Capability.VERSIONING, "get_bucket_versioning", "Status"),
                encryption=rules[0].get("ApplyServerSideEncryptionByDefault"),
                lifecycle=tuple(
                    await ask(Capability.LIFECYCLE, "get_bucket_lifecycle_configuration", "Rules")
                    or ()
                ),
                public_access_block=await ask(
                    Capability.PUBLIC_ACCESS_BLOCK,
                    "get_public_access_block",
                    "PublicAccessBlockConfiguration",
                ),
                object_lock=await ask(
                    Capability.OBJECT_LOCK,
                    "get_object_lock_configuration",
                    "ObjectLockConfiguration",
                    is_optional=not needs_object_lock,
                ),
                missing=frozenset(lacking),
            )

    @override
    async def fingerprint(self, access: StoreAccess, *, needs_object_lock: bool = False) -> str:
        return await self._fingerprints.of(access, needs_object_lock=needs_object_lock)

    @override
    async def create(self, access: StoreAccess, *, object_lock: bool = False) -> None:
        more: dict[str, Any] = {}
        if object_lock:
            more["ObjectLockEnabledForBucket"] = True
        if access.region != _DEFAULT_REGION:
            more["CreateBucketConfiguration"] = {"LocationConstraint": access.region}
        async with self._client(access) as client:
            try:
                await client.create_bucket(Bucket=access.bucket, **more)
            except ClientError as error:
                if _code(error) != "BucketAlreadyOwnedByYou":
                    raise

    @override
    async def carry_out(self, access: StoreAccess, step: Step) -> bool:
        async with self._client(access) as client:
            try:
                await _change(client, access.bucket, step)
            except ClientError as error:
                if _code(error) in UNSUPPORTED:
                    return False
                raise
        return True

    @override
    async def probe(self, access: StoreAccess) -> frozenset[Capability]:
        digest = _checksum(_PROBE_BODY)
        wrong = _checksum(b"")
        place = {"Bucket": access.bucket, "Key": PROBE_KEY}
        async with self._client(access) as client:
            written = await client.put_object(**place, Body=_PROBE_BODY, ChecksumSHA256=digest)
            found = await client.head_object(**place)
            missing = (
                set() if found["ContentLength"] == len(_PROBE_BODY) else {Capability.CHECKSUMS}
            )
            try:
                spoiled = await client.put_object(**place, Body=_PROBE_BODY, ChecksumSHA256=wrong)
            except ClientError as error:
                if _code(error) in FORBIDDEN | BAD_LOGIN:
                    raise
                spoiled = {}
            else:
                missing.add(Capability.CHECKSUMS)
            for version in (written.get("VersionId"), spoiled.get("VersionId")):
                await _forget(client, place, version)
        return frozenset(missing)

    @override
    async def may_write(self, reader: StoreAccess, writer: StoreAccess) -> bool:
        place = {"Bucket": reader.bucket, "Key": READER_PROBE_KEY}
        async with self._client(writer) as client:
            written = await client.put_object(
                **place, Body=_PROBE_BODY, ChecksumSHA256=_checksum(_PROBE_BODY)
            )
        try:
            async with self._client(reader) as client:
                answer = await client.get_object(**place)
                async with answer["Body"] as body:
                    await body.read()
                return await _may_put(client, reader.bucket)
        finally:
            async with self._client(writer) as client:
                await _forget(client, place, written.get("VersionId"))

    @override
    async def is_empty(self, access: StoreAccess) -> bool:
        async with self._client(access) as client:
            found = await client.list_objects_v2(Bucket=access.bucket, MaxKeys=2)
        return all(entry["Key"] == PROBE_KEY for entry in found.get("Contents") or ())

    @override
    async def has_erasures(self, access: StoreAccess) -> bool:
        async with self._client(access) as client:
            found = await client.list_objects_v2(
                Bucket=access.bucket, Prefix=ERASURES_PREFIX, MaxKeys=1
            )
        return bool(found.get("Contents"))

    @override
    async def remove(self, access: StoreAccess) -> bool:
        async with self._client(access) as client:
            try:
                await client.delete_bucket(Bucket=access.bucket)
            except ClientError as error:
                if _code(error) in {"BucketNotEmpty", "VersionedBucketNotEmpty", "409"}:
                    return False
                if _code(error) not in MISSING:
                    raise
        return True

    @asynccontextmanager
    async def _client(self, access: StoreAccess) -> AsyncIterator[Any]:
        try:
            async with self._clients.of(access) as client:
                yield client
        except PodIdentityError as error:
            raise identity_refusal(error) from error
        except ClientError as error:
            raise refusal(access, _code(error)) from error
        except (BotoCoreError, ResponseParserError, TimeoutError, OSError) as error:
            raise await _no_answer(access, error) from error


def _checksum(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


# ANN401: botocore creates the class
async def _may_put(client: Any, bucket: str) -> bool:  # noqa: ANN401
    """
    Whether this login may put an upload.

    The body does not match its checksum, so the store never keeps it.
    """
    try:
        await client.put_object(
            Bucket=bucket, Key=_UPLOAD_KEY, Body=_PROBE_BODY, ChecksumSHA256=_checksum(b"")
        )
    except ClientError as error:
        if _code(error) in FORBIDDEN:
            return False
        if _code(error) not in _BAD_CHECKSUM:
            raise
    return True


async def _no_answer(access: StoreAccess, error: Exception) -> DependencyError:
    """Return the error for a request to which botocore got no response, or an unreadable one."""
    if isinstance(error, ResponseParserError) or speaks_otherwise(error):
        return DependencyError.of(causes.NOT_S3, where=place(access))
    if isinstance(error, BotoConnectionError | HTTPClientError | OSError):
        return await connection_error(causes.STORE, place(access), error, access.endpoint or "")
    return DependencyError(
        Reason.REQUEST_REFUSED, f"{place(access)} cannot be used: {type(error).__name__}"
    )


class _Question:
    """Reads properties of a bucket; unsupported ones are not requested again for a while."""

    # ANN401: botocore creates the class
    def __init__(self, client: Any, bucket: str, lacking: dict[Capability, float]) -> None:  # noqa: ANN401
        self._client = client
        self._bucket = bucket
        self._lacking = lacking

    # ANN401: a response of botocore
    async def __call__(
        self, capability: Capability, operation: str, part: str, *, is_optional: bool = False
    ) -> Any:  # noqa: ANN401
        """Return *part* of the response; a refusal to read an optional one is no error."""
        if capability in self._lacking:
            return None
        ask: Callable[..., Awaitable[dict[str, Any]]] = getattr(self._client, operation)
        try:
            return (await ask(Bucket=self._bucket)).get(part)
        except ClientError as error:
            if _code(error) in UNSUPPORTED:
                self._lacking[capability] = time.monotonic() + _LACKING_SECONDS
            elif _code(error) not in UNSET and not is_optional:
                raise
            return None


async def _exists(client: Any, bucket: str) -> bool:  # noqa: ANN401 - botocore creates the class
    try:
        await client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if _code(error) not in MISSING | FORBIDDEN | {"400"}:
            raise
    else:
        return True
    # A response to HEAD has no body with the reason of a refusal; a GET with the same meaning has
    # one.
    try:
        await client.get_bucket_location(Bucket=bucket)
    except ClientError as error:
        if _code(error) == _NO_BUCKET:
            return False
        raise
    return True


# ANN401: botocore creates the class
async def _change(client: Any, bucket: str, step: Step) -> None:  # noqa: ANN401
    value = step.value
    match step.capability:
        case Capability.TAGGING:
            await _tag(client, bucket, value)
        case Capability.VERSIONING:
            await client.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": value}
            )
        case Capability.ENCRYPTION:
            rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": value}]}
            await client.put_bucket_encryption(
                Bucket=bucket, ServerSideEncryptionConfiguration=rules
            )
        case Capability.LIFECYCLE:
            await _set_lifecycle(client, bucket, value)
        case Capability.PUBLIC_ACCESS_BLOCK:
            await client.put_public_access_block(
                Bucket=bucket, PublicAccessBlockConfiguration=value
            )
        case Capability.OBJECT_LOCK:
            await client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=value)
        case Capability.CHECKSUMS:
            pass


# ANN401: botocore creates the class
async def _tag(client: Any, bucket: str, tags: Mapping[str, str]) -> None:  # noqa: ANN401
    if not tags:
        await client.delete_bucket_tagging(Bucket=bucket)
        return
    listed = [{"Key": name, "Value": text} for name, text in sorted(tags.items())]
    await client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": listed})


# ANN401: botocore creates the class
async def _set_lifecycle(client: Any, bucket: str, rules: Sequence[Any]) -> None:  # noqa: ANN401
    if not rules:
        await client.delete_bucket_lifecycle(Bucket=bucket)
        return
    await client.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": rules}
    )


# ANN401: botocore creates the class
async def _forget(client: Any, place: dict[str, str], version: str | None) -> None:  # noqa: ANN401
    """
    Remove the object of the probe.

    Credentials without the right to delete leave one small object, which the next probe overwrites.
    """
    try:
        await client.delete_object(**place, **({"VersionId": version} if version else {}))
    except ClientError as error:
        if _code(error) not in FORBIDDEN | UNSUPPORTED:
            raise


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
