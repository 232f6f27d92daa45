"""Traces of uploads; off unless `TRACING__ENDPOINT` is set (docs/decisions/0063)."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider


@dataclass(frozen=True, slots=True)
class TracingRules:
    """
    The collector that gets the spans, and the share of traces that is recorded.

    `endpoint` is the base URL of a collector (OTLP over HTTP). `sample_ratio` is the share of
    traces, from 0 to 1, and `timeout_seconds` the deadline of one export.
    """

    endpoint: str
    sample_ratio: float
    timeout_seconds: float
    service: str
    version: str


@dataclass(frozen=True, slots=True)
class Destination:
    """Exchange and routing key of a message, and its id."""

    exchange: str
    routing_key: str
    message_id: str


class Tracing(Protocol):
    """Records the spans of one process."""

    @property
    def provider(self) -> "TracerProvider | None":
        """The tracer provider for FastAPI; None: no spans are recorded."""
        ...

    def name_request(self, method: str, route: str) -> None:
        """Name the span of the current request by its route, which FastAPI has not seen."""
        ...

    def span(self, name: str, /) -> AbstractContextManager[None]:
        """Return a context that records the stage *name* of the current request."""
        ...

    def traceparent(self) -> str | None:
        """Return the header `traceparent` of the current span; None: there is no span."""
        ...

    def sending(
        self, headers: Mapping[str, str], to: Destination
    ) -> AbstractContextManager[Mapping[str, str]]:
        """
        Return a context that records the sending of a message with *headers*.

        The span continues the trace in *headers*. The context yields *headers* with the new span.
        """
        ...


_NOTHING: Final = nullcontext()


class NoTracing(Tracing):
    """Records no spans."""

    provider = None

    def name_request(self, method: str, route: str) -> None:
        """Do nothing."""

    def span(self, _name: str, /) -> AbstractContextManager[None]:
        """Do nothing."""
        return _NOTHING

    def traceparent(self) -> str | None:
        """Return None."""
        return None

    @contextmanager
    def sending(self, headers: Mapping[str, str], to: Destination) -> Iterator[Mapping[str, str]]:
        """Yield *headers*."""
        del to
        yield headers


NO_TRACING: Final = NoTracing()
