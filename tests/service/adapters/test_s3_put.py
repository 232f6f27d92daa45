"""The PUT of an object: its address, its request, and what an answer means."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from healthingest_contract.s3_signature import encoded_key
from healthingest_service.adapters.s3.body import FileBody
from healthingest_service.adapters.s3.client import (
    S3Access,
    S3Connection,
    call_once,
    open_connection,
    status_of,
)
from healthingest_service.adapters.s3.put import Address, ObjectPut, ObjectSender
from healthingest_service.uploads.errors import StoreRefusedError, StoreUnavailableError
from support.deadlines import HANG_SECONDS
from support.servers.loopback import tcp_server
from support.servers.scripted import HANG_UP, ScriptedServer, answer, scripted_server
from support.uploads import sha256

CONTENT: Final = b"content"
PUT: Final = ObjectPut(
    key="raw/key",
    size_bytes=len(CONTENT),
    sha256=sha256(CONTENT),
    content_type="application/avro",
    metadata={"upload-id": "1"},
    creating={},
)
OK: Final = answer(200)
REFUSED: Final = StoreRefusedError
UNAVAILABLE: Final = StoreUnavailableError
VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "AWS_PROFILE", "AWS_CONFIG_FILE")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Botocore finds nothing of this machine."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def access(endpoint: str | None, **changed: Any) -> S3Access:  # noqa: ANN401 - the fields' types
    """Return the access to a bucket there."""
    plain = S3Access(
        endpoint=endpoint,
        region="us-east-1",
        bucket="data",
        access_key_id="a",
        secret_access_key="b",
        timeout_seconds=5,
    )
    return replace(plain, **changed)


@asynccontextmanager
async def closing_server(sent: bytes) -> AsyncIterator[ScriptedServer]:
    """A server that answers each request with these bytes, and closes the connection."""
    scripted = ScriptedServer([])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        scripted.requests.append(head.partition(b"\r\n")[0].decode())
        if b"expect: 100-continue" in head.lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(len(CONTENT))
        writer.write(sent)

    async with tcp_server(serve) as port:
        scripted.port = port
        yield scripted


@asynccontextmanager
async def sender_at(
    server: ScriptedServer,
    **changed: Any,  # noqa: ANN401 - the fields' types
) -> AsyncIterator[ObjectSender]:
    """A sender to that server."""
    async with open_connection(access(f"http://127.0.0.1:{server.port}", **changed)) as connection:
        yield ObjectSender(connection, "data")


class SentError(Exception):
    """Ends a call of botocore instead of its request."""


async def sent_by_botocore(connection: S3Connection, bucket: str) -> tuple[str, str]:
    """Return address and region of a PUT that botocore would send."""
    sent: list[Any] = []

    def before_send(request: Any, **_: object) -> None:  # noqa: ANN401 - botocore has no types
        sent.append(request)
        raise SentError

    connection.client.meta.events.register("before-send.s3.PutObject", before_send)
    with pytest.raises(SentError):
        await ObjectSender(connection, bucket).send_through_client(PUT, CONTENT)
    scope = sent[0].headers["Authorization"].decode().partition("Credential=")[2]
    return sent[0].url, scope.split("/")[2]


def _parts(url: str) -> tuple[str, str | None, int, str]:
    """Return scheme, host, port and path."""
    parts = urlsplit(url)
    return (
        parts.scheme,
        parts.hostname,
        parts.port or {"http": 80, "https": 443}[parts.scheme],
        (parts.path),
    )


@pytest.mark.parametrize(
    ("region", "bucket", "variable"),
    [
        ("us-east-1", "data", ""),
        ("eu-west-1", "data", ""),
        ("eu-west-1", "da.ta", ""),
        ("us-gov-west-1", "data", ""),
        ("cn-north-1", "data", ""),
        ("eu-west-1", "data", "AWS_USE_DUALSTACK_ENDPOINT"),
        ("cn-north-1", "data", "AWS_USE_DUALSTACK_ENDPOINT"),
        ("us-east-1", "data", "AWS_USE_FIPS_ENDPOINT"),
        ("us-east-1", "arn:aws:s3:us-east-1:123456789012:accesspoint:uploads", ""),
    ],
)
async def test_puts_to_the_address_of_botocore_at_aws(
    monkeypatch: pytest.MonkeyPatch, region: str, bucket: str, variable: str
) -> None:
    """The bucket is a part of the host where its name allows, the region that of the bucket."""
    if variable:
        monkeypatch.setenv(variable, "true")
    await _is_the_address_of_botocore(access(None, region=region, bucket=bucket))


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://s3.example",
        "http://s3.example:80",
        "https://s3.example:443/",
        "https://s3.example:9000",
        "https://s3.example/gateway/s3",
        "http://[::1]:9000",
        "http://[fd00::1]",
        "http://10.0.0.1:9000/",
    ],
)
async def test_puts_to_the_address_of_botocore_elsewhere(endpoint: str) -> None:
    """The bucket is the first part of the path; host, port and path are those of the setting."""
    await _is_the_address_of_botocore(access(endpoint))


async def _is_the_address_of_botocore(where: S3Access) -> None:
    async with open_connection(where) as connection:
        url, region = await sent_by_botocore(connection, where.bucket)
        address = await ObjectSender(connection, where.bucket)._resolve()
    assert address is not None
    ours = f"{address.scheme}://{address.host}{address.path}/{encoded_key(PUT.key)}"
    assert (_parts(ours), address.region) == (_parts(url), region)


OUTPOST: Final = "arn:aws:s3-outposts:us-east-1:123456789012:outpost:op-012345:accesspoint:uploads"


@pytest.mark.parametrize("bucket", ["data--use1-az4--x-s3", OUTPOST])
async def test_leaves_other_signatures_to_the_client(bucket: str) -> None:
    """The bucket of an availability zone needs a session, one of an outpost another name."""
    async with open_connection(access(None, bucket=bucket)) as connection:
        assert await ObjectSender(connection, bucket)._resolve() is None


async def test_leaves_a_configured_signature_to_the_client(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The configuration file of the AWS tools names version 2, for an old server."""
    file = tmp_path / "config"
    file.write_text("[default]\ns3 =\n    signature_version = s3\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    async with open_connection(access("http://s3.example")) as connection:
        assert await ObjectSender(connection, "data")._resolve() is None


@pytest.mark.parametrize(
    ("creating", "headers"),
    [
        ({}, {}),
        ({"ServerSideEncryption": "AES256"}, {"x-amz-server-side-encryption": "AES256"}),
        (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:eu:1:key/2"},
            {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:eu:1:key/2",
            },
        ),
    ],
)
async def test_sends_the_headers_of_botocore(
    creating: dict[str, str], headers: dict[str, str]
) -> None:
    """All that it signs; in addition, the hash of a small body is signed."""
    put = replace(PUT, creating=creating, metadata={"schema-name": "Pulse", "a": "b  c"})
    async with scripted_server(OK, OK) as server, sender_at(server) as sender:
        await sender.send(put, CONTENT)
        await sender.send_through_client(put, CONTENT)
    ours, theirs = (signed_in(head) for head in server.heads)
    assert ours == {**theirs, "x-amz-content-sha256": PUT.sha256, "x-amz-date": ours["x-amz-date"]}
    assert headers.items() <= ours.items()
    assert server.requests == ["PUT /data/raw/key HTTP/1.1"] * 2


def signed_in(head: dict[str, str]) -> dict[str, str]:
    """Return the signed headers of a request."""
    found = re.search("SignedHeaders=([^,]+),", head["authorization"])
    assert found is not None
    return {name: head[name] for name in found[1].split(";")}


async def test_a_small_body_and_a_file_are_sent_differently(tmp_path: Path) -> None:
    """
    A file waits for "100 Continue", which is a round trip, and its server hashes it once.

    In both the signature covers the checksum.
    """
    path = tmp_path / "file.body"
    path.write_bytes(CONTENT)
    async with scripted_server(OK, OK) as server, sender_at(server) as sender:
        await sender.send(PUT, CONTENT)
        with path.open("rb") as file:
            await sender.send(PUT, FileBody(file, 0, len(CONTENT)))
    small, large = server.heads
    assert [head.get("expect") for head in (small, large)] == [None, "100-continue"]
    assert small["x-amz-content-sha256"] == PUT.sha256
    assert large["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    for head in (small, large):
        assert signed_in(head)["x-amz-checksum-sha256"] == PUT.checksum


MAPPED: Final = [
    (answer(400, "BadDigest"), REFUSED),
    (answer(400, "XAmzContentSHA256Mismatch"), REFUSED),
    (answer(400, "RequestTimeout"), UNAVAILABLE),
    (answer(400, "ExpiredToken"), UNAVAILABLE),
    (answer(400), REFUSED),
    (answer(403, "AccessDenied"), REFUSED),
    (answer(403, "SignatureDoesNotMatch"), REFUSED),
    (answer(403, "InvalidAccessKeyId"), REFUSED),
    (answer(403, "RequestTimeTooSkewed"), UNAVAILABLE),
    (answer(404, "NoSuchBucket"), REFUSED),
    (answer(408), UNAVAILABLE),
    (answer(409, "OperationAborted"), UNAVAILABLE),
    (answer(411, "MissingContentLength"), REFUSED),
    (answer(413, "EntityTooLarge"), REFUSED),
    (answer(417), REFUSED),
    (answer(425), UNAVAILABLE),
    (answer(429, "TooManyRequests"), UNAVAILABLE),
    (answer(500, "InternalError"), UNAVAILABLE),
    (answer(501, "NotImplemented"), REFUSED),
    (answer(502), UNAVAILABLE),
    (answer(503, "SlowDown"), UNAVAILABLE),
    (answer(503, "ServiceUnavailable"), UNAVAILABLE),
    (answer(507, "InsufficientStorage"), UNAVAILABLE),
    (answer(200, "InternalError"), UNAVAILABLE),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<Error>", UNAVAILABLE),
    (b"HTTP/1.1 502 No\r\nContent-Length: 13\r\n\r\n<html></html>", UNAVAILABLE),
    (b"HTTP/1.1 403 No\r\nContent-Length: 12\r\n\r\nno XML <Code", REFUSED),
    (b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n<Er", UNAVAILABLE),
    (b"no HTTP at all\r\n\r\n", UNAVAILABLE),
    (b"", UNAVAILABLE),
]


@pytest.mark.parametrize(("given_answer", "error"), MAPPED)
async def test_an_answer_means_what_it_means_to_botocore(
    given_answer: bytes, error: type[Exception]
) -> None:
    """Both ways raise the same error, with the same status and the same code, after one request."""
    meanings = []
    for name in ("send", "send_through_client"):
        async with closing_server(given_answer) as server, sender_at(server) as sender:
            meanings.append(await meaning(partial(getattr(sender, name), PUT, CONTENT)))
            assert len(server.requests) == 1
    ours, theirs = meanings
    assert ours == theirs
    assert ours[0] is error


async def meaning(call: Callable[[], Awaitable[Any]]) -> tuple[type[Exception], int, str]:
    """Return the error of a PUT, its status and its code."""
    with pytest.raises((StoreRefusedError, StoreUnavailableError)) as raised:
        await call_once(call)
    cause = raised.value.__cause__
    status = status_of(cause)
    code = cause.response["Error"]["Code"] if isinstance(cause, ClientError) else ""
    return raised.type, status, code if status >= 300 else ""


@pytest.fixture(name="opened")
def _opened() -> Iterator[tuple[asyncio.Runner, S3Connection]]:
    """An event loop with one connection, because opening it takes longer than a PUT."""
    opening = open_connection(access("http://127.0.0.1:9"))
    with asyncio.Runner() as runner:
        connection = runner.run(opening.__aenter__())
        yield runner, connection
        runner.run(opening.__aexit__(None, None, None))


def _no_success(sent: Sequence[bytes]) -> bool:
    return not re.match(rb"HTTP/1\.[01] 2", b"".join(sent))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.lists(
        st.binary(max_size=40)
        | st.sampled_from(
            [
                b"HTTP/1.1 ",
                b"HTTP/1.1 403 No\r\n",
                b"HTTP/1.1 503 No\r\n",
                b"Content-Length: 9\r\n",
                b"Content-Length: -1\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Connection: close\r\n",
                b"Set-Cookie: a=b\r\n",
                b"x-amz-checksum-sha256: \xff\r\n",
                b"\r\n",
                b"5\r\n<Erro\r\n",
                b"<Error><Code>AccessDenied</Code></Error>",
            ]
        ),
        max_size=8,
    ).filter(_no_success)
)
def test_no_answer_makes_another_error(
    opened: tuple[asyncio.Runner, S3Connection], sent: list[bytes]
) -> None:
    """Whatever comes back, the PUT is refused or unclear, and never stored."""
    runner, connection = opened

    async def put() -> None:
        async with closing_server(b"".join(sent)) as server:
            sender = ObjectSender(connection, "data")
            sender._address = Address("http", f"127.0.0.1:{server.port}", "/data", "us-east-1")
            await meaning(lambda: sender.send(PUT, CONTENT))

    runner.run(put())


async def test_a_connection_that_was_used_before_is_not_tried_again() -> None:
    """The second PUT may have arrived, so only the caller knows whether it may be repeated."""
    async with scripted_server(OK, HANG_UP, OK) as server, sender_at(server) as sender:
        await sender.send(PUT, CONTENT)
        with pytest.raises(StoreUnavailableError):
            await call_once(lambda: sender.send(PUT, CONTENT))
        assert len(server.requests) == 2


async def test_reads_only_the_beginning_of_an_error() -> None:
    """A refusal without end: its code is known, and the connection is closed."""
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 99999999999\r\n\r\n")
        writer.write(b"<Error><Code>AccessDenied</Code>")
        try:
            while True:
                writer.write(b" " * 65536)
                await writer.drain()
        except ConnectionError:
            closed.set()

    async with (
        asyncio.timeout(HANG_SECONDS),
        tcp_server(serve) as port,
        sender_at(ScriptedServer([], port)) as sender,
    ):
        known = (REFUSED, 403, "AccessDenied")
        assert await meaning(lambda: sender.send(PUT, CONTENT)) == known
        await closed.wait()


async def test_a_cancelled_put_closes_its_connection() -> None:
    """No answer to it can be taken for the answer to a later request."""
    arrived = asyncio.Event()
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        await reader.read()
        closed.set()

    async with (
        asyncio.timeout(HANG_SECONDS),
        tcp_server(serve) as port,
        sender_at(ScriptedServer([], port)) as sender,
    ):
        putting = asyncio.create_task(sender.send(PUT, CONTENT))
        await arrived.wait()
        putting.cancel()
        await asyncio.wait({putting})
        assert putting.cancelled()
        await closed.wait()


MOVED: Final = answer(301, "PermanentRedirect", ["x-amz-bucket-region: eu-central-1"])
MALFORMED: Final = (
    b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region></Error>"
)
OTHER_REGION: Final = b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n%b" % (
    len(MALFORMED),
    MALFORMED,
)


@pytest.mark.parametrize("moved", [MOVED, OTHER_REGION], ids=["redirected", "malformed"])
async def test_the_region_of_the_bucket_is_found_and_kept(moved: bytes) -> None:
    """As botocore finds it, with the same answers; later objects are signed for it at once."""
    async with scripted_server(moved, moved, OK, OK) as server, sender_at(server) as sender:
        await sender.send(PUT, CONTENT)
        await sender.send(PUT, CONTENT)
    scopes = [head["authorization"].split("/")[2] for head in server.heads]
    assert scopes == ["us-east-1", "us-east-1", "eu-central-1", "eu-central-1"]
    assert server.heads[-1]["x-amz-content-sha256"] == PUT.sha256


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_another_redirection_is_a_refusal(status: int) -> None:
    """It is not followed: the signature is valid for one host only."""
    moved = answer(status, "TemporaryRedirect", ["Location: http://127.0.0.1:9/data/raw/key"])
    async with scripted_server(moved, OK) as server, sender_at(server) as sender:
        known = (REFUSED, status, "TemporaryRedirect")
        assert await meaning(lambda: sender.send(PUT, CONTENT)) == known
        assert len(server.requests) == 1


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidAccessKeyId", "AccessDenied"])
async def test_a_refused_key_is_reported(code: str) -> None:
    """The source of temporary keys decides whether it gets new ones."""
    codes: list[str] = []
    async with (
        scripted_server(answer(403, code)) as server,
        open_connection(access(f"http://127.0.0.1:{server.port}")) as connection,
    ):
        sender = ObjectSender(replace(connection, key_refused=codes.append), "data")
        with pytest.raises(ClientError):
            await sender.send(PUT, CONTENT)
    assert codes == [code]


async def test_signs_with_the_keys_that_botocore_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its chain of sources, here the environment with a session token."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "temporary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    nothing = {"access_key_id": None, "secret_access_key": None}
    async with scripted_server(OK) as server, sender_at(server, **nothing) as sender:
        await sender.send(PUT, CONTENT)
    (head,) = server.heads
    assert head["x-amz-security-token"] == "token"
    assert "Credential=temporary/" in head["authorization"]
    assert "x-amz-security-token" in signed_in(head)


async def test_without_keys_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal, because the next attempt cannot do better."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    nothing = {"access_key_id": None, "secret_access_key": None}
    async with scripted_server(OK) as server, sender_at(server, **nothing) as sender:
        with pytest.raises(StoreRefusedError):
            await call_once(lambda: sender.send(PUT, CONTENT))
        assert server.requests == []


@pytest.mark.parametrize("value", ["a\r\nx-amz-acl: public-read", "a\0b", "Ä", "\x7f", "a\tb"])
async def test_metadata_that_no_header_can_have_is_refused(value: str) -> None:
    """Nothing is sent, and the error does not repeat the value."""
    async with scripted_server(OK) as server, sender_at(server) as sender:
        with pytest.raises(StoreRefusedError) as refused:
            await call_once(lambda: sender.send(replace(PUT, metadata={"name": value}), CONTENT))
        assert server.requests == []
    assert value not in str(refused.value.__cause__)
    assert "x-amz-meta-name" in str(refused.value.__cause__)
