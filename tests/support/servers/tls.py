"""Certificate authorities for tests, and TLS in front of a port."""

import asyncio
import contextlib
import ipaddress
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.servers.loopback import Serve, reset, tcp_server


def certificate(folder: Path) -> Path:
    """Return a new key and its own certificate for 127.0.0.1 in one file in *folder*."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    )
    builder = builder.serial_number(x509.random_serial_number())
    made = (
        builder.not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    path = folder / "server.pem"
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(text + made.public_bytes(serialization.Encoding.PEM))
    return path


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes

    def server_context(self, folder: Path, *, clients: "Authority | None" = None) -> ssl.SSLContext:
        """Return the context of a server; with *clients* it requires their certificates."""
        path = folder / f"{token_hex(4)}.pem"
        path.write_bytes(self.key + self.certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if clients is not None:
            context.load_verify_locations(cadata=clients.bundle.decode())
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class Authority:
    """A private certificate authority with a name of its own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, token_hex(8))])
        now = datetime.now(UTC)
        public = self._key.public_key()
        made = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=9))
            .not_valid_after(now + timedelta(days=9))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.bundle = made.public_bytes(serialization.Encoding.PEM)
        """The certificate of the authority, in PEM."""

    def issue(self, host: str = "127.0.0.1", *, days: int = 1) -> Issued:
        """Return a certificate for *host*, which ends in *days*; negative: it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        now = datetime.now(UTC)
        try:
            general: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            general = x509.DNSName(host)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=8))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([general]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        plain = serialization.NoEncryption()
        pkcs8 = serialization.PrivateFormat.PKCS8
        return Issued(
            made.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(serialization.Encoding.PEM, pkcs8, plain),
        )


@asynccontextmanager
async def tls_front(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Yield a port that speaks TLS and forwards to *port* of loopback."""
    async with tcp_server(_forward(port), context) as outer:
        yield outer


_SSL_REQUEST = struct.pack("!II", 8, 80877103)
"""PostgreSQL documentation, "Message Formats"."""


@asynccontextmanager
async def postgres_tls_front(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Yield a port that requires TLS as PostgreSQL does, and forwards to *port* of loopback."""
    forward = _forward(port)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(8) != _SSL_REQUEST:
            return
        writer.write(b"S")
        await writer.drain()
        with contextlib.suppress(ssl.SSLError):
            await writer.start_tls(context)
            await forward(reader, writer)

    async with tcp_server(serve) as outer:
        yield outer


def front_of(kind: str, port: int, context: ssl.SSLContext) -> AbstractAsyncContextManager[int]:
    """Return the TLS front of a dependency; that of a `database` begins as PostgreSQL does."""
    return (postgres_tls_front if kind == "database" else tls_front)(port, context)


def _forward(port: int) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            await reset(inner_writer)

    return serve


@asynccontextmanager
async def untrusted_tls(port: int, folder: Path) -> AsyncIterator[int]:
    """Yield a port that speaks TLS and forwards to *port* of loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(folder))
    async with tls_front(port, context) as outer:
        yield outer


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
