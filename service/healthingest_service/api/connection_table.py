"""Limits the number of open connections, in total and per address. No I/O."""

from typing import Protocol


class Held(Protocol):
    """An open connection, as the table sees it."""

    @property
    def address(self) -> str | None:
        """The client address that it counts for; None for a trusted proxy: only the total."""

    def give_up(self) -> None:
        """Close the connection at once; it is idle."""


class ConnectionTable:
    """
    The open connections, and which of them are idle: without a request in progress, or closing.

    At the total limit, a new connection replaces the connection that has been idle longest. At the
    limit of its address, it replaces the longest idle connection of that address. If none is idle,
    the new connection is not admitted. It then counts as idle while it gets its refusal, so at most
    *limit* + 1 connections are open.
    """

    def __init__(self, *, limit: int, limit_per_address: int) -> None:
        self._limit = limit
        self._limit_per_address = limit_per_address
        self._idle: dict[Held, None] = {}  # this and the next two: oldest first
        self._all: dict[Held, None] = {}
        self._by_address: dict[str, dict[Held, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, connection: Held) -> bool:
        """Add a new, idle connection; returns whether it is admitted."""
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
        """Remove a connection. Calling twice is safe."""
        self._all.pop(connection, None)
        self._idle.pop(connection, None)
        of_address = self._by_address.get(connection.address or "")
        if of_address is not None:
            of_address.pop(connection, None)
            if not of_address:
                del self._by_address[connection.address or ""]

    def set_idle(self, connection: Held, *, is_idle: bool) -> None:
        """Record whether a connection is idle; it keeps its position if nothing changed."""
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
