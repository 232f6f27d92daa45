from dataclasses import dataclass, field

import pytest

from healthingest_service.api.connection_table import ConnectionTable


@dataclass(eq=False)
class Open:
    """A connection that notes its end."""

    address: str | None = None
    given_up: list[None] = field(default_factory=list)

    def give_up(self) -> None:
        """See `Held`."""
        self.given_up.append(None)


@pytest.fixture(name="table")
def _table() -> ConnectionTable:
    return ConnectionTable(limit=4, limit_per_address=2)


def ended(*connections: Open) -> list[bool]:
    """Which of them were given up."""
    return [bool(one.given_up) for one in connections]


def test_the_one_idle_for_longest_makes_room(table: ConnectionTable) -> None:
    """Not the oldest, but the one whose last request is longest ago."""
    first, second, third, fourth, fifth = (Open() for _ in range(5))
    for one in (first, second, third, fourth):
        table.add(one)
    table.set_idle(first, is_idle=False)
    table.set_idle(first, is_idle=True)
    assert table.add(fifth)
    assert ended(first, second, third, fourth, fifth) == [False, True, False, False, False]
    assert len(table) == 4


def test_staying_idle_is_nothing_new(table: ConnectionTable) -> None:
    """Bytes of a head that trickles in do not make a connection younger."""
    first, second, third, fourth = (Open() for _ in range(4))
    for one in (first, second, third, fourth):
        table.add(one)
    table.set_idle(first, is_idle=True)
    table.add(Open())
    assert ended(first, second) == [True, False]


def test_an_address_makes_room_among_its_own(table: ConnectionTable) -> None:
    """Somebody else's connection is not closed for it."""
    other = Open("b")
    first = Open("a")
    second = Open("a")
    third = Open("a")
    for one in (other, first, second, third):
        assert table.add(one)
    assert ended(other, first, second, third) == [False, True, False, False]


def test_requests_under_way_are_left_alone(table: ConnectionTable) -> None:
    """
    Without an idle connection a new one is not admitted.

    It is the first to make room for the next.
    """
    busy = [Open() for _ in range(4)]
    for one in busy:
        table.add(one)
        table.set_idle(one, is_idle=False)
    refused = Open()
    next_one = Open()
    assert not table.add(refused)
    assert table.add(next_one) or ended(refused) == [True]
    assert ended(*busy) == [False] * 4
    assert len(table) <= 5


def test_proxies_count_in_total_alone(table: ConnectionTable) -> None:
    """Without an address there is no limit but the total."""
    connections = [Open(None) for _ in range(4)]
    assert all(table.add(one) for one in connections)
    assert not any(ended(*connections))


def test_what_has_ended_is_forgotten(table: ConnectionTable) -> None:
    """Nothing is kept of it, and it may be removed twice or spoken of late."""
    one = Open("a")
    table.add(one)
    table.remove(one)
    table.remove(one)
    table.set_idle(one, is_idle=True)
    assert (len(table), table._by_address, table._idle) == (0, {}, {})
