"""
A token service (STS) and the node's endpoint for keys, and an S3 server that checks their sessions.

STS verifies signature, audience and expiry of a token, as an OpenID provider signs them; the e2e
lets the cluster verify its own tokens. The module imports no other one of the tests, because the
e2e runs it in a pod. versitygw
refuses session tokens, so a proxy in front of it knows the temporary keys: it verifies the
signature of a request and the expiry of its session, and signs it again with the server's keys.
"""

import base64
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

ROLE_ARN = "arn:aws:iam::111122223333:role/clinic"
AUDIENCE = "sts.amazonaws.com"
SUBJECT = "system:serviceaccount:clinic:uploads"
_KEY = b"the key of the cluster's token issuer"
_XML = "text/xml"


def _part(value: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _signature(text: str) -> str:
    digest = hmac.digest(_KEY, text.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def token(*, audience: str = AUDIENCE, seconds: float = 3600) -> str:
    """Return a token of the ServiceAccount (JWT), which expires after *seconds*."""
    claims = {
        "aud": [audience],
        "sub": SUBJECT,
        "exp": time.time() + seconds,
        "jti": uuid.uuid4().hex,
    }
    text = f"{_part({'alg': 'HS256'})}.{_part(claims)}"
    return f"{text}.{_signature(text)}"


class Gateway(Protocol):
    """The real S3 server, and its keys."""

    @property
    def endpoint(self) -> str:
        """Its address."""

    @property
    def region(self) -> str:
        """Its region."""

    @property
    def bucket(self) -> str:
        """Its bucket."""

    @property
    def access_key_id(self) -> str:
        """Its access key."""

    @property
    def secret_access_key(self) -> str:
        """Its secret key."""


@dataclass
class Session:
    """Temporary keys, and when they expire, in seconds since the epoch."""

    access_key_id: str
    secret_access_key: str
    token: str
    expires_at: float


@dataclass
class TokenService:
    """
    The state of the three servers.

    `verify` returns the code with which a token is refused; by default the tests' own tokens are
    verified. `refusal` makes STS refuse every token with this code. `accepted` has the tokens that
    were exchanged, `refused` counts refused exchanges, `expired` counts S3 requests with an expired
    session.
    """

    folder: Path
    gateway: Gateway
    port: int = 0
    verify: Callable[[str], Awaitable[str]] | None = None
    lifetime_seconds: float = 3600
    refusal: str = ""
    agent_token: str = "the agent's token"
    accepted: list[str] = field(default_factory=list)
    refused: int = 0
    expired: int = 0
    sessions: dict[str, Session] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """The address of STS and of the S3 server, which are one as in MinIO and Ceph."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token_file(self) -> Path:
        """The file of the projected token."""
        return self.folder / "token"

    @property
    def role_environment(self) -> dict[str, str]:
        """The variables of a pod with a role, as the webhook of EKS sets them."""
        return {
            "AWS_ROLE_ARN": ROLE_ARN,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(self.token_file),
            "AWS_ENDPOINT_URL_STS": self.endpoint,
            "AWS_REGION": self.gateway.region,
        }

    @property
    def agent_environment(self) -> dict[str, str]:
        """The variables of a pod with EKS Pod Identity."""
        file = self.folder / "agent-token"
        file.write_text(self.agent_token)
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.endpoint}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(file),
        }

    def project(self, *, audience: str = AUDIENCE, seconds: float = 3600) -> str:
        """Write a new token into the file, as kubelet does; return it."""
        made = token(audience=audience, seconds=seconds)
        self.token_file.write_text(made + "\n")
        return made

    def expire_sessions(self) -> None:
        """Let all sessions expire now."""
        for session in self.sessions.values():
            session.expires_at = 0.0

    async def problem_of(self, text: str, role: str) -> str:
        """Return the code with which STS refuses a token; empty: it is accepted."""
        if self.refusal or role != ROLE_ARN:
            return self.refusal or "AccessDenied"
        if self.verify is not None:
            return await self.verify(text)
        signed, _, signature = text.rpartition(".")
        if not signed or not hmac.compare_digest(signature, _signature(signed)):
            return "InvalidIdentityToken"
        body = signed.partition(".")[2]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        if claims["aud"] != [AUDIENCE] or claims["sub"] != SUBJECT:
            return "AccessDenied"
        return "" if claims["exp"] > time.time() else "ExpiredTokenException"

    def new_session(self) -> tuple[Session, str]:
        """Return a session, and when it expires, RFC 3339."""
        expires = datetime.now(UTC) + timedelta(seconds=self.lifetime_seconds)
        session = Session(
            f"ASIA{uuid.uuid4().hex.upper()[:16]}",
            uuid.uuid4().hex,
            uuid.uuid4().hex,
            expires.timestamp(),
        )
        self.sessions[session.token] = session
        return session, expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _error(status: int, code: str) -> web.Response:
    error = f"<Error><Code>{code}</Code><Message>secret words</Message></Error>"
    text = f"<ErrorResponse>{error}</ErrorResponse>"
    return web.Response(status=status, text=text, content_type=_XML)


async def _sts(service: TokenService, request: web.Request) -> web.Response:
    form = {name: values[0] for name, values in parse_qs(await request.text()).items()}
    if form.get("Action") != "AssumeRoleWithWebIdentity" or "Authorization" in request.headers:
        return _error(400, "InvalidAction")
    text = form.get("WebIdentityToken", "")
    code = await service.problem_of(text, form.get("RoleArn", ""))
    if code:
        service.refused += 1
        return _error(503 if code == "ServiceUnavailable" else 400, code)
    service.accepted.append(text)
    session, expires = service.new_session()
    answer = (
        '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        "<AssumeRoleWithWebIdentityResult><Credentials>"
        f"<AccessKeyId>{session.access_key_id}</AccessKeyId>"
        f"<SecretAccessKey>{session.secret_access_key}</SecretAccessKey>"
        f"<SessionToken>{session.token}</SessionToken><Expiration>{expires}</Expiration>"
        "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
    return web.Response(text=answer, content_type=_XML)


async def _agent(service: TokenService, request: web.Request) -> web.Response:
    if request.headers.get("Authorization") != service.agent_token:
        service.refused += 1
        return web.Response(status=400, text="secret words")
    session, expires = service.new_session()
    return web.json_response(
        {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "Token": session.token,
            "Expiration": expires,
        }
    )


def _is_signed_by(session: Session, region: str, request: web.Request) -> bool:
    """Whether the keys of the session made the signature (AWS Signature Version 4)."""
    fields = dict(
        part.strip().partition("=")[::2]
        for part in request.headers["Authorization"].partition(" ")[2].split(",")
    )
    signed = AWSRequest(
        request.method,
        f"http://{request.headers['Host']}{request.raw_path}",
        headers={name: request.headers[name] for name in fields["SignedHeaders"].split(";")},
    )
    signed.context["timestamp"] = request.headers["X-Amz-Date"]
    credentials = Credentials(session.access_key_id, session.secret_access_key, session.token)
    auth = S3SigV4Auth(credentials, "s3", region)
    text = auth.string_to_sign(signed, auth.canonical_request(signed))
    is_his = fields["Credential"].startswith(f"{session.access_key_id}/")
    return is_his and hmac.compare_digest(auth.signature(text, signed), fields["Signature"])


def _signed_again(gateway: Gateway, request: web.Request, body: bytes) -> AWSRequest:
    own = {
        "authorization",
        "content-length",
        "expect",
        "host",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    }
    headers = {name: value for name, value in request.headers.items() if name.lower() not in own}
    address = f"{gateway.endpoint}{request.raw_path}"
    again = AWSRequest(request.method, address, headers=headers, data=body)
    credentials = Credentials(gateway.access_key_id, gateway.secret_access_key)
    S3SigV4Auth(credentials, "s3", gateway.region).add_auth(again)
    return again


async def _s3(
    service: TokenService, client: aiohttp.ClientSession, request: web.Request
) -> web.Response:
    """Pass a request with a valid session on to the real server."""
    session = service.sessions.get(request.headers.get("X-Amz-Security-Token", ""))
    if session is None or not _is_signed_by(session, service.gateway.region, request):
        return _s3_error(403, "InvalidAccessKeyId")
    if session.expires_at <= time.time():
        service.expired += 1
        return _s3_error(400, "ExpiredToken")
    body = await request.read()
    again = _signed_again(service.gateway, request, body)
    async with client.request(
        request.method,
        URL(str(again.url), encoded=True),
        headers=dict(again.headers.items()),
        data=body or None,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        auto_decompress=False,
    ) as answer:
        kept = {
            name: value
            for name, value in answer.headers.items()
            if name.lower() not in {"transfer-encoding", "connection", "date", "content-length"}
        }
        if request.method == "HEAD" and "Content-Length" in answer.headers:
            kept["Content-Length"] = answer.headers["Content-Length"]
        return web.Response(status=answer.status, headers=kept, body=await answer.read())


def _s3_error(status: int, code: str) -> web.Response:
    return web.Response(
        status=status, text=f"<Error><Code>{code}</Code></Error>", content_type="application/xml"
    )


@asynccontextmanager
async def token_service(gateway: Gateway, folder: Path) -> AsyncIterator[TokenService]:
    """Serve STS, the endpoint of a node, and the S3 server *gateway* at one address."""
    service = TokenService(folder, gateway)
    service.project()
    async with serving(service, "127.0.0.1", 0):
        yield service


@asynccontextmanager
async def serving(service: TokenService, host: str, port: int) -> AsyncIterator[None]:
    """Serve *service* on a port; 0: a free one."""
    async with aiohttp.ClientSession() as client:

        async def handle(request: web.Request) -> web.StreamResponse:
            if request.method == "POST" and request.path == "/":
                return await _sts(service, request)
            if request.path == "/v1/credentials":
                return await _agent(service, request)
            return await _s3(service, client, request)

        application = web.Application(client_max_size=64 * 2**20)
        application.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(application, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        await site.start()
        service.port = runner.addresses[0][1]
        try:
            yield
        finally:
            await runner.cleanup()
