"""
Every metric of the service, in one list.

Names by the conventions of Prometheus and, where there is one, of OpenTelemetry. Labels are
bounded: a route's template, an outcome's code, never an id, a path or a record type.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_BYTES: Final = (1024, 16_384, 262_144, 1_048_576, 4_194_304, 16_777_216, 52_428_800)


class _CountsCollector(Collector):
    def __init__(
        self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        self._name = name
        self._text = text
        self._label = label
        self._read = read

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._text, labels=[self._label])
        for value, count in self._read().items():
            family.add_metric([value], count)
        yield family


def _request_seconds(registry: CollectorRegistry) -> Histogram:
    return Histogram(
        "http_server_request_duration_seconds",
        "Time from the request's head to the end of the answer",
        ("http_request_method", "http_route", "http_response_status_code"),
        buckets=_SECONDS,
        registry=registry,
    )


def _connections_refused(registry: CollectorRegistry) -> Counter:
    return Counter(
        "healthingest_connections_refused",
        "Connections ended before a request was routed, by problem code, idle or head-too-slow",
        ("reason",),
        registry=registry,
    )


@dataclass(frozen=True, slots=True)
class Metrics:
    """The instruments, bound to one registry."""

    registry: CollectorRegistry
    request_seconds: Histogram
    uploads: Counter
    upload_bytes: Histogram
    logins: Counter
    rate_limited: Counter
    limiter_degraded: Counter
    connections_refused: Counter
    dependency_up: Gauge
    outbox_messages: Gauge
    outbox_oldest_seconds: Gauge

    @classmethod
    def create(cls, registry: CollectorRegistry | None = None) -> Self:
        """All instruments, in *registry* or one of their own."""
        to = CollectorRegistry() if registry is None else registry
        return cls(
            registry=to,
            request_seconds=_request_seconds(to),
            uploads=Counter(
                "healthingest_uploads",
                "Uploads by outcome: accepted, replayed, or a problem code, with / and the cause",
                ("outcome",),
                registry=to,
            ),
            upload_bytes=Histogram(
                "healthingest_upload_size_bytes",
                "Size of accepted files",
                buckets=_BYTES,
                registry=to,
            ),
            logins=Counter("healthingest_logins", "Logins by outcome", ("outcome",), registry=to),
            rate_limited=Counter(
                "healthingest_rate_limited",
                "Requests refused by a rate limit",
                ("rule",),
                registry=to,
            ),
            limiter_degraded=Counter(
                "healthingest_rate_limiter_degraded",
                "Decisions made in this process, the shared counters being gone",
                ("rule",),
                registry=to,
            ),
            connections_refused=_connections_refused(to),
            dependency_up=Gauge(
                "healthingest_dependency_up",
                "1: the last check succeeded",
                ("dependency",),
                registry=to,
            ),
            outbox_messages=Gauge(
                "healthingest_outbox_messages", "Messages not yet announced", registry=to
            ),
            outbox_oldest_seconds=Gauge(
                "healthingest_outbox_oldest_message_age_seconds",
                "Age of the oldest message not yet announced",
                registry=to,
            ),
        )

    def watch_relay(
        self, read: Callable[[], Mapping[str, float]], confirmed_at: Callable[[], datetime | None]
    ) -> None:
        """
        Show a relay's own counts by outcome, and its last confirm.

        Both are called at each scrape.
        """
        name = "healthingest_relay_outcomes"
        text = "What became of attempts to announce"
        self.registry.register(_CountsCollector(name, text, "outcome", read))
        name = "healthingest_relay_last_confirmed_timestamp_seconds"
        text = "When the broker last confirmed a message"
        self._watch_time(name, text, confirmed_at)

    def watch_janitor(
        self, read: Callable[[], Mapping[str, float]], swept_at: Callable[[], datetime | None]
    ) -> None:
        """Show a janitor's own counts by outcome; both are called at each scrape."""
        name = "healthingest_janitor_outcomes"
        text = "What became of uploads whose process died"
        self.registry.register(_CountsCollector(name, text, "outcome", read))
        self._watch_time(
            "healthingest_janitor_last_sweep_timestamp_seconds", "When a sweep last ended", swept_at
        )

    def watch_consistency_check(
        self,
        discrepancies: Callable[[], Mapping[str, float]],
        work: Callable[[], Mapping[str, float]],
        finished_at: Callable[[], datetime | None],
    ) -> None:
        """
        Show what consistency checks found and did, and when one was last finished.

        As above.
        """
        text = "What is wrong between object store and ledger, as often as it was seen"
        self.registry.register(
            _CountsCollector("healthingest_consistency_discrepancies", text, "kind", discrepancies)
        )
        text = (
            "Objects listed and verified, bytes read, unfinished PUTs aborted by consistency checks"
        )
        self.registry.register(
            _CountsCollector("healthingest_consistency_work", text, "kind", work)
        )
        name = "healthingest_consistency_last_finished_timestamp_seconds"
        text = "When a consistency check last ended, in any process"
        self._watch_time(name, text, finished_at)

    def _watch_time(self, name: str, text: str, read: Callable[[], datetime | None]) -> None:
        """0 as long as there is none."""
        gauge = Gauge(name, text, registry=self.registry)
        gauge.set_function(lambda: 0.0 if (at := read()) is None else at.timestamp())

    def text(self) -> bytes:
        """The exposition in Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)
