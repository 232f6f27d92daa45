"""How passes are told: log lines and metrics. The one table of outcomes at this edge."""

import logging
from collections.abc import Iterable
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.outcome import Outcome

RECONCILE_ENDED: Final = "reconcile_ended"
RECONCILE_BROKE_OFF: Final = "reconcile_broke_off"
LEFT_BEHIND: Final = "left_behind"
WAITING: Final = "waits_for_leadership"
LEADING: Final = "leads"
LOST: Final = "leadership_lost"
NAMESPACE_REFUSED: Final = "namespace_refused"
NAMESPACE_SERVED: Final = "namespace_served"
STEPPED_DOWN: Final = "stepped_down_with_error"

_BROKEN: Final = "error"
_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Telemetry:
    """The port `ReconcileObserver`, and the metrics of the queue."""

    def __init__(self, registry: CollectorRegistry, logger: structlog.stdlib.BoundLogger) -> None:
        self._logger = logger
        self._passes = Counter(
            "healthingest_operator_reconciles",
            "Passes over a HealthIngest.",
            ["outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "healthingest_operator_reconcile_duration_seconds",
            "Duration of a pass.",
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
            "Age of the oldest sign of life of a watch.",
            registry=registry,
        )
        self.refused_namespaces = Gauge(
            "healthingest_operator_refused_namespaces",
            "Namespaces of the setting that are not served, because they are gone or the"
            " operator has no rights there.",
            registry=registry,
        )
        self.leads = Gauge(
            "healthingest_operator_leader", "Whether this operator leads.", registry=registry
        )
        for outcome in (*Outcome, _BROKEN):
            self._passes.labels(str(outcome))

    def completed(self, key: Key, outcome: str, seconds: float) -> None:
        """A pass ended."""
        self._passes.labels(outcome).inc()
        self._seconds.observe(seconds)
        # A thousand that are at rest would tell so twenty-five times a second.
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

    def left_behind(self, key: Key, left: Iterable[str]) -> None:
        """
        A deletion left things outside the cluster.

        An event says it too, where the namespace still takes one.
        """
        self._logger.warning(LEFT_BEHIND, namespace=key.namespace, name=key.name, left=sorted(left))

    def namespace(self, namespace: str, /, *, served: bool) -> None:
        """
        A namespace is served no longer, because it is gone or the operator's rights in it are.

        Or it is again.
        """
        if served:
            self._logger.info(NAMESPACE_SERVED, namespace=namespace)
        else:
            self._logger.warning(NAMESPACE_REFUSED, namespace=namespace)

    def leadership(self, event: str) -> None:
        """Waiting, leading, or not any more."""
        self.leads.set(event == LEADING)
        self._logger.info(event)

    def stepped_down(self, error: BaseException) -> None:
        """
        Something failed while a term was ended that was lost.

        The types of the error and where it was raised.
        """
        self._logger.warning(STEPPED_DOWN, error=_types(error), raised_at=_places(error))

    def failed(self, key: Key, error: Exception, seconds: float) -> None:
        """A pass was broken off: the types of the error and where it was raised, never its text."""
        self._passes.labels(_BROKEN).inc()
        self._seconds.observe(seconds)
        self._logger.error(
            RECONCILE_BROKE_OFF,
            namespace=key.namespace,
            name=key.name,
            error=_types(error),
            raised_at=_places(error),
            duration_seconds=round(seconds, 3),
        )


def _types(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [name for inner in error.exceptions for name in _types(inner)]
    return [type(error).__name__]


def _places(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [place for inner in error.exceptions for place in _places(inner)]
    found = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if "healthingest_operator" in code.co_filename:
            found.append(f"{code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    return found[-3:]
