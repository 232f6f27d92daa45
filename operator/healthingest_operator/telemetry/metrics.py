"""Log events and metrics of reconciliations, deletions and leadership."""

import contextlib
import logging
from collections.abc import Iterable
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.outcome import Outcome

RECONCILE_ENDED: Final = "reconcile_ended"
RECONCILE_FAILED: Final = "reconcile_failed"
LEFT_BEHIND: Final = "left_behind"
WAITING: Final = "waits_for_leadership"
LEADING: Final = "leads"
LOST: Final = "leadership_lost"
NAMESPACE_REFUSED: Final = "namespace_refused"
NAMESPACE_SERVED: Final = "namespace_served"
STEPPED_DOWN: Final = "stepped_down_with_error"

_BROKEN: Final = "error"
_READY: Final = frozenset({Outcome.READY, Outcome.UNCHANGED})
_WITHOUT_STATE: Final = frozenset({Outcome.GONE, Outcome.PAUSED})
_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Telemetry:
    """Implements `ReconcileObserver`; also the metrics of queue and watches."""

    def __init__(self, registry: CollectorRegistry, logger: structlog.stdlib.BoundLogger) -> None:
        self._logger = logger
        self._reconciles = Counter(
            "healthingest_operator_reconciles",
            "Reconciliations of a HealthIngest.",
            ["outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "healthingest_operator_reconcile_duration_seconds",
            "Duration of a reconciliation.",
            registry=registry,
            buckets=_BUCKETS,
        )
        self.queue_depth = Gauge(
            "healthingest_operator_queue_depth",
            "HealthIngests that are due and wait for a worker, by lane.",
            ["lane"],
            registry=registry,
        )
        self.watch_age = Gauge(
            "healthingest_operator_watch_age_seconds",
            "Seconds since the least recently opened watch was opened.",
            registry=registry,
        )
        self.refused_namespaces = Gauge(
            "healthingest_operator_refused_namespaces",
            "Namespaces of the setting that are not served, because they are gone or the"
            " operator has no rights there.",
            registry=registry,
        )
        self._ready = Gauge(
            "healthingest_operator_ready",
            "1 if the HealthIngest was Ready at its last reconciliation, else 0; absent while it is"
            " paused.",
            ["namespace", "healthingest"],
            registry=registry,
        )
        self.leads = Gauge(
            "healthingest_operator_leader",
            "Whether this operator is the leader.",
            registry=registry,
        )
        for outcome in (*Outcome, _BROKEN):
            self._reconciles.labels(str(outcome))

    def completed(self, key: Key, outcome: str, seconds: float) -> None:
        """Count and log the end of a reconciliation."""
        self._reconciles.labels(outcome).inc()
        self._seconds.observe(seconds)
        self._report_ready(key, outcome)
        # A thousand unchanged HealthIngests would cause 25 lines a second.
        level = logging.DEBUG if outcome == Outcome.UNCHANGED else logging.INFO
        if not self._logger.isEnabledFor(level):
            return
        self._logger.log(
            level,
            RECONCILE_ENDED,
            namespace=key.namespace,
            name=key.name,
            outcome=outcome,
            duration_seconds=round(seconds, 3),
        )

    def left_behind(self, key: Key, left_behind: Iterable[str]) -> None:
        """
        Log the resources outside the cluster that a deletion left behind.

        An event also reports them, unless the namespace no longer accepts events.
        """
        self._logger.warning(
            LEFT_BEHIND, namespace=key.namespace, name=key.name, left_behind=sorted(left_behind)
        )

    def namespace(self, namespace: str, /, *, served: bool) -> None:
        """Log that a namespace is served again, or refused (deleted or forbidden)."""
        if served:
            self._logger.info(NAMESPACE_SERVED, namespace=namespace)
        else:
            self._logger.warning(NAMESPACE_REFUSED, namespace=namespace)

    def leadership(self, event: str) -> None:
        """Log a change of leadership: waiting, leading, or lost."""
        self.leads.set(event == LEADING)
        if event != LEADING:
            self._ready.clear()  # the leader reports them
        self._logger.info(event)

    def stepped_down(self, error: BaseException) -> None:
        """Log an error after the loss of leadership: its types and source locations."""
        self._logger.warning(STEPPED_DOWN, exc_info=error)

    def failed(self, key: Key, error: Exception, seconds: float) -> None:
        """Count and log an error: its types and source locations, never its text."""
        self._reconciles.labels(_BROKEN).inc()
        self._ready.labels(key.namespace, key.name).set(0)
        self._seconds.observe(seconds)
        self._logger.error(
            RECONCILE_FAILED,
            namespace=key.namespace,
            name=key.name,
            exc_info=error,
            duration_seconds=round(seconds, 3),
        )

    def _report_ready(self, key: Key, outcome: str) -> None:
        if outcome in _WITHOUT_STATE:
            with contextlib.suppress(KeyError):
                self._ready.remove(key.namespace, key.name)
        else:
            self._ready.labels(key.namespace, key.name).set(outcome in _READY)
