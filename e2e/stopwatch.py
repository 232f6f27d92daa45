"""Measured durations with their bounds, and notes for the report of a run."""

TIMINGS: list[tuple[str, float, float]] = []
NOTES: list[str] = []


class Stopwatch:
    """
    Collects measured durations for the report at the end.

    Each has the bound that the test asserts.
    """

    def record(self, what: str, seconds: float, *, bound_seconds: float) -> None:
        """Record a duration, and fail if it exceeds its bound."""
        TIMINGS.append((what, seconds, bound_seconds))
        assert seconds <= bound_seconds, f"{what} took {seconds:.1f} s"
