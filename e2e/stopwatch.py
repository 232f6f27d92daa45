"""How long things took, and how long they may take; and what else a run should tell."""

TIMINGS: list[tuple[str, float, float]] = []
NOTES: list[str] = []


class Stopwatch:
    """
    Collects measured times for the report at the end.

    Each has the bound that the test asserts.
    """

    def record(self, what: str, seconds: float, *, bound_seconds: float) -> None:
        """Keep a time, and fail when it is over its bound."""
        TIMINGS.append((what, seconds, bound_seconds))
        assert seconds <= bound_seconds, f"{what} took {seconds:.1f} s"
