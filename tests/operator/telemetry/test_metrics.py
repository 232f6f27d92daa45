"""Metrics of the operator about HealthIngests."""

import sys

import structlog
from prometheus_client import CollectorRegistry

from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.outcome import Outcome
from healthingest_operator.telemetry.logs import configure_logging
from healthingest_operator.telemetry.metrics import LEADING, LOST, Telemetry

KEY = Key("space", "clinic")


def _ready(registry: CollectorRegistry) -> float | None:
    labels = {"namespace": KEY.namespace, "healthingest": KEY.name}
    return registry.get_sample_value("healthingest_operator_ready", labels)


def test_readiness_is_that_of_the_last_reconciliation() -> None:
    """Nothing is reported of one that is paused or gone, or by an operator that does not lead."""
    configure_logging(sys.stdout, level="ERROR")
    registry = CollectorRegistry()
    telemetry = Telemetry(registry, structlog.stdlib.get_logger("test"))
    telemetry.leadership(LEADING)
    seen = {}
    for outcome in Outcome:
        telemetry.completed(KEY, outcome, 0.1)
        seen[outcome] = _ready(registry)
    assert seen == {
        Outcome.GONE: None,
        Outcome.READY: 1.0,
        Outcome.UNCHANGED: 1.0,
        Outcome.PROGRESSING: 0.0,
        Outcome.FAILING: 0.0,
        Outcome.INVALID: 0.0,
        Outcome.PAUSED: None,
    }
    telemetry.completed(KEY, Outcome.READY, 0.1)
    telemetry.failed(KEY, ValueError(), 0.1)
    assert _ready(registry) == 0.0
    telemetry.leadership(LOST)
    assert _ready(registry) is None
