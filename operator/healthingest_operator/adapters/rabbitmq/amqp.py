"""
A check of RabbitMQ's AMQP port, and a login as a user of a virtual host.

pamqp, which encodes the frames, is imported only for a login.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from healthingest_operator.adapters.connection_errors import answer_to, connection_error, failure_of
from healthingest_operator.adapters.tls import context_of
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import BrokerAccess, BrokerUser
from healthingest_operator.resources.topology import Login
from healthingest_operator.status import outside_causes as causes
from healthingest_operator.status.connection_causes import ConnectionFailure

_PROTOCOL_HEADER: Final = b"AMQP\x00\x00\x09\x01"  # AMQP 0-9-1, section 4.2.2
_METHOD_FRAME: Final = b"\x01"  # section 4.2.3: the server's first answer is connection.start
_TLS_ALERT: Final = b"\x15"  # RFC 8446, section 5.1
_LIMIT: Final = re.compile(r"((?:connection limit|maximum allowed (?:user )?limit of) \(\d+\))")
ACCESS_REFUSED: Final = 403
_GOOD_BYE: Final = 200
_LINES: Final = b"GET / HTTP/1.0\r\n\r\n"
_LINE: Final = re.compile(rb"^(HTTP/|[+-])")
"""The beginning of a response of HTTP and Redis."""
_HEAD_BYTES: Final = 7  # section 4.2.3: type, channel, size
_LARGEST_FRAME: Final = 2**20


async def speak_amqp(access: BrokerAccess | BrokerUser, timeout_seconds: float) -> None:
    """
    Return if the port speaks AMQP 0-9-1.

    Raises:
        DependencyError: it cannot be reached, or speaks another protocol.
    """
    amqp_url = access.amqp_url
    where = place(amqp_url)
    try:
        async with asyncio.timeout(timeout_seconds):
            first = await _first_byte(access)
    except (TimeoutError, OSError) as error:
        raise await _no_answer(amqp_url, error) from error
    if first in {b"", _TLS_ALERT}:
        raise await _no_answer(amqp_url, EOFError())
    if first != _METHOD_FRAME:
        raise DependencyError.of(causes.NOT_AMQP, where=where)


async def _no_answer(amqp_url: str, error: BaseException) -> DependencyError:
    """
    Return the error for a port that sent no AMQP response.

    A server of a line protocol (HTTP, Redis) waits for the end of a line, and closes the connection
    after a while. A second connection therefore sends lines.
    """
    found = failure_of(error)
    where = place(amqp_url)
    if found in {ConnectionFailure.SILENT, ConnectionFailure.CLOSED} and _LINE.match(
        await answer_to(amqp_url, _LINES)
    ):
        return DependencyError.of(causes.NOT_AMQP, where=where)
    return await connection_error(causes.AMQP, where, error, amqp_url)


async def _first_byte(access: BrokerAccess | BrokerUser) -> bytes:
    async with conversation(access) as talk:
        return await talk.first_byte()


async def log_in(
    access: BrokerAccess, virtual_host: str, login: Login, timeout_seconds: float
) -> None:
    """
    Open a connection and a channel as *login*, as the service does, and close them again.

    Raises:
        DependencyError: the broker refuses one of them. Its message is only searched for a limit,
            and not repeated.
    """
    amqp_url = access.amqp_url
    where = place(amqp_url)
    named = {"where": where, "user": login.name, "host": virtual_host}
    try:
        async with asyncio.timeout(timeout_seconds), conversation(access) as talk:
            closed = await talk.log_in(virtual_host, login)
    except (TimeoutError, OSError, EOFError) as error:
        raise await connection_error(causes.AMQP, where, error, amqp_url) from error
    except NoAmqpError as error:
        raise DependencyError.of(causes.NOT_AMQP, where=where) from error
    if closed is not None:
        raise _refused(*closed, named)


def _refused(code: int, words: str, named: dict[str, str]) -> DependencyError:
    limit = limit_in(words)
    if limit:
        return DependencyError.of(causes.CONNECTION_LIMIT, **named, limit=limit)
    if is_login_refused(code, words):
        return DependencyError.of(causes.RELAY_LOGIN, where=named["where"], user=named["user"])
    return DependencyError.of(causes.VIRTUAL_HOST_REFUSED, **named)


def is_login_refused(code: int, words: str) -> bool:
    """Whether the broker refuses user or password."""
    return code == ACCESS_REFUSED and "Login was refused" in words


def limit_in(words: str) -> str | None:
    """Return the connection limit that the broker names; None: it names none."""
    found = _LIMIT.search(words)
    return found[1] if found else None


class NoAmqpError(Exception):
    """The server sent bytes that are not an AMQP frame."""


class Conversation:
    """
    The first frames of a connection, encoded by pamqp.

    aiormq would drop the reason of a refused `open`.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def first_byte(self) -> bytes:
        """
        Return the first byte of the response to the protocol header.

        Empty: the server closed the connection.
        """
        self._writer.write(_PROTOCOL_HEADER)
        return await self._reader.read(1)

    async def authenticate(self, user: str, password: str) -> tuple[int, str] | None:
        """Return code and text of the broker's refusal; None: it accepts the login."""
        from pamqp import commands  # noqa: PLC0415 - see the module's docstring

        self._writer.write(_PROTOCOL_HEADER)
        await self._read()  # connection.start
        able: Any = {"capabilities": {"authentication_failure_close": True}}
        secret = f"\0{user}\0{password}"
        tune = await self.ask(0, commands.Connection.StartOk(able, "PLAIN", secret, "en_US"))
        if isinstance(tune, commands.Connection.Close):
            return tune.reply_code or 0, tune.reply_text
        if not isinstance(tune, commands.Connection.Tune):
            raise NoAmqpError
        self.send(0, commands.Connection.TuneOk(tune.channel_max, tune.frame_max, 0))
        return None

    async def log_in(self, virtual_host: str, login: Login) -> tuple[int, str] | None:
        """Return code and text of the broker's refusal; None: the login succeeded."""
        from pamqp import commands  # noqa: PLC0415 - see the module's docstring

        refused = await self.authenticate(login.name, login.password)
        if refused is not None:
            return refused
        for channel, frame in (
            (0, commands.Connection.Open(virtual_host)),
            (1, commands.Channel.Open()),
        ):
            answer = await self.ask(channel, frame)
            if isinstance(answer, commands.Connection.Close | commands.Channel.Close):
                return answer.reply_code or 0, answer.reply_text
        await self.close()
        return None

    async def close(self) -> None:
        """Close the connection as the protocol requires."""
        from pamqp import commands  # noqa: PLC0415 - see the module's docstring

        await self.ask(0, commands.Connection.Close(_GOOD_BYE, "", 0, 0))

    async def ask(self, channel: int, frame: Any) -> object:  # noqa: ANN401 - any AMQP command
        """Send *frame*, and return the next frame of the broker."""
        self.send(channel, frame)
        return await self._read()

    def send(self, channel: int, frame: Any) -> None:  # noqa: ANN401 - any AMQP command
        """Send *frame*."""
        from pamqp import frame as frames  # noqa: PLC0415 - see the module's docstring

        self._writer.write(frames.marshal(frame, channel))

    async def _read(self) -> object:
        from pamqp import exceptions, frame  # noqa: PLC0415 - see the module's docstring

        head = await self._reader.readexactly(_HEAD_BYTES)
        size = int.from_bytes(head[3:], "big")
        if head[:1] != _METHOD_FRAME or size > _LARGEST_FRAME:
            raise NoAmqpError
        rest = await self._reader.readexactly(size + 1)
        try:
            return frame.unmarshal(head + rest)[2]
        except exceptions.PAMQPException as error:
            raise NoAmqpError from error


@asynccontextmanager
async def conversation(access: BrokerAccess | BrokerUser) -> AsyncIterator[Conversation]:
    """Open a connection to the AMQP port, and close it at the end of the context."""
    parts = urlsplit(access.amqp_url)
    secure = parts.scheme == "amqps"
    context = context_of(access.tls) if secure else None
    port = parts.port or (5671 if secure else 5672)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
    try:
        yield Conversation(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def place(amqp_url: str) -> str:
    """Return the address of the AMQP port, for messages."""
    return f"RabbitMQ at {urlsplit(amqp_url).netloc.rpartition('@')[2]} (AMQP)"
