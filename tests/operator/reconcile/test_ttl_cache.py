"""Answers that are shared for a moment."""

import pytest

from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ttl_cache import TTL_SECONDS, TtlCache


class Questions:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self) -> int:
        """Another answer each time."""
        self.asked += 1
        return self.asked


async def test_an_answer_is_shared_for_a_while() -> None:
    """One who asks the same soon gets it; later it is asked anew, and an old one is not kept."""
    cache = TtlCache()
    ask = Questions()
    assert [
        await cache.get(("a", "b"), 0.0, ask),
        await cache.get(("a", "b"), TTL_SECONDS - 1, ask),
    ] == [1, 1]
    assert await cache.get(("ab",), TTL_SECONDS - 1, ask) == 2
    assert await cache.get(("a", "b"), TTL_SECONDS, ask) == 3
    await cache.get(("c",), TTL_SECONDS * 100, ask)
    assert len(cache._entries) == 1


async def test_an_error_is_not_shared() -> None:
    """The next one asks for himself."""
    cache = TtlCache()

    async def fail() -> int:
        raise DependencyError(Reason.UNREACHABLE, "no answer")

    with pytest.raises(DependencyError):
        await cache.get(("a",), 0.0, fail)
    assert await cache.get(("a",), 0.0, Questions()) == 1


async def test_what_was_changed_is_asked_anew() -> None:
    """`forget` drops every answer."""
    cache = TtlCache()
    ask = Questions()
    await cache.get(("a",), 0.0, ask)
    cache.clear()
    assert await cache.get(("a",), 0.0, ask) == 2


async def test_a_clock_that_is_put_back_shares_nothing() -> None:
    """
    An answer from the future is none.

    Else it would be good for as long as the clock was put back.
    """
    cache = TtlCache()
    ask = Questions()
    await cache.get(("a",), 3600.0, ask)
    assert await cache.get(("a",), 0.0, ask) == 2
    assert await cache.get(("a",), TTL_SECONDS, ask) == 3


async def test_no_question_is_kept() -> None:
    """There are passwords in some of them."""
    cache = TtlCache()
    await cache.get(("postgresql://a:secret@b/c",), 0.0, Questions())
    assert "secret" not in repr(cache._entries)
