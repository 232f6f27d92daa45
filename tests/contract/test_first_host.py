"""The first suitable host of several."""

import pytest

from healthingest_contract.first_host import first_host


class UnsuitableError(Exception):
    """The host is up, and has not the wanted state."""


HOSTS = (("a", 1), ("b", 2), ("c", 3))


async def connected(errors: dict[str, Exception]) -> tuple[str, list[str]]:
    """Return the host that was chosen, and those that were tried."""
    tried: list[str] = []

    async def connect(host: str, _port: int, seconds: float) -> str:
        assert 0 < seconds <= 10
        tried.append(host)
        if host in errors:
            raise errors[host]
        return host

    found = await first_host(
        HOSTS, connect, timeout_seconds=10, passing=(OSError, UnsuitableError),
        decisive=UnsuitableError,
    )  # fmt: skip
    return found, tried


async def test_later_hosts_are_tried_after_a_failure_only() -> None:
    """A host that is down or unsuitable is passed over."""
    assert await connected({}) == ("a", ["a"])
    errors = {"a": OSError(), "b": UnsuitableError()}
    assert await connected(errors) == ("c", ["a", "b", "c"])


async def test_other_errors_end_the_search() -> None:
    """A refused password is the same on every host."""
    with pytest.raises(LookupError):
        await connected({"a": LookupError()})


async def test_an_unsuitable_host_says_more_than_one_that_is_down() -> None:
    """Else the error is that of the last host."""
    last = OSError("last")
    with pytest.raises(UnsuitableError):
        await connected({"a": OSError(), "b": UnsuitableError(), "c": last})
    with pytest.raises(OSError, match="last"):
        await connected({"a": OSError("first"), "b": OSError(), "c": last})


async def test_each_host_gets_its_share_of_the_time() -> None:
    """What earlier hosts left is shared by those that remain."""
    shares: list[float] = []

    async def connect(_host: str, _port: int, seconds: float) -> str:
        shares.append(round(seconds, 1))
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - all hosts are down
        await first_host(
            HOSTS, connect, timeout_seconds=60_000, passing=(OSError,), decisive=UnsuitableError
        )
    assert [round(share, -3) for share in shares] == [20_000, 30_000, 60_000]
