"""
What an error of a library says about a connection.

By the types along its chain, never by its text.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.status.connection_causes import Connections, Trouble

_KINDS: Final[tuple[tuple[tuple[type[BaseException], ...], Trouble], ...]] = (
    ((socket.gaierror, aiohttp.ClientConnectorDNSError), Trouble.UNKNOWN_NAME),
    ((ssl.SSLCertVerificationError, aiohttp.ClientConnectorCertificateError), Trouble.UNTRUSTED),
    ((ssl.SSLError, aiohttp.ClientConnectorSSLError), Trouble.NOT_TLS),
    ((ConnectionRefusedError,), Trouble.REFUSED),
    ((TimeoutError,), Trouble.SILENT),
    (
        (
            ConnectionResetError,
            BrokenPipeError,
            aiohttp.ServerDisconnectedError,
            EOFError,
            asyncio.IncompleteReadError,
        ),
        Trouble.CLOSED,
    ),
    ((OSError,), Trouble.REFUSED),
)
_LONGEST_CHAIN: Final = 12
_SECURE: Final = frozenset({"https", "amqps", "rediss"})
_PORTS: Final = {"http": 80, "amqp": 5672, "redis": 6379}
_PROBE_SECONDS: Final = 2.0
_PROBE_BYTES: Final = 8


async def explained(
    causes: Connections, where: str, error: BaseException, address: str
) -> DependencyError:
    """
    *error*, met on the way to *address*, in our words.

    Who hangs up on a client without TLS is asked once more, with it: that tells the most common
    mistake for sure.
    """
    trouble = trouble_of(error)
    if (
        trouble is Trouble.CLOSED
        and urlsplit(address).scheme not in _SECURE
        and await _speaks_tls(address)
    ):
        trouble = Trouble.WANTS_TLS
    return DependencyError.of(causes[trouble], where=where)


async def answer_to(address: str, words: bytes) -> bytes:
    """
    The first bytes that a port answers to *words* without TLS.

    Empty: none in time, or nobody is there.
    """
    parts, found = urlsplit(address), b""
    with contextlib.suppress(OSError):
        async with asyncio.timeout(_PROBE_SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            try:
                writer.write(words)
                found = await reader.read(_PROBE_BYTES)
            finally:
                writer.close()
    return found


async def _speaks_tls(address: str) -> bool:
    """Whether a handshake succeeds; the certificate is not looked at, and nothing is sent."""
    parts = urlsplit(address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or _PORTS[parts.scheme], ssl=context
            )
    except (OSError, KeyError):
        return False
    writer.transport.abort()
    return True


def trouble_of(error: BaseException) -> Trouble:
    """What kind of trouble it is; what is not known is a server that does not answer."""
    chain = list(_chain(error))
    for kinds, trouble in _KINDS:
        if any(isinstance(one, kinds) for one in chain):
            return trouble
    return Trouble.SILENT


def speaks_otherwise(error: BaseException) -> bool:
    """Whether something answered an HTTP request, but not in HTTP."""
    return any(isinstance(one, aiohttp.ClientResponseError) for one in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """With what it was raised from, and what aiohttp and botocore keep inside."""
    waiting, seen = [error], 0
    while waiting and seen < _LONGEST_CHAIN:
        one = waiting.pop(0)
        seen += 1
        yield one
        inner = (
            one.__cause__,
            one.__context__,
            getattr(one, "os_error", None),
            getattr(one, "certificate_error", None),
        )
        waiting += [other for other in inner if isinstance(other, BaseException)]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
