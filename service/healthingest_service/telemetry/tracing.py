"""Traces of uploads; off unless `TRACING__ENDPOINT` is set (docs/decisions/0063)."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider


@dataclass(frozen=True, slots=True)
class TracingRules:
    """
    Where spans are sent, and how many.

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
    """Where a message is sent, and its id."""

    exchange: str
    routing_key: str
    message_id: str


class Tracing(Protocol):
    """The spans of one process."""

    @property
    def provider(self) -> "TracerProvider | None":
        """The provider of spans for FastAPI; None: there are no spans."""
        ...

    def span(self, name: str, /) -> AbstractContextManager[None]:
        """Return the context of a stage of the current request."""
        ...

    def traceparent(self) -> str | None:
        """Return the header `traceparent` of the current span; None: there is none."""
        ...

    def sending(
        self, headers: Mapping[str, str], to: Destination
    ) -> AbstractContextManager[Mapping[str, str]]:
        """
        Return the context of a message with *headers* while it is sent.

        The span continues the trace in *headers*; the context yields *headers* with the span.
        """
        ...


class NoTracing(Tracing):
    """No spans."""

    provider = None

    @contextmanager
    def span(self, _name: str, /) -> Iterator[None]:
        """Do nothing."""
        yield

    def traceparent(self) -> str | None:
        """Return None."""
        return None

    @contextmanager
    def sending(self, headers: Mapping[str, str], to: Destination) -> Iterator[Mapping[str, str]]:
        """Yield *headers*."""
        del to
        yield headers


NO_TRACING: Final = NoTracing()
