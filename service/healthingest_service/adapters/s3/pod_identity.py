"""Temporary keys of the pod's identity: requests to STS or to the endpoint on the node."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession, get_session
from botocore import UNSIGNED
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError

from healthingest_contract.pod_identity import (
    EXCHANGE_SECONDS,
    UNUSABLE,
    ContainerIdentity,
    IdentityFailure,
    KeySource,
    PodIdentity,
    PodIdentityError,
    TemporaryKeys,
    WebIdentity,
    keys_in,
    keys_in_body,
    refusal,
)

_OK: Final = 200


@dataclass(frozen=True, slots=True)
class TokenService:
    """How to reach the token service: a region without one of its own, TLS, and the deadline."""

    region: str
    session_class: type[AIOHTTPSession]
    timeout_seconds: float


class _Credentials(AioCredentials):  # type: ignore[misc] # aiobotocore has no types
    """The credentials of a botocore session; a request is signed with the keys of *source*."""

    def __init__(self, source: KeySource) -> None:
        super().__init__("", "", method="pod-identity")
        self._source = source

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        keys = await self._source.keys()
        return ReadOnlyCredentials(keys.access_key_id, keys.secret_access_key, keys.session_token)

    async def load_credentials(self) -> "_Credentials":
        """Return itself: it is also the session's provider of credentials."""
        return self


@asynccontextmanager
async def identity_session(
    identity: PodIdentity, service: TokenService
) -> AsyncIterator[tuple[AioSession, KeySource]]:
    """
    Open a session that signs with temporary keys of *identity*, and get the first keys.

    Failures other than a refusal are not raised: the first request tries again.

    Raises:
        PodIdentityError: the token service refuses the identity, or there is no token.
    """
    exchange = _Exchange(identity, service)
    source = KeySource(exchange.keys, time.monotonic)
    try:
        await _first_keys(source)
        session = get_session()
        session.register_component("credential_provider", _Credentials(source))
        yield session, source
    finally:
        await source.close()


def discard_refused(source: KeySource) -> Callable[[str], None]:
    """Return a function that discards the keys if the store has refused them with this code."""

    def key_refused(code: str) -> None:
        if code in UNUSABLE:
            source.discard()

    return key_refused


async def _first_keys(source: KeySource) -> None:
    try:
        await source.keys()
    except PodIdentityError as error:
        if error.failure is not IdentityFailure.UNREACHABLE:
            raise


class _Exchange:
    """Exchanges the pod's token for keys; each call reads the token's file again."""

    def __init__(self, identity: PodIdentity, service: TokenService) -> None:
        self._identity = identity
        self._service = service
        self._session = get_session()

    async def keys(self) -> TemporaryKeys:
        """
        Return new keys.

        Raises:
            PodIdentityError: no token, a refusal, or no answer within the deadline.
        """
        identity = self._identity
        try:
            async with asyncio.timeout(min(self._service.timeout_seconds, EXCHANGE_SECONDS)):
                if isinstance(identity, WebIdentity):
                    return await self._of_role(identity)
                return await _of_endpoint(identity)
        except (BotoCoreError, aiohttp.ClientError, OSError, ValueError, KeyError) as error:
            raise PodIdentityError(IdentityFailure.UNREACHABLE, identity.where) from error

    async def _of_role(self, identity: WebIdentity) -> TemporaryKeys:
        token = await _token(identity.token_file, identity.where)
        making = self._session.create_client(
            "sts",
            region_name=identity.region or self._service.region,
            endpoint_url=identity.endpoint,
            config=AioConfig(
                signature_version=UNSIGNED,
                connect_timeout=EXCHANGE_SECONDS,
                read_timeout=EXCHANGE_SECONDS,
                retries={"total_max_attempts": 1},
                user_agent="healthingest",
                parameter_validation=False,
                http_session_cls=self._service.session_class,
            ),
        )
        async with making as client:
            try:
                answer = await client.assume_role_with_web_identity(
                    RoleArn=identity.role_arn,
                    RoleSessionName=identity.session_name,
                    WebIdentityToken=token,
                )
            except ClientError as error:
                status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
                code = str(error.response.get("Error", {}).get("Code", ""))
                raise refusal(identity.where, status, code) from None
        return keys_in(answer["Credentials"], datetime.now(UTC))


async def _of_endpoint(identity: ContainerIdentity) -> TemporaryKeys:
    if not identity.is_allowed:
        raise PodIdentityError(IdentityFailure.REFUSED, identity.where, "EndpointNotAllowed")
    headers = {"Accept": "application/json"}
    if identity.token_file is not None:
        headers["Authorization"] = await _token(identity.token_file, identity.where)
    async with (
        aiohttp.ClientSession() as session,
        session.get(identity.uri, headers=headers, allow_redirects=False) as answer,
    ):
        if answer.status != _OK:
            raise refusal(identity.where, answer.status, f"HTTP{answer.status}")
        return await keys_in_body(answer.content.iter_any(), datetime.now(UTC))


async def _token(path: Path, where: str) -> str:
    try:
        token = (await asyncio.to_thread(path.read_text, encoding="ascii")).strip()
    except (OSError, ValueError):
        token = ""
    if not token:
        raise PodIdentityError(IdentityFailure.NO_TOKEN, where)
    return token
