"""A TCP proxy that breaks a connection when given bytes pass, a given number of times."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

from support.servers.loopback import reset, tcp_server

READ_BYTES = 65536
CONTINUE = b"HTTP/1.1 100"
END = b"\r\n\r\n"
TRUNCATED_BYTES = 12


class Harm(StrEnum):
    """The fault of the connection when the last of the bytes pass."""

    CUT_BEFORE = "cut before it arrives"
    CUT_WITHIN = "cut in its middle"
    LOSE_ANSWER = "cut before the answer"
    SWALLOW_ANSWER = "the answer never comes"
    TRUNCATE_ANSWER = "the answer is cut short"
    SLOW = "slow"
    ANSWER = "another answers"


@dataclass
class Trouble:
    """
    *bytes_seen* must pass in this order, from the client, on one connection.

    Another trouble may follow as *then*.
    """

    bytes_seen: tuple[bytes, ...]
    harm: Harm
    seconds: float = 0.0
    answer: bytes = b""
    times: int = 1
    then: "Trouble | None" = None


@dataclass(eq=False)
class Connection:
    """One connection, and the bytes of its trouble that have passed."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    step: int = 0
    tail: bytes = b""
    harm: Harm | None = None


@dataclass
class Proxy:
    """A proxy before one port of loopback. `hits` counts the faults that took effect."""

    target: int
    port: int = 0
    trouble: Trouble | None = None
    hits: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        connection = Connection(writer, to_server)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                async with asyncio.TaskGroup() as tasks:
                    there = tasks.create_task(self._there(reader, connection))
                    back = tasks.create_task(self._back(from_server, connection))
                    await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
                    there.cancel()
                    back.cancel()
        except (ExceptionGroup, asyncio.CancelledError):
            pass  # a side went away, or the run ends
        finally:
            writer.transport.abort()
            await reset(to_server)

    async def _there(self, reader: asyncio.StreamReader, connection: Connection) -> None:
        while data := await reader.read(READ_BYTES):
            trouble = self._struck_by(data, connection)
            if trouble is not None and not await self._harm(trouble, data, connection):
                return
            connection.server.write(data)
            await connection.server.drain()

    async def _harm(self, trouble: Trouble, data: bytes, connection: Connection) -> bool:
        """Inject the fault; return whether the bytes go on to the server."""
        match trouble.harm:
            case Harm.CUT_BEFORE:
                return False
            case Harm.CUT_WITHIN:
                connection.server.write(data[: len(data) // 2])
                await connection.server.drain()
                return False
            case Harm.ANSWER:
                connection.client.write(trouble.answer)
                await connection.client.drain()
                connection.client.close()
                await asyncio.sleep(trouble.seconds)
                return False
            case Harm.SLOW:
                await asyncio.sleep(trouble.seconds)
            case _:
                connection.harm = trouble.harm
        return True

    async def _back(self, reader: asyncio.StreamReader, connection: Connection) -> None:
        while data := await reader.read(READ_BYTES):
            harmless = data if connection.harm is None else _before_the_answer(data)
            connection.client.write(harmless)
            await connection.client.drain()
            if len(harmless) == len(data) or connection.harm is Harm.SWALLOW_ANSWER:
                continue
            if connection.harm is Harm.TRUNCATE_ANSWER:
                connection.client.write(data[len(harmless) :][:TRUNCATED_BYTES])
                await connection.client.drain()
            return
        if connection.harm is Harm.SWALLOW_ANSWER:
            await (
                asyncio.Event().wait()
            )  # the server has hung up, and the client does not learn of it

    def _struck_by(self, data: bytes, connection: Connection) -> Trouble | None:
        trouble = self.trouble
        if trouble is None:
            connection.step = 0
            connection.tail = b""
            return None
        seen = connection.tail + data
        while connection.step < len(trouble.bytes_seen):
            at = seen.find(trouble.bytes_seen[connection.step])
            if at < 0:
                connection.tail = seen[-64:]
                return None
            seen = seen[at + 1 :]
            connection.step += 1
        connection.step = 0
        connection.tail = b""
        trouble.times -= 1
        if trouble.times <= 0:
            self.trouble = trouble.then
        self.hits += 1
        return trouble


def _before_the_answer(data: bytes) -> bytes:
    """Whether these bytes are `100 Continue` only; it can be in one piece with the answer."""
    return data[: data.index(END) + len(END)] if data.startswith(CONTINUE) and END in data else b""


@asynccontextmanager
async def proxy(target: int) -> AsyncIterator[Proxy]:
    """A running proxy."""
    made = Proxy(target)
    async with tcp_server(made.serve) as port:
        made.port = port
        yield made
