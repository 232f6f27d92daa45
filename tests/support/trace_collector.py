"""A collector of traces: OTLP over HTTP, kept in memory."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.deadlines import HANG_SECONDS


@dataclass(frozen=True)
class Seen:
    """A span, as a collector got it; ids are in hexadecimal."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    attributes: Mapping[str, str]
    events: int


@dataclass
class Collector:
    """What was sent to `endpoint`."""

    endpoint: str
    bodies: list[bytes] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def spans(self) -> list[Seen]:
        """Return all spans."""
        return [
            _seen(service, span)
            for body in list(self.bodies)
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
            for service in [_texts(group.resource.attributes)["service.name"]]
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def wait(self, is_enough: Callable[[list[Seen]], bool]) -> list[Seen]:
        """Return the spans as soon as they are enough."""
        deadline = time.monotonic() + HANG_SECONDS
        with self.arrived:
            while not is_enough(found := self.spans()):
                assert self.arrived.wait(deadline - time.monotonic()), found
        return found


@contextmanager
def trace_collector() -> Iterator[Collector]:
    """Run a collector on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    found = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    _Handler.collectors[server.server_address[1]] = found
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        del _Handler.collectors[server.server_address[1]]


class _Handler(BaseHTTPRequestHandler):
    collectors: dict[int, Collector] = {}  # noqa: RUF012 - one for all handlers

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        collector = self.collectors[self.server.server_address[1]]  # type: ignore[index]
        with collector.arrived:
            if self.path == "/v1/traces":
                collector.bodies.append(body)
            collector.arrived.notify_all()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _seen(service: str, span: Any) -> Seen:  # noqa: ANN401 - a generated message
    return Seen(
        service,
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.status.code == span.status.STATUS_CODE_ERROR,
        _texts(span.attributes),
        len(span.events),
    )


def _texts(attributes: Any) -> dict[str, str]:  # noqa: ANN401 - a generated message
    return {one.key: str(getattr(one.value, one.value.WhichOneof("value"))) for one in attributes}
