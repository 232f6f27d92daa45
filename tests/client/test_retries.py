"""What a client repeats, and how long it waits."""

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from healthingest_client import AsyncClient, MemoryTokens, ProblemError, RetryPolicy, Tokens
from healthingest_client.errors import UnreachableError
from healthingest_client.retries import Patience, retry_after_seconds
from support.samples import good_file

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
UNAVAILABLE = ProblemError(503, {"type": "x/service-unavailable"}, retry_after_seconds=5)
LIMITED = ProblemError(429, {"type": "x/rate-limited"}, retry_after_seconds=600)


class Server:
    """A server whose answers are given; it records requests, and the client's waits."""

    def __init__(self, *answers: httpx.Response | httpx.TransportError) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []
        self.waits: list[float] = []

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """Return the next answer."""
        self.requests.append(request)
        self.bodies.append(await request.aread())
        answer = self.answers.pop(0)
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer

    async def sleep(self, seconds: float) -> None:
        """Record a wait."""
        self.waits.append(seconds)

    def client(self) -> AsyncClient:
        """Return a client of this server."""
        return AsyncClient(
            "https://ingest.example",
            MemoryTokens(Tokens("hi_x")),
            sleep=self.sleep,
            transport=httpx.MockTransport(self.answer),
        )


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    """Return an answer with a problem."""
    return httpx.Response(status, json={"type": f"x/{code}"}, headers=headers)


def limited(seconds: str) -> httpx.Response:
    """Return the answer of a rate limit."""
    return problem(429, "rate-limited", **{"Retry-After": seconds})


async def test_an_upload_waits_and_is_sent_again_with_its_key(sample: Path) -> None:
    """As long as `Retry-After` says, and after a cut."""
    receipt = {"upload_id": "1", "object_key": "k"}
    content = good_file(3)
    server = Server(
        limited("7"),
        httpx.ReadError("cut"),
        problem(409, "upload-in-flight", **{"Retry-After": "2"}),
        httpx.Response(201, json=receipt),
    )
    async with server.client() as client:
        assert dict(await client.upload(sample)) == receipt
    assert server.bodies == [content] * 4
    assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 1
    first, second, third = server.waits
    assert first >= 7
    assert second < 2 <= third


@pytest.mark.parametrize("failure", [httpx.ReadError("cut"), problem(503, "service-unavailable")])
async def test_what_may_have_had_an_effect_is_not_done_twice(
    failure: httpx.Response | httpx.TransportError,
) -> None:
    """A token may exist whose text nobody has: the caller decides."""
    server = Server(failure)
    async with server.client() as client:
        with pytest.raises((ProblemError, UnreachableError)):
            await client.create_token("tablet")
    assert len(server.requests) == 1


async def test_what_had_no_effect_is_done_again() -> None:
    """A refused connection, and a rate limit."""
    server = Server(
        httpx.ConnectError("refused"), limited("1"), httpx.Response(201, json={"id": "1"})
    )
    async with server.client() as client:
        assert (await client.create_token("tablet"))["id"] == "1"


async def test_a_refusal_is_not_repeated(sample: Path) -> None:
    """The same file would be refused again."""
    server = Server(problem(422, "file-refused"))
    async with server.client() as client:
        with pytest.raises(ProblemError, match="file-refused"):
            await client.upload(sample)
    assert server.waits == []


def test_patience_ends_and_begins_anew() -> None:
    """The waits grow up to a limit, and their sum is limited; progress resets both."""
    policy = RetryPolicy(patience_seconds=20, first_wait_seconds=1, longest_wait_seconds=4)
    patience = Patience(policy)

    def next_wait() -> float | None:
        return patience.wait_after(UnreachableError("x"))

    def waits() -> list[float]:
        return [wait for wait in iter(next_wait, None) if wait is not None]

    before = waits()
    assert all(wait <= 4 for wait in before)
    assert 5 <= len(before) <= 13
    assert waits() == []
    patience.progressed()
    assert waits()


def test_a_rate_limit_costs_no_patience() -> None:
    """Only other waits do; a wait that is too long ends it."""
    patience = Patience(RetryPolicy(patience_seconds=12))
    assert [patience.wait_after(LIMITED) for _ in range(3)] == [600, 600, 600]
    assert [patience.wait_after(UNAVAILABLE) for _ in range(3)] == [5, 5, None]
    assert Patience(RetryPolicy(longest_retry_after_seconds=60)).wait_after(LIMITED) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        ("Sun, 29 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 29 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
    ],
)
def test_both_forms_of_retry_after_are_read(text: str | None, seconds: float | None) -> None:
    """Seconds and a date (RFC 9110, 10.2.3)."""
    assert retry_after_seconds(text, NOW) == seconds


async def test_pages_of_rows_go_on_after_the_last_row() -> None:
    """A value that the last row has not is not asked for again; pages of lists have a cursor."""
    rows = [{"subject": "P-1"}, {"subject": "P-2"}, {"subject": "P-3"}]
    after = [
        {"day": "2026-11-01", "subject": "P-1", "record_type": "SleepRecord"},
        {"day": "2026-11-02", "subject": "P-2", "record_type": None},
        None,
    ]
    pages = zip(rows, after, strict=True)
    server = Server(
        *(httpx.Response(200, json={"gaps": [row], "next_after": key}) for row, key in pages),
        httpx.Response(200, json={"studies": [{"slug": "a"}], "next_cursor": "a"}),
        httpx.Response(200, json={"studies": [{"slug": "b"}], "next_cursor": None}),
    )
    async with server.client() as client:
        gaps = [gap["subject"] async for gap in client.gaps("sleep", record_type=None)]
        studies = [study["slug"] async for study in client.studies()]
    assert (gaps, studies) == (["P-1", "P-2", "P-3"], ["a", "b"])
    queries = [dict(request.url.params) for request in server.requests]
    first = {"after_day": "2026-11-01", "after_subject": "P-1", "after_type": "SleepRecord"}
    assert queries == [
        {},
        first,
        {"after_day": "2026-11-02", "after_subject": "P-2"},
        {"limit": "100"},
        {"limit": "100", "cursor": "a"},
    ]
