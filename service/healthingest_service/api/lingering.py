"""A lingering close, which does not lose the response, and responses sent by one system call."""

import asyncio
from collections.abc import Callable
from typing import Final

_GATHER_BYTES: Final = 64 * 1024


class LingeringTransport:
    """
    A transport whose `close` waits for a peer that may still be sending.

    If a socket is closed while its peer sends, TCP resets the connection, and the peer may never
    read the response. So `close` ends only the server's side. The connection closes when the peer
    has ended its side too, or after *linger_seconds*. The protocol discards bytes that arrive
    meanwhile.

    What is written in one iteration of the event loop, such as the head and the body of a response,
    is sent by one system call.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        may_be_sending: Callable[[], bool],
        linger_seconds: float,
    ) -> None:
        self._transport = transport
        self._may_be_sending = may_be_sending
        self._linger_seconds = linger_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self.is_ending = False

    def close(self) -> None:
        """Flush the write buffer, then close as the class describes."""
        if self.is_closing():
            return
        self.flush()
        self.is_ending = True
        if not self._may_be_sending():
            self._transport.close()
            return
        self._transport.resume_reading()
        self._transport.write_eof()
        self._timer = asyncio.get_running_loop().call_later(
            self._linger_seconds, self._transport.abort
        )

    def abort(self) -> None:
        """Close at once; the write buffer is discarded."""
        self.is_ending = True
        self._gathered = []
        self._transport.abort()

    def abort_soon(self) -> None:
        """
        Close in the next iteration of the event loop.

        uvloop writes at the end of an iteration. What the peer's socket does not take then is
        discarded.
        """
        self.flush()
        self.is_ending = True
        asyncio.get_running_loop().call_soon(self._transport.abort)

    def closed(self) -> None:
        """Cancel the timer, after the connection has closed."""
        self._gathered = []
        if self._timer is not None:
            self._timer.cancel()

    def is_closing(self) -> bool:
        """Return whether the transport is closing: nothing more may be written."""
        return self.is_ending or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """See `asyncio.WriteTransport.write`."""
        if not data:
            return
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self.flush)
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= _GATHER_BYTES:  # a body in many pieces must not stay in memory
            self.flush()

    def flush(self) -> None:
        """Pass on what was gathered: needed before anything but `close` closes the transport."""
        gathered = self._gathered
        self._gathered = []
        self._gathered_bytes = 0
        if gathered and not self._transport.is_closing():
            self._transport.writelines(gathered)

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport.pause_reading`."""
        if not self.is_ending:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """See `asyncio.ReadTransport.resume_reading`."""
        if not self.is_ending:
            self._transport.resume_reading()

    def get_extra_info(self, name: str, default: object = None) -> object:
        """See `asyncio.BaseTransport.get_extra_info`."""
        return self._transport.get_extra_info(name, default)
