"""An HTTP server with scripted answers, for failures that a correct server does not show."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from support.servers.loopback import tcp_server

HANG_UP = "hang up"


@dataclass
class ScriptedServer:
    """
    Each request gets the next answer: raw bytes, or `HANG_UP`.

    `requests` has the first lines of the requests, `heads` their headers by name in lower case.
    """

    answers: list[bytes | str]
    port: int = 0
    requests: list[str] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request after the other."""
        try:
            while (head := await reader.readuntil(b"\r\n\r\n")) and self.answers:
                if b"expect: 100-continue" in head.lower():
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                headers = _headers(head)
                await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append(head.split(b"\r\n", 1)[0].decode())
                self.heads.append(headers)
                answer = self.answers.pop(0)
                if isinstance(answer, str):
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name.lower(): value.strip() for name, _, value in pairs}


def answer(status: int, code: str = "", headers: Iterable[str] = ()) -> bytes:
    """An S3 answer; with *code* an error in XML."""
    body = (
        f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>"
        if code
        else ""
    )
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def head_answer(size_bytes: int, sha256: str) -> bytes:
    """The answer to a HEAD: a length without a body."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {size_bytes}", f"x-amz-meta-sha256: {sha256}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@asynccontextmanager
async def scripted_server(*answers: bytes | str) -> AsyncIterator[ScriptedServer]:
    """A running server."""
    scripted = ScriptedServer(list(answers))
    async with tcp_server(scripted.serve) as port:
        scripted.port = port
        yield scripted
