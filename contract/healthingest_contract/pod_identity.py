"""
The identity of a pod: the variables that describe it, and the renewal of its temporary keys.

The variables are those of the AWS SDKs, which admission webhooks set: a role with a projected token
of the ServiceAccount (IRSA, and any S3 server with AssumeRoleWithWebIdentity), or an endpoint in
the node (EKS Pod Identity). Source: AWS SDKs and Tools reference guide, "Assume role credential
provider" and "Container credential provider". This module does no I/O; adapters do.
"""

import asyncio
import ipaddress
import json
import re
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

ACCESS_KEY_ID: Final = "AWS_ACCESS_KEY_ID"
ROLE_ARN: Final = "AWS_ROLE_ARN"
TOKEN_FILE: Final = "AWS_WEB_IDENTITY_TOKEN_FILE"  # noqa: S105 - a variable's name
SESSION_NAME: Final = "AWS_ROLE_SESSION_NAME"
STS_ENDPOINT: Final = "AWS_ENDPOINT_URL_STS"
REGIONS: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
CONTAINER_URI: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
CONTAINER_TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105 - the same

AWS_AUDIENCE: Final = "sts.amazonaws.com"
"""The audience of tokens for AWS STS (Amazon EKS user guide, "IAM roles for service accounts")."""
TOKEN_SECONDS: Final = 86400
"""Lifetime of a projected token, as in EKS; kubelet renews it after 80 % of it."""
AGENT_ADDRESSES: Final = ("169.254.170.23/32", "fd00:ec2::23/128")
"""The EKS Pod Identity Agent (Amazon EKS user guide, "EKS Pod Identity Agent")."""
AGENT_PORT: Final = 80
_LINK_LOCAL: Final = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
"""Hosts that the SDKs allow without TLS, besides loopback addresses."""
_DEFAULT_SESSION: Final = "healthingest"

_RENEWED_AFTER: Final = 0.75
_EXPIRED_AFTER: Final = 0.95
"""Shares of the keys' lifetime: keys are renewed after the first, and not used after the second."""
EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
"""Codes of S3 for keys that have expired (Amazon S3 API reference, "Error responses")."""
UNUSABLE: Final = EXPIRED | {"InvalidAccessKeyId", "InvalidToken", "InvalidTokenId", "400"}
"""Codes after which new keys may help; an answer to HEAD has only the status as its code."""
EXCHANGE_SECONDS: Final = 10.0
"""Longest time of one request for keys."""
_PASSING: Final = frozenset({"IDPCommunicationError", "SlowDown", "Throttling", "HTTP429"})
"""Codes of temporary failures (AWS STS API reference, "AssumeRoleWithWebIdentity", Errors)."""
_SERVER_ERROR: Final = 500
RETRY_SECONDS: Final = 2.0
"""Seconds between two attempts to get keys after a failure."""
_MAX_BODY_BYTES: Final = 64 * 1024
_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{2,60}")


class IdentityFailure(StrEnum):
    """Why a pod has no temporary keys."""

    NO_TOKEN = "no-token"  # noqa: S105 - not a secret
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


class PodIdentityError(Exception):
    """
    The pod has no temporary keys. `where` is host and port of the token service.

    `code` is the error code of a refusal (letters and digits), else empty.
    """

    def __init__(self, failure: IdentityFailure, where: str, code: str = "") -> None:
        self.failure: Final = failure
        self.where: Final = where
        self.code: Final = code if _CODE.fullmatch(code) else ""
        super().__init__(f"{failure.value} ({where})")


@dataclass(frozen=True, slots=True)
class WebIdentity:
    """A role, for which a token service gives keys in exchange for the token in a file."""

    role_arn: str
    token_file: Path
    session_name: str = _DEFAULT_SESSION
    endpoint: str | None = None
    region: str | None = None

    @property
    def where(self) -> str:
        """Host and port of the token service."""
        return urlsplit(self.endpoint).netloc.rpartition("@")[2] if self.endpoint else "AWS STS"


@dataclass(frozen=True, slots=True)
class ContainerIdentity:
    """An endpoint that gives keys; the token in the file authorises the request."""

    uri: str
    token_file: Path | None = None

    @property
    def where(self) -> str:
        """Host and port of the endpoint."""
        return urlsplit(self.uri).netloc.rpartition("@")[2]

    @property
    def is_allowed(self) -> bool:
        """Whether the endpoint may be asked: by TLS, or on the node itself."""
        parts = urlsplit(self.uri)
        host = parts.hostname or ""
        return parts.scheme == "https" or host in _LINK_LOCAL or _is_loopback(host)


PodIdentity: TypeAlias = WebIdentity | ContainerIdentity


def pod_identity(environment: Mapping[str, str]) -> PodIdentity | None:
    """
    Return the identity that *environment* describes; None: it describes none.

    A role takes precedence over an endpoint, and a static key over both, as in botocore.
    """
    if environment.get(ACCESS_KEY_ID):
        return None
    role = environment.get(ROLE_ARN)
    token_file = environment.get(TOKEN_FILE)
    if role and token_file:
        return WebIdentity(
            role,
            Path(token_file),
            environment.get(SESSION_NAME) or _DEFAULT_SESSION,
            environment.get(STS_ENDPOINT) or None,
            next((environment[name] for name in REGIONS if environment.get(name)), None),
        )
    uri = environment.get(CONTAINER_URI)
    if not uri:
        return None
    file = environment.get(CONTAINER_TOKEN_FILE)
    return ContainerIdentity(uri, Path(file) if file else None)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class TemporaryKeys:
    """Keys with a session token, and the seconds for which they are valid from now."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    lifetime_seconds: float


def keys_in(answer: object, now: datetime) -> TemporaryKeys:
    """
    Return the keys in a response of STS or of an endpoint.

    The two name the session token differently.

    Raises:
        ValueError: the answer is no object, lacks a part, or has no usable time.
    """
    if not isinstance(answer, Mapping):
        raise ValueError  # noqa: TRY004 - as any other unusable answer
    session = answer.get("SessionToken") or answer.get("Token")
    expires_at = answer.get("Expiration")
    if isinstance(expires_at, str):
        expires_at = datetime.fromisoformat(expires_at)
    key_id = answer.get("AccessKeyId")
    secret = answer.get("SecretAccessKey")
    if not (key_id and secret and session):
        raise ValueError
    if not isinstance(expires_at, datetime) or expires_at.tzinfo is None:
        raise ValueError
    seconds = (expires_at - now).total_seconds()
    return TemporaryKeys(str(key_id), str(secret), str(session), seconds)


async def keys_in_body(chunks: AsyncIterable[bytes], now: datetime) -> TemporaryKeys:
    """
    Return the keys in the JSON body of an endpoint's response.

    Raises:
        ValueError: as `keys_in`, or the body is not JSON or has more than 64 KiB.
    """
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise ValueError
    return keys_in(json.loads(body), now)


def refusal(where: str, status: int, code: str) -> PodIdentityError:
    """Return the error for an answer with this HTTP status and error code."""
    passes = status >= _SERVER_ERROR or code in _PASSING
    failure = IdentityFailure.UNREACHABLE if passes else IdentityFailure.REFUSED
    return PodIdentityError(failure, where, code)


class KeySource:
    """
    Gives valid temporary keys; *exchange* gets new ones, *clock* gives monotonic seconds.

    Keys are renewed before they expire, while callers still get the present ones. All callers share
    one exchange, which continues if a caller is cancelled. After a failure callers without valid
    keys get the same error for two seconds, so the token service gets few requests.
    """

    def __init__(
        self, exchange: Callable[[], Awaitable[TemporaryKeys]], clock: Callable[[], float]
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._keys: TemporaryKeys | None = None
        self._obtained_at = 0.0
        self._failure: PodIdentityError | None = None
        self._failed_at = 0.0
        self._renewing: asyncio.Task[None] | None = None

    async def keys(self) -> TemporaryKeys:
        """
        Return valid keys.

        Raises:
            PodIdentityError: no keys could be obtained.
        """
        if self._age >= _RENEWED_AFTER:
            self._begin()
        if self._age >= _EXPIRED_AFTER and self._renewing is not None:
            await asyncio.shield(self._renewing)
        if self._keys is None or self._age >= _EXPIRED_AFTER:
            raise self._error()
        return self._keys

    def discard(self) -> None:
        """
        Drop the keys, because a server has refused them as expired.

        Keys that are younger than two seconds are kept: the refused request used earlier keys.
        """
        if self._clock() - self._obtained_at >= RETRY_SECONDS:
            self._keys = None

    async def close(self) -> None:
        """End an exchange in progress."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait({self._renewing})

    def _error(self) -> PodIdentityError:
        """Return the last failure; the keys of a successful exchange had expired already."""
        last = self._failure
        if last is None:
            return PodIdentityError(IdentityFailure.REFUSED, "the token service", "ExpiredToken")
        return PodIdentityError(last.failure, last.where, last.code)

    @property
    def _age(self) -> float:
        """The share of the keys' lifetime that has passed; 1: there are no keys."""
        if self._keys is None or self._keys.lifetime_seconds <= 0:
            return 1.0
        return (self._clock() - self._obtained_at) / self._keys.lifetime_seconds

    def _begin(self) -> None:
        """Begin an exchange, unless one is in progress or has just failed."""
        waits = self._failure is not None and self._clock() - self._failed_at < RETRY_SECONDS
        if waits or (self._renewing is not None and not self._renewing.done()):
            return
        self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        began = self._clock()
        try:
            keys = await self._exchange()
        except PodIdentityError as error:
            self._failure = error
            self._failed_at = self._clock()
            return
        self._keys = keys
        self._obtained_at = began
        self._failure = None
