"""
Records traces with OpenTelemetry and sends them as OTLP over HTTP. Needs the extra `tracing`.

Spans contain names, routes, outcomes and the service's own ids. Text that a client chooses (path,
query, host) is replaced, and messages of exceptions are not recorded.
"""

import logging
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from typing_extensions import override

from healthingest_service.telemetry.tracing import Destination, Tracing, TracingRules

_MAX_WAITING_SPANS: Final = 2048
"""Maximum number of spans that wait for the collector; further ones are dropped."""
_BATCH_SPANS: Final = 512
_FOREIGN: Final = ("url.path", "url.query", "server.address", "http.request.method_original")
"""Attributes of FastAPI's spans that contain text of the client."""
_REPLACED: Final = "REDACTED"
_CONTEXT: Final = TraceContextTextMapPropagator()


class OpenTelemetry(Tracing):
    """Samples and queues spans; a thread sends them."""

    def __init__(self, rules: TracingRules) -> None:
        # The ratio also applies to traces that a client has marked as sampled.
        by_ratio = TraceIdRatioBased(rules.sample_ratio)
        self._provider = TracerProvider(
            sampler=ParentBased(root=by_ratio, remote_parent_sampled=by_ratio),
            resource=Resource.create(
                {
                    "service.name": rules.service,
                    "service.version": rules.version,
                    "service.instance.id": socket.gethostname(),
                }
            ),
            shutdown_on_exit=False,  # `close` is called, with its deadline
        )
        exporter = OTLPSpanExporter(
            endpoint=f"{rules.endpoint.rstrip('/')}/v1/traces", timeout=rules.timeout_seconds
        )
        self._provider.add_span_processor(_WithoutForeignText())
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=_MAX_WAITING_SPANS,
                max_export_batch_size=_BATCH_SPANS,
            )
        )
        self._tracer = self._provider.get_tracer("healthingest", rules.version)
        # The library's log messages contain responses of the collector.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    @property
    @override
    def provider(self) -> TracerProvider:
        return self._provider

    @override
    def name_request(self, method: str, route: str) -> None:
        span = get_current_span()
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)

    @contextmanager
    @override
    def span(self, name: str, /) -> Iterator[None]:
        with self._recorded(name, SpanKind.INTERNAL):
            yield

    @override
    def traceparent(self) -> str | None:
        carrier: dict[str, str] = {}
        _CONTEXT.inject(carrier)
        return carrier.get("traceparent")

    @contextmanager
    @override
    def sending(self, headers: Mapping[str, str], to: Destination) -> Iterator[Mapping[str, str]]:
        attributes = {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "send",
            "messaging.operation.name": "publish",
            "messaging.destination.name": to.exchange,
            "messaging.rabbitmq.destination.routing_key": to.routing_key,
            "messaging.message.id": to.message_id,
        }
        parent = _CONTEXT.extract(headers, Context())
        with self._recorded(f"publish {to.exchange}", SpanKind.PRODUCER, parent, attributes):
            carried = dict(headers)
            _CONTEXT.inject(carried)
            yield carried

    def close(self) -> None:
        """Send the waiting spans, and stop, within at most two deadlines of an export."""
        self._provider.shutdown()

    @contextmanager
    def _recorded(
        self,
        name: str,
        kind: SpanKind,
        parent: Context | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> Iterator[None]:
        with self._tracer.start_as_current_span(
            name,
            context=parent,
            kind=kind,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(StatusCode.ERROR)
                raise


class _WithoutForeignText(SpanProcessor):
    """Replaces the text of a client in the attributes of new spans."""

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        present = span.attributes or {}
        for name in _FOREIGN:
            if name in present:
                span.set_attribute(name, _REPLACED)
