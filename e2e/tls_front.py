"""
TLS in front of the dependencies: a program for a pod, with the standard library only.

It forwards ports to the dependencies' own. New connections use the certificate that the folder has
at that moment, so that a changed Secret needs no restart.
"""

import asyncio
import contextlib
import functools
import json
import ssl
import struct
import sys
from pathlib import Path
from typing import Any

SSL_REQUEST = struct.pack("!II", 8, 80877103)
"""PostgreSQL documentation, "Message Formats"."""
HANDSHAKE_SECONDS = 10


@functools.lru_cache(maxsize=8)
def context_of(text: str, clients: str) -> ssl.SSLContext:
    """Return the context for key and certificate in *text*; *clients*: their authority, if any."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = Path("/tmp/server.pem")  # noqa: S108 - the pod's own emptyDir
    path.write_text(text, encoding="ascii")
    context.load_cert_chain(path)
    if clients:
        context.load_verify_locations(cadata=clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def current(folder: Path, *, asks_client: bool) -> ssl.SSLContext:
    """Return the context for the files that *folder* has now."""
    text = "".join((folder / name).read_text(encoding="ascii") for name in ("tls.key", "tls.crt"))
    clients = (folder / "clients.crt").read_text(encoding="ascii") if asks_client else ""
    return context_of(text, clients)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward everything, then close."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def listen(folder: Path, port: str, rule: dict[str, Any]) -> None:
    """Forward *port* as *rule* says: `host`, `port`, `postgres`, `asks_client`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                if rule.get("postgres"):
                    if await reader.readexactly(len(SSL_REQUEST)) != SSL_REQUEST:
                        writer.close()
                        return
                    writer.write(b"S")
                    await writer.drain()
                await writer.start_tls(current(folder, asks_client=bool(rule.get("asks_client"))))
                inner = await asyncio.open_connection(rule["host"], rule["port"])
        except (OSError, EOFError, TimeoutError):
            writer.close()
            return
        await asyncio.gather(copy(reader, inner[1]), copy(inner[0], writer))

    server = await asyncio.start_server(serve, "", int(port))
    await server.serve_forever()


async def main() -> None:
    """Forward all ports of the JSON object in the second argument."""
    rules = json.loads(sys.argv[2])
    await asyncio.gather(*(listen(Path(sys.argv[1]), port, rules[port]) for port in rules))


if __name__ == "__main__":
    asyncio.run(main())
