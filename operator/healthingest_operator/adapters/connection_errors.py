"""Classification of connection errors by exception types along their chain, never by their text."""

import asyncio
import contextlib
import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from healthingest_contract.related_errors import related_errors
from healthingest_contract.tls import CertificateProblem, certificate_problem
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.status.connection_causes import ConnectionFailure, Connections

_KINDS: Final[tuple[tuple[tuple[type[BaseException], ...], ConnectionFailure], ...]] = (
    ((socket.gaierror, aiohttp.ClientConnectorDNSError), ConnectionFailure.UNKNOWN_NAME),
    ((ssl.SSLError, aiohttp.ClientConnectorSSLError), ConnectionFailure.NOT_TLS),
    ((ConnectionRefusedError,), ConnectionFailure.REFUSED),
    ((TimeoutError,), ConnectionFailure.SILENT),
    (
        (
            ConnectionResetError,
            BrokenPipeError,
            aiohttp.ServerDisconnectedError,
            EOFError,
            asyncio.IncompleteReadError,
        ),
        ConnectionFailure.CLOSED,
    ),
    ((OSError,), ConnectionFailure.REFUSED),
)
_ORIGINALS: Final = ("os_error", "certificate_error")
"""Attributes in which aiohttp keeps the original error."""
_OF_CERTIFICATES: Final = {
    CertificateProblem.UNTRUSTED: ConnectionFailure.UNTRUSTED,
    CertificateProblem.EXPIRED: ConnectionFailure.EXPIRED,
    CertificateProblem.NAME_MISMATCH: ConnectionFailure.NAME_MISMATCH,
}
OF_CERTIFICATES: Final = frozenset(_OF_CERTIFICATES.values())
"""The failures of a server's certificate."""
_SECURE: Final = frozenset({"https", "amqps", "rediss"})
_PORTS: Final = {"http": 80, "amqp": 5672, "redis": 6379}
_PROBE_SECONDS: Final = 2.0
_PROBE_BYTES: Final = 8


async def connection_error(
    causes: Connections, where: str, error: BaseException, address: str
) -> DependencyError:
    """
    Return *error*, raised by a connection to *address*, as a `DependencyError`.

    If the server closed a connection without TLS, a second connection tries TLS: a missing TLS
    scheme is the most common mistake.
    """
    failure = failure_of(error)
    if (
        failure is ConnectionFailure.CLOSED
        and urlsplit(address).scheme not in _SECURE
        and await _speaks_tls(address)
    ):
        failure = ConnectionFailure.WANTS_TLS
    return DependencyError.of(causes[failure], where=where)


async def answer_to(address: str, words: bytes) -> bytes:
    """
    Return the first bytes that a port sends in response to *words*, without TLS.

    Empty: it does not respond in time, or refuses the connection.
    """
    parts = urlsplit(address)
    found = b""
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
    """Whether a TLS handshake succeeds; the certificate is not checked, and no data is sent."""
    parts = urlsplit(address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or _PORTS[parts.scheme], ssl=context
            )
    except (OSError, KeyError):
        return False
    writer.transport.abort()
    return True


def failure_of(error: BaseException) -> ConnectionFailure:
    """Return the kind of failure; an unknown error counts as a server that does not respond."""
    chain = list(related_errors(error, *_ORIGINALS))
    for one in chain:
        # The subclass of aiohttp has no code; the original error follows in the chain.
        if isinstance(one, ssl.SSLCertVerificationError) and hasattr(one, "verify_code"):
            return _OF_CERTIFICATES[certificate_problem(one)]
    for kinds, failure in _KINDS:
        if any(isinstance(one, kinds) for one in chain):
            return failure
    return ConnectionFailure.SILENT


def speaks_otherwise(error: BaseException) -> bool:
    """Whether the server answered an HTTP request with another protocol."""
    errors = related_errors(error, *_ORIGINALS)
    return any(isinstance(one, aiohttp.ClientResponseError) for one in errors)
