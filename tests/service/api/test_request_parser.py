import re
from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthingest_service.api.request_parser import (
    HeadLimits,
    RequestParser,
    framing_refusal,
    size_refusal,
)

LIMITS = HeadLimits(head_bytes=1000, header_fields=10, url_bytes=100, trailer_bytes=50)
POST = b"POST /v1/upload HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GOOD = {
    "no body": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "length": POST + b"Content-Length: 3\r\n\r\nabc",
    "the same length twice": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "chunks": CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
    "chunks with an extension": CHUNKED + b"3;a=b\r\nabc\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"3\r\nabc\r\n0\r\nA: b\r\n\r\n",
    "an upgrade": POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
    "absolute": b"GET HTTP://x/y?z HTTP/1.1\r\nHost: x\r\n\r\n",
    "an absolute root": b"GET https://x?z HTTP/1.1\r\nHost: x\r\n\r\n",
}
BAD = {
    "a length and chunks": (
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "bad-request",
    ),
    "a bare LF": (b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", "bad-request"),
    "a folded line": (b"GET / HTTP/1.1\r\nHost: x\r\n\ty\r\n\r\n", "bad-request"),
    "a coding in 1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "bad-request"),
    "too many fields": (POST + b"a: b\r\n" * 10 + b"\r\n", "head-too-large"),
    "too large a field": (POST + b"a: " + b"b" * 1000 + b"\r\n\r\n", "head-too-large"),
    "too long a URL": (b"GET /" + b"a" * 100 + b" HTTP/1.1\r\nHost: x\r\n\r\n", "url-too-long"),
    "too large a trailer": (CHUNKED + b"0\r\na: " + b"b" * 60 + b"\r\n\r\n", "head-too-large"),
}


def read(said: bytes, cuts: set[int]) -> tuple[bytes, bytes, str | None]:
    """The target, the body, and the code of the refusal of *said*, which comes in pieces."""
    parser = RequestParser(LIMITS)
    target = b""
    body = bytearray()
    at = [0, *sorted(cut for cut in cuts if cut < len(said)), len(said)]
    try:
        for start, end in pairwise(at):
            parser.receive_data(said[start:end])
            while not isinstance(event := parser.next_event(), type):
                if isinstance(event, h11.Request):
                    target = event.target
                elif isinstance(event, h11.Data):
                    body += event.data
                else:
                    return target, bytes(body), None
    except h11.RemoteProtocolError:
        return b"", b"", parser.refusal
    raise AssertionError


CUTS = st.sets(st.integers(min_value=1, max_value=1200), max_size=30)


@pytest.mark.parametrize("kind", GOOD)
@given(cuts=CUTS)
def test_a_request_is_the_same_however_it_comes(kind: str, cuts: set[int]) -> None:
    """Its target in origin form and its body do not depend on packets."""
    target, body, refusal = read(GOOD[kind], cuts)
    assert refusal is None
    assert (target, body) == {
        "no body": (b"/", b""),
        "absolute": (b"/y?z", b""),
        "an absolute root": (b"/?z", b""),
    }.get(kind, (b"/v1/upload", b"abc"))


@pytest.mark.parametrize("kind", BAD)
@given(cuts=CUTS)
def test_a_refusal_is_the_same_however_it_comes(kind: str, cuts: set[int]) -> None:
    """So is its code."""
    said, code = BAD[kind]
    assert read(said, cuts) == (b"", b"", code)


@given(received=st.binary(max_size=1 << 12))
def test_a_head_that_has_not_ended_is_refused_at_the_limit(received: bytes) -> None:
    """Whatever the bytes are: without a blank line within the limit there is a refusal."""
    within = received[: LIMITS.head_bytes]
    if len(received) >= LIMITS.head_bytes and b"\n\r\n" not in within and b"\n\n" not in within:
        assert size_refusal(received, LIMITS) is not None


def test_an_answer_before_the_body_is_the_last() -> None:
    """Its `Connection` says so, whatever the application wrote there."""
    parser = RequestParser(LIMITS)
    parser.receive_data(POST + b"Content-Length: 3\r\n\r\na")
    while parser.next_event() is not h11.NEED_DATA:
        pass
    written = parser.send(
        h11.Response(
            status_code=401, headers=[("Connection", "keep-alive"), ("Content-Length", "0")]
        )
    )
    assert written is not None
    assert b"Connection: close\r\n" in written.title().replace(b"Close", b"close")
    assert b"keep-alive" not in written.lower()


def test_a_body_of_known_length_is_passed_on_without_a_copy() -> None:
    """h11's buffer, which copies it twice, gets what is not of the body alone."""
    parser = RequestParser(LIMITS)
    parser.receive_data(POST + b"Content-Length: 5\r\n\r\n")
    while parser.next_event() is not h11.NEED_DATA:
        pass
    piece = bytes(bytearray(b"abc"))
    parser.receive_data(piece)
    event = parser.next_event()
    assert isinstance(event, h11.Data)
    assert event.data is piece
    parser.receive_data(b"deGET")
    rest = parser.next_event()
    assert isinstance(rest, h11.Data)
    assert bytes(rest.data) == b"de"
    assert isinstance(parser.next_event(), h11.EndOfMessage)
    assert parser.trailing_data == (b"GET", False)


@pytest.mark.parametrize("read_after", ["each", "all"])
@given(cuts=CUTS)
def test_what_follows_a_body_is_the_next_request(read_after: str, cuts: set[int]) -> None:
    """Whatever the packets, and whether events are read after each one or after the last one."""
    body = b"b" * 900
    said = POST + b"Content-Length: 900\r\n\r\n" + body + b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
    parser = RequestParser(LIMITS)
    seen: list[h11.Event] = []
    at = [0, *sorted(cut for cut in cuts if cut < len(said)), len(said)]
    has_head = False
    for start, end in pairwise(at):
        parser.receive_data(said[start:end])
        if (
            read_after == "each" or not has_head
        ):  # a head has to be read before more than its limit came
            seen += events_of(parser)
            has_head = any(isinstance(event, h11.Request) for event in seen)
    seen += events_of(parser)
    assert b"".join(bytes(one.data) for one in seen if isinstance(one, h11.Data)) == body
    assert isinstance(seen[-1], h11.EndOfMessage)
    parser.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
    parser.send(h11.EndOfMessage())
    parser.start_next_cycle()
    following = parser.next_event()
    assert isinstance(following, h11.Request)
    assert following.target == b"/next"


def events_of(parser: RequestParser) -> list[h11.Event]:
    """The events until more bytes or an answer are needed."""
    found = []
    while not isinstance(event := parser.next_event(), type):
        found.append(event)
    return found


@given(pieces=st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b" ", b"\t", b"a"]), max_size=8))
def test_a_head_has_plain_lines_only(pieces: list[bytes]) -> None:
    """A bare LF, a bare CR and a folded line are refused, wherever they are."""
    head = b"".join(pieces)
    request = h11.Request(method="GET", target="/", headers=[("Host", "x")])
    is_refused = re.search(rb"(?<!\r)\n|\r(?!\n)|\n[ \t]", head) is not None
    assert (framing_refusal(request, head) is not None) == is_refused
