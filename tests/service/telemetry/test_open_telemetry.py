"""Traces: what a collector gets of an upload, and what it never gets."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from healthingest_service.adapters.traced_publisher import TracedPublisher
from healthingest_service.settings.groups import TracingSettings
from healthingest_service.telemetry.open_telemetry import OpenTelemetry
from healthingest_service.telemetry.tracing import TracingRules
from healthingest_service.uploads.errors import MessageRefusedError
from support.edge import open_edge
from support.fakes import Ear
from support.samples import good_file
from support.trace_collector import Collector, trace_collector
from support.uploads import message, upload

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
STAGES = {
    "receive and validate",
    "begin the upload",
    "store the object",
    "commit upload and message",
}


@pytest.fixture(name="collector")
def _collector() -> Iterator[Collector]:
    """A collector on a free port."""
    with trace_collector() as found:
        yield found


async def _upload(folder: Path, collector: Collector, *, path: str, **tracing: float) -> str:
    """Upload with a trace and a query; return the header `traceparent` of the message."""
    wanted = TracingSettings(endpoint=collector.endpoint, **tracing)
    async with open_edge(folder, tracing=wanted) as edge:
        headers = await edge.signed_in() | {
            "Content-Type": "application/avro",
            "traceparent": f"00-{TRACE}-{PARENT}-01",
            "Host": "patient-ada.example",
        }
        answer = await edge.http.post(path, content=good_file(3), headers=headers)
        assert answer.status_code == 201, answer.text
        async with edge.runtime.outbox.claim(limit=10) as batch:
            (sent,) = batch.messages
    return sent.headers["traceparent"]


async def test_an_upload_is_one_trace(tmp_path: Path, collector: Collector) -> None:
    """The stages stand below the request, the request below the client, the message below it."""
    header = await _upload(tmp_path, collector, path="/v1/upload")
    spans = [span for span in collector.spans() if span.trace_id == TRACE]
    (request,) = (span for span in spans if span.parent_id == PARENT)
    assert (request.service, request.name) == ("healthingest-api", "POST /v1/upload")
    assert request.attributes["http.response.status_code"] == "201"
    stages = {span.name: span for span in spans if span.parent_id == request.span_id}
    assert set(stages) == STAGES
    assert header == f"00-{TRACE}-{request.span_id}-01"


async def test_no_text_of_a_client_is_exported(tmp_path: Path, collector: Collector) -> None:
    """Neither query nor host, path, address, user agent or login."""
    await _upload(tmp_path, collector, path="/v1/upload?patient=ada-lovelace")
    assert collector.bodies
    for word in (b"ada", b"lovelace", b"clinic.example", b"192.0.2.1", b"httpx", b"Bearer"):
        assert [body for body in collector.bodies if word in body] == [], word


async def test_a_share_of_nothing_still_passes_on_the_trace(
    tmp_path: Path, collector: Collector
) -> None:
    """A client that wants its trace recorded gets no more than the share."""
    header = await _upload(tmp_path, collector, path="/v1/upload", sample_ratio=0.0)
    assert header.startswith(f"00-{TRACE}-")
    assert header.endswith("-00")
    assert collector.spans() == []


async def test_a_message_is_a_span_of_its_own(collector: Collector) -> None:
    """It continues the trace of its header, and the consumer gets its span."""
    ear = Ear()
    tracing = _tracing(collector)
    sent = replace(message(upload(b"a file")), headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    await TracedPublisher(ear, tracing, exchange="data").publish(sent)
    await asyncio.to_thread(tracing.close)
    (span,) = collector.spans()
    assert (span.name, span.trace_id, span.parent_id) == ("publish data", TRACE, PARENT)
    assert span.attributes["messaging.message.id"] == str(sent.id)
    assert ear.heard[0].headers["traceparent"] == f"00-{TRACE}-{span.span_id}-01"


async def test_a_failed_stage_has_the_type_of_the_error_only(collector: Collector) -> None:
    """Its message may hold an address or a value."""
    tracing = _tracing(collector)
    with pytest.raises(MessageRefusedError), tracing.span("a stage"):
        raise MessageRefusedError(4711)
    await asyncio.to_thread(tracing.close)
    (span,) = collector.spans()
    assert (span.failed, span.attributes, span.events) == (
        True,
        {"error.type": "MessageRefusedError"},
        0,
    )
    assert b"4711" not in collector.bodies[0]


def _tracing(collector: Collector) -> OpenTelemetry:
    return OpenTelemetry(TracingRules(collector.endpoint, 1.0, 5.0, "healthingest-relay", "1"))
