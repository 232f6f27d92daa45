import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from starlette.requests import Request

from healthingest_service.telemetry.logs import configure_logging
from support.edge import Edge, open_edge
from support.samples import good_file

CANARY = "canary-7c1f"


@pytest.fixture(name="log")
def _log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    monkeypatch.setattr(
        logging.getLogger("httpx"), "disabled", True
    )  # it runs in the server's process here alone
    before = list(root.handlers)
    level = root.level
    configure_logging(stream, level="INFO")
    yield stream
    root.handlers = before
    root.level = level


def events(log: io.StringIO) -> list[dict[str, object]]:
    """The lines of the log."""
    return [json.loads(line) for line in log.getvalue().splitlines()]


async def test_an_unforeseen_error_is_answered_and_keeps_its_text(
    edge: Edge, log: io.StringIO
) -> None:
    """500 as a problem; the log has its type and place, neither has its text."""

    async def broken(_request: Request) -> None:
        await asyncio.sleep(0)
        raise RuntimeError(CANARY)

    edge.app.add_api_route("/broken", broken)
    answer = await edge.http.get("/broken")
    (failed,) = [event for event in events(log) if event["event"] == "http_request_failed"]
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert failed["correlation_id"] == answer.json()["correlation_id"]
    assert failed["error_types"] == ["builtins.RuntimeError"]
    assert "broken (" in str(failed["error_frames"])
    assert CANARY not in answer.text + log.getvalue()


async def test_one_line_a_request_with_identifiers_alone(edge: Edge, log: io.StringIO) -> None:
    """Route's template, status, account's id; no address, no token, no content, no file's name."""
    user = await edge.signed_in()
    log.truncate(0)
    log.seek(0)
    answer = await edge.http.post(
        "/v1/upload", files={"file": (CANARY, good_file(1))}, headers=user
    )
    await edge.http.get(f"/v1/uploads/{answer.json()['upload_id']}?x={CANARY}", headers=user)
    lines = [event for event in events(log) if event["event"] == "http_request"]
    assert [(one["http_route"], one["http_response_status_code"]) for one in lines] == [
        ("/v1/upload", 201),
        ("/v1/uploads/{upload_id}", 200),
    ]
    assert all(one["account_id"] for one in lines)
    assert not [word for word in (CANARY, "@", "Bearer", "eyJ") if word in log.getvalue()]


async def test_health_does_not_fill_the_log(edge: Edge, log: io.StringIO) -> None:
    """A probe that is well leaves no line, one that is not leaves one."""
    await edge.http.get("/health/live")
    assert events(log) == []
    await edge.http.get("/health/ready")
    assert [event["http_response_status_code"] for event in events(log)] == [503]


async def test_too_much_at_once_is_refused(tmp_path: Path) -> None:
    """
    Beyond the limit of requests under way: 503 as a problem, at once.

    A probe is answered all the same.
    """
    async with open_edge(tmp_path, server={"max_concurrency": 1}) as edge:
        user = await edge.signed_in()
        begun = asyncio.Event()
        release = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            begun.set()
            await release.wait()
            yield good_file(1)

        first = asyncio.create_task(edge.upload(slow(), user))
        await begun.wait()
        second = await edge.http.get("/v1/uploads", headers=user)
        probe = await edge.http.get("/health/live")
        release.set()
        assert second.json()["type"].endswith("/overloaded")
        assert probe.status_code == 200
        assert second.headers["retry-after"] == "1"
        assert (await first).status_code == 201
