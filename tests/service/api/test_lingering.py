import asyncio
from collections.abc import Iterable

from typing_extensions import override

from healthingest_service.api.lingering import LingeringTransport


class Recorded(asyncio.Transport):
    """A transport that keeps what it is told, in place of a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[object] = []

    @override
    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.told.append([bytes(one) for one in list_of_data])

    @override
    def close(self) -> None:
        self.told.append("close")

    @override
    def abort(self) -> None:
        self.told.append("abort")

    @override
    def is_closing(self) -> bool:
        return "close" in self.told or "abort" in self.told


def lingering(inner: Recorded) -> LingeringTransport:
    """A transport whose peer sends nothing more."""
    return LingeringTransport(inner, may_be_sending=lambda: False, linger_seconds=1.0)


async def test_head_and_body_of_a_response_are_sent_together() -> None:
    """Each system call wakes the client, and takes as long as a tenth of a small upload."""
    inner = Recorded()
    transport = lingering(inner)
    for piece in (b"head", b"body", b""):
        transport.write(piece)
    assert inner.told == []
    await asyncio.sleep(0)
    transport.write(b"next")
    await asyncio.sleep(0)
    assert inner.told == [[b"head", b"body"], [b"next"]]


async def test_what_is_written_at_once_does_not_grow_in_memory() -> None:
    """A body in many pieces is sent while they come, also if nothing else runs meanwhile."""
    inner = Recorded()
    transport = lingering(inner)
    piece = b"x" * 1000
    for _ in range(200):
        transport.write(piece)
    sent = sum(len(data) for told in inner.told if isinstance(told, list) for data in told)
    assert sent > 200_000 - 64 * 1024 - 1000


async def test_close_sends_first_what_was_written() -> None:
    """A refusal is written and the connection closed in one go."""
    inner = Recorded()
    transport = lingering(inner)
    transport.write(b"refused")
    transport.close()
    await asyncio.sleep(0)
    assert inner.told == [[b"refused"], "close"]


async def test_abort_sends_nothing_more() -> None:
    """The connection is gone: a write would raise."""
    inner = Recorded()
    transport = lingering(inner)
    transport.write(b"too late")
    transport.abort()
    await asyncio.sleep(0)
    assert inner.told == ["abort"]
