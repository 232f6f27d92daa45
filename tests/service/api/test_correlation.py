import pytest

from healthingest_service.api.correlation import correlation_id, valid_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_keeps_the_clients_id() -> None:
    """An id of the right form is kept, also beside a trace."""
    assert correlation_id("clinic-0001", f"00-{TRACE}-00f067aa0ba902b7-01") == "clinic-0001"


def test_takes_the_trace_id() -> None:
    """Without one, the trace's id of W3C Trace Context is taken."""
    assert correlation_id(None, f"00-{TRACE}-00f067aa0ba902b7-01") == TRACE


@pytest.mark.parametrize(
    "given", ["short", "x" * 65, "with space 1", "new\nline-123", "pätient-123", "<b>12345"]
)
@pytest.mark.parametrize("trace", [None, "00-xyz-1-01", f"00-{'0' * 32}-00f067aa0ba902b7-01"])
def test_makes_one_rather_than_repeat_anything(given: str, trace: str | None) -> None:
    """What has not the right form is replaced, each time by another."""
    made = {correlation_id(given, trace) for _ in range(3)}
    assert len(made) == 3
    assert all(len(one) == 32 for one in made)


@pytest.mark.parametrize(
    ("given", "passed_on"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", f"00-{TRACE}-00f067aa0ba902b7-01"),
        (f"cc-{TRACE}-00f067aa0ba902b7-00-later", f"00-{TRACE}-00f067aa0ba902b7-00"),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", None),
        ("", None),
        (None, None),
    ],
)
def test_passes_on_a_valid_trace_only(given: str | None, passed_on: str | None) -> None:
    """In version 00, without what a later version may add."""
    assert valid_traceparent(given) == passed_on
