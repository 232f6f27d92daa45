"""How many connections may be open, in total and of one address. No I/O."""

from typing import Protocol


class Held(Protocol):
    """
    An open connection.

    `address` is None for one that only the total counts: a trusted proxy's.
    """

    @property
    def address(self) -> str | None:
        """Whom it is counted for."""

    def give_up(self) -> None:
        """Close it at once; it is idle."""


class ConnectionTable:
    """
    The open connections, and which of them are idle.

    Without a request under way, or waiting to be closed.

    A connection that is one too many takes the place of the one that has been idle for longest, of
    its own address where that has its share already; without an idle one it is not admitted. At
    most *limit* + 1 are open: one that was not admitted counts as idle while it is told so.
    """

    def __init__(self, *, limit: int, limit_per_address: int) -> None:
        self._limit = limit
        self._limit_per_address = limit_per_address
        self._idle: dict[Held, None] = {}  # oldest first, as are the next
        self._all: dict[Held, None] = {}
        self._by_address: dict[str, dict[Held, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, connection: Held) -> bool:
        """Count a new connection, which is idle; whether it may stay."""
        of_address = (
            self._by_address.get(connection.address, {}) if connection.address is not None else {}
        )
        is_admitted = True
        if len(of_address) >= self._limit_per_address:
            is_admitted = self._make_room(of_address)
        elif len(self._all) >= self._limit:
            is_admitted = self._make_room(self._idle)
        self._all[connection] = None
        self._idle[connection] = None
        if connection.address is not None:
            self._by_address.setdefault(connection.address, {})[connection] = None
        return is_admitted

    def remove(self, connection: Held) -> None:
        """Count a connection no more. Calling twice is safe."""
        self._all.pop(connection, None)
        self._idle.pop(connection, None)
        of_address = self._by_address.get(connection.address or "")
        if of_address is not None:
            of_address.pop(connection, None)
            if not of_address:
                del self._by_address[connection.address or ""]

    def set_idle(self, connection: Held, *, is_idle: bool) -> None:
        """
        Note whether a counted connection has a request under way.

        It keeps its place if that has not changed.
        """
        if connection not in self._all:
            return
        if not is_idle:
            self._idle.pop(connection, None)
        else:
            self._idle.setdefault(connection)

    def _make_room(self, among: dict[Held, None]) -> bool:
        oldest = next((connection for connection in self._idle if connection in among), None)
        if oldest is None:
            return False
        self.remove(oldest)
        oldest.give_up()
        return True
