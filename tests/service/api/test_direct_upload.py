"""Uploads that pass by FastAPI's router are answered as its own route answers them."""

from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI

from healthingest_service.api.app import create_app
from healthingest_service.api.direct_upload import DirectUpload
from support.edge import AVRO, Edge, open_edge
from support.samples import good_file

CHANGING: Final = frozenset({"x-correlation-id", "location", "ratelimit"})
"""Headers that differ between two requests."""


def _by_fastapi(edge: Edge) -> FastAPI:
    """Return the same API without the short way."""
    app = create_app(edge.deps)
    short: object = DirectUpload
    kept = [one for one in app.user_middleware if one.cls != short]
    assert len(kept) == len(app.user_middleware) - 1
    app.user_middleware = kept
    return app


async def _answer(app: FastAPI, **request: Any) -> tuple[object, ...]:  # noqa: ANN401 - of httpx
    """Return what is compared of the answer to an upload."""
    transport = httpx.ASGITransport(app=app, client=("192.0.2.1", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        answer = await http.post("/v1/upload", **request)
    headers = {k: v for k, v in answer.headers.items() if k not in CHANGING}
    body = answer.json()
    for name in ("upload_id", "object_key", "correlation_id"):
        body.pop(name, None)
    return answer.status_code, headers, sorted(answer.headers), body


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({}, good_file(2), 200),
        ({"Authorization": ""}, good_file(1), 401),
        ({"Authorization": "Bearer wrong"}, good_file(1), 401),
        ({"Content-Type": "text/plain"}, good_file(1), 415),
        ({"Content-Encoding": "gzip"}, good_file(1), 415),
        ({"Healthingest-Study": "nobody-knows", "Healthingest-Subject": "P-1"}, b"", 404),
        ({"Healthingest-Subject": "P-1"}, good_file(1), 403),
        ({"Idempotency-Key": "x y"}, good_file(1), 400),
        ({"Content-Digest": "sha-256=:AAAA:"}, good_file(1), 400),
        ({}, b"no Avro", 415),
    ],
)
async def test_answers_are_the_same(
    tmp_path: Path, headers: dict[str, str], content: bytes, status: int
) -> None:
    """Status, headers and document, of what is accepted and of what is refused."""
    async with open_edge(tmp_path) as edge:
        signed_in = await edge.signed_in()
        first = await edge.upload(good_file(2), signed_in)
        assert first.status_code == 201
        sent = {"headers": AVRO | signed_in | headers, "content": content}
        direct = await _answer(edge.app, **sent)
        assert direct == await _answer(_by_fastapi(edge), **sent)
        assert direct[0] == status


async def test_a_mistake_of_ours_is_answered_in_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody expects: 500, and nothing of it in the answer."""
    async with open_edge(tmp_path) as edge:
        headers = AVRO | await edge.signed_in()

        def fail(_self: object) -> None:
            message = "a secret"
            raise RuntimeError(message)

        monkeypatch.setattr(type(edge.deps.accept), "__call__", fail)
        sent = {"headers": headers, "content": good_file(1)}
        direct = await _answer(edge.app, **sent)
        assert direct == await _answer(_by_fastapi(edge), **sent)
        assert direct[0] == 500


async def test_other_methods_and_paths_pass(tmp_path: Path) -> None:
    """Only `POST /v1/upload` takes the short way."""
    async with open_edge(tmp_path) as edge:
        assert (await edge.http.get("/v1/upload")).status_code == 405
        assert (await edge.http.post("/v1/upload/")).status_code == 404
        assert (await edge.http.post("/v1/uploads")).status_code == 405
