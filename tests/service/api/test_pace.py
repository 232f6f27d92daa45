import pytest

from healthingest_service.api.pace import Pace
from healthingest_service.uploads.errors import BodyTooSlowError


def _pace(*, rate: int = 1000, deadline: float = 900.0) -> Pace:
    return Pace(window_seconds=30.0, min_bytes_per_second=rate, deadline_seconds=deadline)


def _bears(pace: Pace, size_bytes: int, *, every_seconds: float, at_most: int = 10_000) -> int:
    """So many such chunks come until it is too slow."""
    for number in range(at_most):
        try:
            pace.count(size_bytes, waited_seconds=every_seconds)
        except BodyTooSlowError:
            return number
    return at_most


def test_bytes_that_came_at_once_buy_no_more_than_the_window() -> None:
    """After 49 MiB a byte each 16 seconds ends as soon as without them."""
    pace = _pace()
    pace.count(49 << 20, waited_seconds=0.0)
    assert _bears(pace, 1, every_seconds=16.0) == 1


def test_the_rate_holds_over_every_window() -> None:
    """A body at the rate goes on; one a little below it ends."""
    assert _bears(_pace(deadline=1e9), 10_000, every_seconds=10.0) == 10_000
    assert _bears(_pace(deadline=1e9), 9_000, every_seconds=10.0) < 30


def test_a_pause_is_made_up_for() -> None:
    """Silence within the window is forgiven when bytes follow."""
    pace = _pace()
    for _ in range(20):
        pace.count(1, waited_seconds=25.0)
        pace.count(50_000, waited_seconds=1.0)


def test_a_whole_body_has_a_deadline() -> None:
    """However fast it is."""
    assert _bears(_pace(deadline=100.0), 1 << 20, every_seconds=10.0) == 10


def test_the_next_chunk_may_take_what_is_left() -> None:
    """The window at first, then what credit and deadline leave."""
    pace = _pace(deadline=40.0)
    assert pace.patience_seconds == 30.0
    pace.count(1 << 20, waited_seconds=20.0)
    assert pace.patience_seconds == 20.0


def test_without_a_rate_silence_alone_counts() -> None:
    """Rate 0: any byte earns the whole window again, none earns nothing."""
    assert _bears(_pace(rate=0, deadline=1e9), 1, every_seconds=29.0) == 10_000
    pace = _pace(rate=0)
    pace.count(0, waited_seconds=20.0)
    with pytest.raises(BodyTooSlowError):
        pace.count(1, waited_seconds=11.0)
