"""A close after which the answer still arrives."""

import asyncio
from collections.abc import Callable
from typing import Any


class LingeringTransport:
    """
    A transport whose `close` waits for a peer that may still be sending.

    A connection that is closed while its peer sends is reset, and the reset may overtake the
    answer. So `close` ends only our side; the connection is closed when the peer has ended too, or
    after *linger_seconds*. The protocol discards what arrives meanwhile.
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
        self.is_ending = False

    def close(self) -> None:
        """Write what is waiting, then close as above."""
        if self.is_closing():
            return
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
        """Close at once; what is waiting is lost."""
        self.is_ending = True
        self._transport.abort()

    def closed(self) -> None:
        """Take note that the connection is gone."""
        if self._timer is not None:
            self._timer.cancel()

    def is_closing(self) -> bool:
        """Whether nothing may be written any more."""
        return self.is_ending or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """See `asyncio.WriteTransport.write`."""
        self._transport.write(data)

    def pause_reading(self) -> None:
        """See `asyncio.ReadTransport.pause_reading`."""
        if not self.is_ending:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """See `asyncio.ReadTransport.resume_reading`."""
        if not self.is_ending:
            self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as asyncio's
        """See `asyncio.BaseTransport.get_extra_info`."""
        return self._transport.get_extra_info(name, default)
