import pytest

from healthingest_service.api.ranges import (
    ByteRange,
    NotModified,
    NotSatisfiable,
    PreconditionFailed,
    Selection,
    Whole,
    selection,
)

ETAG = '"abc"'
SIZE = 10


def chosen(method: str = "GET", **headers: str) -> Selection:
    """Return what to answer to a request with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return selection(named, method=method, etag=ETAG, size_bytes=SIZE)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=2-5", ByteRange(2, 4)),
        ("bytes=2-", ByteRange(2, 8)),
        ("bytes=2-9999999999", ByteRange(2, 8)),
        ("bytes=-3", ByteRange(7, 3)),
        ("bytes=-11", ByteRange(0, 10)),
        ("Bytes = 9-9 ", ByteRange(9, 1)),
        ("bytes=10-", NotSatisfiable()),
        ("bytes=10-20", NotSatisfiable()),
        ("bytes=-0", NotSatisfiable()),
        ("bytes=5-2", Whole()),
        ("bytes=-", Whole()),
        ("bytes=", Whole()),
        ("bytes", Whole()),
        ("bytes=a-b", Whole()),
        ("bytes=0-1,3-4", Whole()),
        ("bytes=0-1, bytes=3-4", Whole()),
        ("items=0-1", Whole()),
        ("bytes=+1-2", Whole()),
        ("bytes=\u0661-\u0662", Whole()),
        ("bytes=" + "9" * 5000 + "-", Whole()),
    ],
)
def test_a_range_is_one_of_bytes_within_the_file(wanted: str, found: Selection) -> None:
    """A range outside is not satisfiable; a malformed one, or several, is ignored."""
    assert chosen(range=wanted) == found


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (ETAG, ByteRange(0, 1)),
        ('"other"', Whole()),
        (f"W/{ETAG}", Whole()),
        ("Sun, 01 Mar 2026 12:00:00 GMT", Whole()),
    ],
)
def test_if_range_compares_strongly(condition: str, found: Selection) -> None:
    """Only the file's own tag admits the range; there is no modification date."""
    assert chosen(range="bytes=0-0", if_range=condition) == found


@pytest.mark.parametrize(
    ("condition", "is_met"),
    [
        (ETAG, True),
        (f"W/{ETAG}", True),
        (f'"x", {ETAG}', True),
        ("*", True),
        ('"x"', False),
        ("abc", False),
        ("", False),
    ],
)
def test_if_none_match_compares_weakly(condition: str, *, is_met: bool) -> None:
    """A tag that the client has, in a list too, is answered with 304, also beside a range."""
    assert isinstance(chosen(if_none_match=condition), NotModified) is is_met
    assert isinstance(chosen(if_none_match=condition, range="bytes=0-0"), NotModified) is is_met


@pytest.mark.parametrize(
    ("condition", "is_met"), [(ETAG, True), ("*", True), (f"W/{ETAG}", False), ('"x"', False)]
)
def test_if_match_comes_first(condition: str, *, is_met: bool) -> None:
    """An unmet `If-Match` is answered with 412, whatever else is asked."""
    found = chosen(if_match=condition, if_none_match=ETAG)
    assert isinstance(found, NotModified if is_met else PreconditionFailed)


def test_head_has_no_range() -> None:
    """RFC 9110, 14.2: `Range` is defined for GET only."""
    assert chosen("HEAD", range="bytes=0-0") == Whole()
