"""Refusals that are recorded."""

from healthingest_service.audit.refusal_budget import (
    MAX_SOURCES,
    PER_SOURCE,
    WINDOW_SECONDS,
    RefusalBudget,
)


class _Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_source_has_a_number_each_minute() -> None:
    """The other sources keep theirs."""
    time = _Time()
    budget = RefusalBudget(per_minute=1000, monotonic=time)
    admitted = [budget.admits("a", is_anonymous=True) for _ in range(PER_SOURCE + 1)]
    assert admitted == [True] * PER_SOURCE + [False]
    assert budget.admits("b", is_anonymous=True)
    time.now += WINDOW_SECONDS
    assert budget.admits("a", is_anonymous=True)


def test_all_sources_have_a_number_each_minute() -> None:
    """Anonymous clients with many addresses leave the accounts theirs."""
    time = _Time()
    budget = RefusalBudget(per_minute=3, monotonic=time)
    assert [budget.admits(f"{n}", is_anonymous=True) for n in range(4)] == [True] * 3 + [False]
    assert budget.admits("account:1", is_anonymous=False)
    time.now += WINDOW_SECONDS
    assert budget.admits("5", is_anonymous=True)


def test_remembers_a_limited_number_of_sources() -> None:
    """The oldest are dropped; the total holds all the same."""
    budget = RefusalBudget(per_minute=5, monotonic=_Time())
    admitted = [budget.admits(f"{n}", is_anonymous=True) for n in range(2 * MAX_SOURCES)]
    assert sum(admitted) == 5
    assert len(budget._sources) == MAX_SOURCES
