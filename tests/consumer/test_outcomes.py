"""Reports of outcomes never raise, and never keep a consumer from its work."""

import json

import httpx
import pytest

from healthingest_consumer import HttpOutcomes
from support.announcements import STORED
from support.deadlines import HANG_SECONDS


async def test_reports_with_its_token() -> None:
    """A reason that could have contents is not sent."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    transport = httpx.MockTransport(answer)
    outcomes = HttpOutcomes("http://service/", "secret", consumer="lake", transport=transport)
    await outcomes.processed(STORED)
    await outcomes.failed(STORED, "no-disk")
    await outcomes.failed(STORED, "heart rate of 190")
    await outcomes.close()
    assert {str(one.url) for one in seen} == {
        f"http://service/v1/uploads/{STORED.idempotency_key}/outcome"
    }
    assert {one.headers["authorization"] for one in seen} == {"Bearer secret"}
    assert [json.loads(one.content) for one in seen] == [
        {"consumer": "lake", "state": "processed"},
        {"consumer": "lake", "state": "failed", "reason": "no-disk"},
        {"consumer": "lake", "state": "failed", "reason": "invalid-reason"},
    ]


@pytest.mark.parametrize(
    ("status", "sent"), [(503, 1), (401, 1), (422, 1), (None, 1), (404, 2)], ids=str
)
async def test_after_a_failure_it_pauses(status: int | None, sent: int) -> None:
    """So an outage costs one deadline, not one for each upload; 404 is of this upload only."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if status is None:
            message = "refused"
            raise httpx.ConnectError(message, request=request)
        return httpx.Response(status)

    transport = httpx.MockTransport(answer)
    outcomes = HttpOutcomes(
        "http://service",
        "secret",
        consumer="lake",
        timeout_seconds=HANG_SECONDS,
        transport=transport,
    )
    await outcomes.processed(STORED)
    await outcomes.processed(STORED)
    await outcomes.close()
    assert len(seen) == sent


def test_a_consumer_has_a_plain_name() -> None:
    """As the service requires."""
    with pytest.raises(ValueError, match="1 to 64 characters"):
        HttpOutcomes("http://service", "secret", consumer="My Consumer")
