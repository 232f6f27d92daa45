"""Temporary keys of the operator's own identity: requests to STS or to the endpoint on the node."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
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
_DEFAULT_REGION: Final = "us-east-1"


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


def identity_session(source: KeySource) -> AioSession:
    """Return a session that signs with the keys of *source*."""
    session = get_session()
    session.register_component("credential_provider", _Credentials(source))
    return session


def discard_expired(client: Any, source: KeySource) -> None:  # noqa: ANN401 - botocore has no types
    """Make *client* get new keys after the store has refused the present ones."""

    def after_call(parsed: dict[str, Any], **_: object) -> None:
        if parsed.get("Error", {}).get("Code") in UNUSABLE:
            source.discard()

    client.meta.events.register("after-call.s3", after_call)


class Exchange:
    """Exchanges the token of the operator's pod for keys; each call reads the file again."""

    def __init__(self, identity: PodIdentity, timeout_seconds: float) -> None:
        self._identity = identity
        self._timeout_seconds = timeout_seconds
        self._session = get_session()

    async def keys(self) -> TemporaryKeys:
        """
        Return new keys.

        Raises:
            PodIdentityError: no token, a refusal, or no answer within the deadline.
        """
        identity = self._identity
        try:
            async with asyncio.timeout(min(self._timeout_seconds, EXCHANGE_SECONDS)):
                if isinstance(identity, WebIdentity):
                    return await self._of_role(identity)
                return await _of_endpoint(identity)
        except (BotoCoreError, aiohttp.ClientError, OSError, ValueError, KeyError) as error:
            raise PodIdentityError(IdentityFailure.UNREACHABLE, identity.where) from error

    async def _of_role(self, identity: WebIdentity) -> TemporaryKeys:
        token = await _token(identity.token_file, identity.where)
        making = self._session.create_client(
            "sts",
            region_name=identity.region or _DEFAULT_REGION,
            endpoint_url=identity.endpoint,
            config=AioConfig(
                signature_version=UNSIGNED,
                connect_timeout=EXCHANGE_SECONDS,
                read_timeout=EXCHANGE_SECONDS,
                retries={"total_max_attempts": 1},
                user_agent="healthingest-operator",
                parameter_validation=False,
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
