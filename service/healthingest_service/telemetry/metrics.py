"""
All metrics of the service.

Names follow Prometheus and the OpenTelemetry semantic conventions. Label values are bounded: route
templates and outcome codes, never ids, paths or record types.
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
        "Time from the head of the request to the end of the response",
        ("http_request_method", "http_route", "http_response_status_code"),
        buckets=_SECONDS,
        registry=registry,
    )


def _connections_refused(registry: CollectorRegistry) -> Counter:
    return Counter(
        "healthingest_connections_refused",
        "Connections closed before a request was routed: a problem code, idle or head-too-slow",
        ("reason",),
        registry=registry,
    )


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics, bound to one registry."""

    registry: CollectorRegistry
    request_seconds: Histogram
    uploads: Counter
    upload_bytes: Histogram
    downloads: Counter
    download_bytes: Counter
    logins: Counter
    audit_refusals: Counter
    rate_limited: Counter
    limiter_degraded: Counter
    connections_refused: Counter
    dependency_up: Gauge
    outbox_messages: Gauge
    outbox_oldest_seconds: Gauge
    erasures_open: Gauge
    erasures_oldest_seconds: Gauge
    studies_below_lock: Gauge
    row_security: Gauge

    @classmethod
    def create(cls, registry: CollectorRegistry | None = None) -> Self:
        """Create all metrics in *registry*, or in a new one."""
        to = CollectorRegistry() if registry is None else registry
        return cls(
            registry=to,
            request_seconds=_request_seconds(to),
            uploads=Counter(
                "healthingest_uploads",
                "Uploads by outcome: accepted, replayed, or the problem code (and /cause)",
                ("outcome",),
                registry=to,
            ),
            upload_bytes=Histogram(
                "healthingest_upload_size_bytes",
                "Size of accepted files",
                buckets=_BYTES,
                registry=to,
            ),
            downloads=Counter(
                "healthingest_downloads",
                "Downloads by how they ended after their first byte",
                ("outcome",),
                registry=to,
            ),
            download_bytes=Counter(
                "healthingest_download_bytes", "Bytes of files sent to clients", registry=to
            ),
            logins=Counter("healthingest_logins", "Logins by outcome", ("outcome",), registry=to),
            audit_refusals=Counter(
                "healthingest_audit_refusals",
                "Refused requests by whether the audit log has them: recorded, omitted, failed",
                ("outcome",),
                registry=to,
            ),
            rate_limited=Counter(
                "healthingest_rate_limited",
                "Requests refused by a rate limit",
                ("rule",),
                registry=to,
            ),
            limiter_degraded=Counter(
                "healthingest_rate_limiter_degraded",
                "Rate limit decisions of this process alone, while Redis is unavailable",
                ("rule",),
                registry=to,
            ),
            connections_refused=_connections_refused(to),
            dependency_up=Gauge(
                "healthingest_dependency_up",
                "1 if the last check of the dependency succeeded, else 0",
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
            erasures_open=Gauge(
                "healthingest_erasures_open",
                "Erasures that are not done, by state",
                ("state",),
                registry=to,
            ),
            erasures_oldest_seconds=Gauge(
                "healthingest_erasures_oldest_age_seconds",
                "Time since the oldest erasure that is not done was requested",
                registry=to,
            ),
            studies_below_lock=Gauge(
                "healthingest_studies_retention_below_object_lock",
                "Studies that keep data for fewer days than the object store locks each file",
                registry=to,
            ),
            row_security=Gauge(
                "healthingest_row_security",
                "1 if PostgreSQL restricts each query for a study to its rows, else 0",
                registry=to,
            ),
        )

    def watch_relay(
        self, read: Callable[[], Mapping[str, float]], confirmed_at: Callable[[], datetime | None]
    ) -> None:
        """
        Add the relay's counts by outcome, and the time of the last confirm of the broker.

        Both functions are called at each scrape.
        """
        name = "healthingest_relay_outcomes"
        text = "Attempts to announce a message, by outcome"
        self.registry.register(_CountsCollector(name, text, "outcome", read))
        name = "healthingest_relay_last_confirmed_timestamp_seconds"
        text = "Time of the last confirm of the broker, or 0"
        self._watch_time(name, text, confirmed_at)

    def watch_spool(self, used: Callable[[], float], limit_bytes: float) -> None:
        """Add the bytes of the spool that are used, and their limit; read at each scrape."""
        name = "healthingest_spool_used_bytes"
        gauge = Gauge(name, "Bytes of the spool that uploads use", registry=self.registry)
        gauge.set_function(used)
        name = "healthingest_spool_limit_bytes"
        limit = Gauge(name, "Bytes of the spool that uploads may use", registry=self.registry)
        limit.set(limit_bytes)

    def report_certificates(self, ends: Mapping[str, datetime]) -> None:
        """
        Add when the certificates for each dependency end, the earliest of each.

        They are those of the bundle and of the client. Pods with other certificates are new pods.
        """
        gauge = Gauge(
            "healthingest_certificate_expiry_timestamp_seconds",
            "Time when a certificate for a dependency ends: of its bundle, or of the client",
            ("dependency",),
            registry=self.registry,
        )
        for dependency, end in ends.items():
            gauge.labels(dependency).set(end.timestamp())

    def watch_janitor(
        self, read: Callable[[], Mapping[str, float]], swept_at: Callable[[], datetime | None]
    ) -> None:
        """Add the janitor's counts by outcome; both functions are called at each scrape."""
        name = "healthingest_janitor_outcomes"
        text = "Uploads of ended processes that the janitor settled, by outcome"
        self.registry.register(_CountsCollector(name, text, "outcome", read))
        self._watch_time(
            "healthingest_janitor_last_sweep_timestamp_seconds",
            "Time when the last sweep ended, or 0",
            swept_at,
        )

    def watch_mails(self, read: Callable[[], Mapping[str, float]]) -> None:
        """Add the counts of requested mails by outcome; *read* is called at each scrape."""
        name = "healthingest_mails"
        text = "Requested mails to owners of accounts, by outcome"
        self.registry.register(_CountsCollector(name, text, "outcome", read))

    def watch_erasures(self, read: Callable[[], Mapping[str, float]]) -> None:
        """Add the counts of turns of erasures by outcome; *read* is called at each scrape."""
        name = "healthingest_erasure_outcomes"
        text = "Turns of work on erasures, by outcome"
        self.registry.register(_CountsCollector(name, text, "outcome", read))

    def watch_consistency_check(
        self,
        discrepancies: Callable[[], Mapping[str, float]],
        work: Callable[[], Mapping[str, float]],
        finished_at: Callable[[], datetime | None],
    ) -> None:
        """
        Add the counts of the consistency check, and the time when one last finished.

        All functions are called at each scrape.
        """
        text = "Discrepancies between object store and database that were found"
        self.registry.register(
            _CountsCollector("healthingest_consistency_discrepancies", text, "kind", discrepancies)
        )
        text = "Work of consistency checks: objects listed and verified, bytes read, PUTs aborted"
        self.registry.register(
            _CountsCollector("healthingest_consistency_work", text, "kind", work)
        )
        name = "healthingest_consistency_last_finished_timestamp_seconds"
        text = "Time when a consistency check last finished, in any process, or 0"
        self._watch_time(name, text, finished_at)

    def watch_audit(
        self, chained: Callable[[], float], anchored_at: Callable[[], datetime | None]
    ) -> None:
        """Add the events that this process chained, and the time of its last anchor."""
        text = "Events of the audit log that this process chained"
        self.registry.register(
            _CountsCollector(
                "healthingest_audit_events", text, "outcome", lambda: {"chained": chained()}
            )
        )
        name = "healthingest_audit_last_anchor_timestamp_seconds"
        self._watch_time(name, "Time when this process last wrote an anchor, or 0", anchored_at)

    def _watch_time(self, name: str, text: str, read: Callable[[], datetime | None]) -> None:
        """Add a gauge of a time; 0 while *read* returns None."""
        gauge = Gauge(name, text, registry=self.registry)
        gauge.set_function(lambda: 0.0 if (at := read()) is None else at.timestamp())

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format 0.0.4."""
        return generate_latest(self.registry)
