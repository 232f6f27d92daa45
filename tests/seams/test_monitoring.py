"""Monitoring of the chart uses the metrics, labels and ports of operator and service."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from prometheus_client import CollectorRegistry

from healthingest_operator.api.healthingest import parse
from healthingest_operator.resources.deployment import api_deployment
from healthingest_operator.resources.pods import Build
from healthingest_operator.resources.relay import relay_deployment
from healthingest_operator.telemetry.metrics import Telemetry
from healthingest_service.telemetry.metrics import Metrics
from healthingest_service.uploads.discrepancies import ConsistencyCounts
from healthingest_service.uploads.janitor import Swept
from healthingest_service.uploads.relay import RelayCounts
from support.operator_fakes import manifest

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "healthingest-operator"
ALERTS = CHART / "files" / "alerts.yaml"
DASHBOARDS = sorted((CHART / "files").glob("*-dashboard.json"))
PARTS = ("serviceMonitor", "podMonitor", "alerts", "dashboard")
MINUTES = 30
DAY = 1440


def _rendered(*words: str) -> list[dict[str, Any]]:
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("no `helm` on PATH")
    command = [helm, "template", "release", str(CHART), "--namespace", "system", *words]
    text = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    return [document for document in yaml.safe_load_all(text) if document]


def _of(kind: str, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] == kind]


def _rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def test_monitoring_is_there_when_asked_for() -> None:
    """
    It is off by default, because it needs kinds of another operator.

    All of it can be turned on.
    """
    kinds = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap"}
    assert not kinds & {document["kind"] for document in _rendered()}
    words = [word for name in PARTS for word in ("--set", f"monitoring.{name}.enabled=true")]
    documents = _rendered(*words, "--set", "monitoring.alerts.labels.release=prometheus")
    (monitor,) = _of("ServiceMonitor", documents)
    (service,) = _of("Service", documents)
    assert monitor["spec"]["endpoints"][0]["port"] in {
        port["name"] for port in service["spec"]["ports"]
    }
    assert (
        monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    )
    (rules,) = _of("PrometheusRule", documents)
    assert rules["spec"] == yaml.safe_load(ALERTS.read_text())
    assert rules["metadata"]["labels"]["release"] == "prometheus"
    (dashboard,) = _of("ConfigMap", documents)
    assert len(DASHBOARDS) == len(dashboard["data"]) == 2
    assert all(json.loads(text)["panels"] for text in dashboard["data"].values())
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_every_port_with_metrics_is_scraped() -> None:
    """The PodMonitor selects the pods that the operator creates, and names each metrics port."""
    body = manifest()
    body["metadata"] |= {"uid": "uid-1", "generation": 1}
    owner = parse(body)
    build = Build("service:1", "a", "b", "c")
    (monitor,) = _of("PodMonitor", _rendered("--set", "monitoring.podMonitor.enabled=true"))
    (expression,) = monitor["spec"]["selector"]["matchExpressions"]
    ports = set()
    for template in (
        one["spec"]["template"]
        for one in (api_deployment(owner, build), relay_deployment(owner, build))
    ):
        labels = template["metadata"]["labels"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert labels[expression["key"]] in expression["values"]
        assert labels["app.kubernetes.io/instance"] == owner.key.name
        for container in template["spec"]["containers"]:
            ports |= {port["name"] for port in container["ports"] if port["name"] != "http"}
    assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} == ports
    assert monitor["spec"]["namespaceSelector"] == {"any": True}


def test_the_pods_of_the_served_namespaces_alone_are_scraped() -> None:
    """It names the namespaces of `watchNamespaces`."""
    words = ("--set", "monitoring.podMonitor.enabled=true", "--set", "watchNamespaces={one,two}")
    (monitor,) = _of("PodMonitor", _rendered(*words))
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["one", "two"]}


def _names(registry: CollectorRegistry) -> set[str]:
    found = list(registry.collect())
    return {sample.name for metric in found for sample in metric.samples} | {
        name
        for metric in found
        for name in (metric.name, f"{metric.name}_bucket", f"{metric.name}_count")
    }


def _service_metrics() -> CollectorRegistry:
    """Return the metrics that API, relay and janitor expose together."""
    metrics = Metrics.create()
    metrics.watch_spool(lambda: 0.0, 1.0)
    metrics.report_certificates({})
    metrics.watch_relay(lambda: _zeros(RelayCounts()), lambda: None)
    metrics.watch_janitor(lambda: _zeros(Swept()), lambda: None)
    metrics.watch_consistency_check(
        lambda: ConsistencyCounts().discrepancies, lambda: ConsistencyCounts().work, lambda: None
    )
    metrics.rate_limited.labels("a")
    metrics.limiter_degraded.labels("a")
    metrics.dependency_up.labels("a")
    metrics.uploads.labels("a")
    metrics.logins.labels("a")
    metrics.connections_refused.labels("a")
    return metrics.registry


def _zeros(counts: RelayCounts | Swept) -> Mapping[str, float]:
    return {name: float(getattr(counts, name)) for name in type(counts).__dataclass_fields__}


def test_alerts_and_dashboard_ask_for_metrics_that_exist() -> None:
    """A renamed metric or outcome would silence them."""
    registry = CollectorRegistry()
    Telemetry(registry, structlog.stdlib.get_logger())
    known = _names(registry) | _names(_service_metrics())
    text = "".join(path.read_text() for path in (ALERTS, *DASHBOARDS))
    asked = set(re.findall(r"(?:healthingest|http_server)_\w+", text))
    assert len(asked) >= 12
    assert asked - known == set()
    outcomes = {
        name
        for quoted in re.findall(r'outcome=~?"([^"]+)"', ALERTS.read_text())
        for name in quoted.split("|")
    }
    assert outcomes - {*_zeros(RelayCounts()), *_zeros(Swept()), "error"} == set()


def test_each_alert_has_its_section() -> None:
    """The runbook has it, and no section about an alert that does not exist."""
    text = (ROOT / "docs" / "reference" / "runbook.md").read_text()
    sections = set(re.findall(r"^### (HealthIngest\w+)$", text, flags=re.MULTILINE))
    assert sections == set(_rules())


ZEROS = "0x30"
ONES = "1x30"
LATE = "0+30x30"
OF = 'namespace="a", healthingest="clinic"'
LEADER = "healthingest_operator_leader"
AGE = "healthingest_operator_watch_age_seconds"
ERRORS = 'healthingest_operator_reconciles_total{outcome="error"}'
WAITING = 'healthingest_operator_queue_depth{lane="change"}'
REFUSED = "healthingest_operator_refused_namespaces"
REQUESTS = "http_server_request_duration_seconds_count"
FAILED = f'{REQUESTS}{{{OF}, http_response_status_code="503"}}'
SERVED = f'{REQUESTS}{{{OF}, http_response_status_code="201"}}'
UP = "healthingest_dependency_up"
OLDEST = f"healthingest_outbox_oldest_message_age_seconds{{{OF}}}"
UNROUTABLE = f'healthingest_relay_outcomes_total{{{OF}, outcome="unroutable"}}'
UNREACHABLE = f'healthingest_relay_outcomes_total{{{OF}, outcome="unreachable"}}'
DEGRADED = f'healthingest_rate_limiter_degraded_total{{{OF}, rule="uploads"}}'
SWEPT = f"healthingest_janitor_last_sweep_timestamp_seconds{{{OF}}}"
ERASING = f"healthingest_erasures_oldest_age_seconds{{{OF}}}"
BELOW_LOCK = f"healthingest_studies_retention_below_object_lock{{{OF}}}"
MISMATCHED = f'healthingest_janitor_outcomes_total{{{OF}, outcome="mismatched"}}'
FOUND = f'healthingest_consistency_discrepancies_total{{{OF}, kind="row_without_object"}}'
FINISHED = f"healthingest_consistency_last_finished_timestamp_seconds{{{OF}}}"
READY = f"healthingest_operator_ready{{{OF}}}"
USED = f'healthingest_spool_used_bytes{{{OF}, pod="p"}}'
LIMIT = f'healthingest_spool_limit_bytes{{{OF}, pod="p"}}'
ENDS = f'healthingest_certificate_expiry_timestamp_seconds{{{OF}, dependency="broker"}}'
LABELS = {"namespace": "a", "healthingest": "clinic"}
Firing = tuple[str, dict[str, str], int, dict[str, str] | None]
CASES: tuple[Firing, ...] = (
    ("HealthIngestOperatorAbsent", {LEADER: ZEROS}, 5, {}),
    ("HealthIngestOperatorAbsent", {LEADER: ONES}, 5, None),
    ("HealthIngestOperatorSeveralLeaders", {f'{LEADER}{{pod="{n}"}}': ONES for n in "ab"}, 5, {}),
    ("HealthIngestOperatorSeveralLeaders", {LEADER: ONES}, 5, None),
    # Two releases, each with its own leader, or one of them without.
    (
        "HealthIngestOperatorSeveralLeaders",
        {f'{LEADER}{{namespace="{n}"}}': ONES for n in "ab"},
        5,
        None,
    ),
    (
        "HealthIngestOperatorAbsent",
        {f'{LEADER}{{namespace="{n}"}}': f"{v}x30" for n, v in (("a", 0), ("b", 1))},
        5,
        {"namespace": "a"},
    ),
    ("HealthIngestOperatorWatchStale", {AGE: "140x30"}, 10, {}),
    ("HealthIngestOperatorWatchStale", {AGE: "40x30"}, 10, None),
    ("HealthIngestOperatorReconcileErrors", {ERRORS: LATE}, 25, {}),
    ("HealthIngestOperatorReconcileErrors", {ERRORS: ZEROS}, 25, None),
    ("HealthIngestOperatorQueueBacklog", {WAITING: ONES}, 5, {}),
    ("HealthIngestOperatorQueueBacklog", {WAITING: ZEROS}, 5, None),
    ("HealthIngestNotReady", {READY: ZEROS}, 20, LABELS),
    ("HealthIngestNotReady", {READY: ONES}, 20, None),
    ("HealthIngestSpoolFull", {USED: "95x30", LIMIT: "100x30"}, 10, LABELS),
    ("HealthIngestSpoolFull", {USED: "50x30", LIMIT: "100x30"}, 10, None),
    (
        "HealthIngestCertificateExpires",
        {ENDS: f"{13 * DAY * 60}x90"},
        80,
        LABELS | {"dependency": "broker"},
    ),
    ("HealthIngestCertificateExpires", {ENDS: f"{15 * DAY * 60}x90"}, 80, None),
    ("HealthIngestOperatorNamespaceRefused", {REFUSED: ONES}, 20, {}),
    ("HealthIngestOperatorNamespaceRefused", {REFUSED: ZEROS}, 20, None),
    ("HealthIngestApiDown", {f'up{{{OF}, container="api"}}': ZEROS}, 10, LABELS),
    (
        "HealthIngestApiDown",
        {f'up{{{OF}, container="api", pod="{n}"}}': f"{n}x30" for n in (0, 1)},
        10,
        None,
    ),
    ("HealthIngestApiDown", {'up{namespace="a", container="api"}': ZEROS}, 10, None),
    ("HealthIngestRelayDown", {f'up{{{OF}, container="relay"}}': ZEROS}, 15, LABELS),
    ("HealthIngestRelayDown", {f'up{{{OF}, container="relay"}}': ONES}, 15, None),
    ("HealthIngestRequestsFail", {FAILED: "0+6x30", SERVED: "0+60x30"}, 25, LABELS),
    ("HealthIngestRequestsFail", {FAILED: "0+1x30", SERVED: "0+60x30"}, 25, None),
    (
        "HealthIngestDependencyDown",
        {f'{UP}{{{OF}, dependency="store"}}': ZEROS},
        10,
        LABELS | {"dependency": "store"},
    ),
    ("HealthIngestDependencyDown", {f'{UP}{{{OF}, dependency="store"}}': ONES}, 10, None),
    ("HealthIngestNotAnnounced", {OLDEST: "700x30"}, 10, LABELS),
    ("HealthIngestNotAnnounced", {OLDEST: "500x30"}, 10, None),
    ("HealthIngestMessagesRefused", {UNROUTABLE: LATE}, 25, LABELS | {"outcome": "unroutable"}),
    ("HealthIngestMessagesRefused", {UNROUTABLE: "5x30", UNREACHABLE: LATE}, 25, None),
    ("HealthIngestRateLimiterDegraded", {DEGRADED: LATE}, 25, LABELS),
    ("HealthIngestRateLimiterDegraded", {DEGRADED: "5x30"}, 25, None),
    ("HealthIngestJanitorStale", {SWEPT: "0x60"}, 50, LABELS),
    ("HealthIngestJanitorStale", {SWEPT: "0+60x60"}, 50, None),
    ("HealthIngestErasureOverdue", {ERASING: f"{22 * DAY * 60}x90"}, 80, LABELS),
    ("HealthIngestErasureOverdue", {ERASING: f"{20 * DAY * 60}x90"}, 80, None),
    ("HealthIngestRetentionBelowLock", {BELOW_LOCK: "1x90"}, 80, LABELS),
    ("HealthIngestRetentionBelowLock", {BELOW_LOCK: "0x90"}, 80, None),
    ("HealthIngestObjectMismatched", {MISMATCHED: ONES}, 5, LABELS),
    ("HealthIngestObjectMismatched", {MISMATCHED: ZEROS}, 5, None),
    ("HealthIngestStorageInconsistent", {FOUND: ONES}, 5, LABELS | {"kind": "row_without_object"}),
    ("HealthIngestStorageInconsistent", {FOUND: ZEROS}, 5, None),
    ("HealthIngestStorageUnchecked", {FINISHED: f"0x{4 * DAY}"}, 4 * DAY, LABELS),
    ("HealthIngestStorageUnchecked", {FINISHED: f"{2 * DAY * 60}x{4 * DAY}"}, 4 * DAY, None),
)


RECOVERED: dict[str, str] = {
    LEADER: "1x60",
    f'{LEADER}{{namespace="a"}}': "1x60",
    f'{LEADER}{{namespace="b"}}': "1x60",
    f'{LEADER}{{pod="a"}}': "0x60",
    AGE: "5x60",
    ERRORS: "900+0x60",
    WAITING: "0x60",
    READY: "1x60",
    REFUSED: "0x60",
    USED: "10x60",
    ENDS: f"{90 * DAY * 60}x60",
    f'up{{{OF}, container="api"}}': "1x60",
    f'up{{{OF}, container="relay"}}': "1x60",
    FAILED: "180+0x60",
    SERVED: "1800+60x60",
    f'{UP}{{{OF}, dependency="store"}}': "1x60",
    OLDEST: "0x60",
    UNROUTABLE: "900+0x60",
    DEGRADED: "900+0x60",
    SWEPT: "3600+60x60",
    ERASING: "0x60",
    BELOW_LOCK: "0x60",
    MISMATCHED: "0x60",
    FOUND: "0x60",
    FINISHED: f"{4 * DAY * 60}x60",
}
"""How each series goes on after the fault of its case; others end."""
QUIET: dict[str, str] = {
    f'{LEADER}{{pod="a"}}': "1x20 0x40",
    f'{LEADER}{{pod="b"}}': "0x20 1x40",
    AGE: "0+30x1 0+30x1 20x60",
    ERRORS: "0x30 1x30",
    WAITING: "0x20 1x1 0x40",
    READY: "1x25 0x5 1x40",
    REFUSED: "0x60",
    USED: "10x10 60x10 5x40",
    LIMIT: "100x60",
    ENDS: f"{60 * DAY * 60}x60",
    f'up{{{OF}, container="api", pod="a"}}': "1x20 0x2 1x40",
    f'up{{{OF}, container="api", pod="b"}}': "1x60",
    f'up{{{OF}, container="relay"}}': "1x20 0x2 1x40",
    FAILED: "0x30 3x30",
    SERVED: "0+600x60",
    f'{UP}{{{OF}, dependency="store"}}': "1x20 0x1 1x40",
    f'{UP}{{{OF}, dependency="cache"}}': "1x60",
    OLDEST: "0x20 40x2 1x40",
    UNROUTABLE: "0x60",
    UNREACHABLE: "0x30 4x30",
    DEGRADED: "0x60",
    SWEPT: "0+60x60",
    ERASING: "0x60",
    BELOW_LOCK: "0x60",
    MISMATCHED: "0x60",
    FOUND: "0x60",
    FINISHED: "0x60",
}
"""An hour with a rolling update, a change of the leader, and a short loss of the store."""


def _promtool(folder: Path, tests: list[dict[str, Any]]) -> None:
    """Run tests of the rules."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no `promtool` on PATH")
    path = folder / "tests.yaml"
    path.write_text(
        yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests})
    )
    done = subprocess.run(
        [promtool, "test", "rules", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _case(
    series: Mapping[str, str], expected: Mapping[tuple[int, str], Mapping[str, str] | None]
) -> dict[str, Any]:
    """Return a test: by minute and alert, the labels of the alert that fires; None: it does not."""
    tests = []
    for (minute, alert), labels in expected.items():
        rule = _rules()[alert]
        firing = {
            "exp_labels": rule["labels"] | (labels or {}),
            "exp_annotations": rule["annotations"],
        }
        tests.append(
            {
                "eval_time": f"{minute}m",
                "alertname": alert,
                "exp_alerts": [] if labels is None else [firing],
            }
        )
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": tests,
    }


def test_each_alert_fires_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    """The rules pass promtool, and each has a case that fires and one that does not."""
    fires = {alert for alert, _, _, labels in CASES if labels is not None}
    assert fires == {alert for alert, _, _, labels in CASES if labels is None} == set(_rules())
    _promtool(
        tmp_path,
        [_case(series, {(minute, alert): labels}) for alert, series, minute, labels in CASES],
    )


def test_each_alert_clears(tmp_path: Path) -> None:
    """Within an hour after the end of its fault."""
    firing = [case for case in CASES if case[3] is not None]
    recovering = []
    for alert, series, minute, labels in firing:
        assert set(series) & set(RECOVERED), alert
        longer = {
            name: f"{values} {RECOVERED.get(name, '_x60')}" for name, values in series.items()
        }
        end = max(int(re.split(r"x", values)[-1]) for values in series.values()) + 60
        recovering.append(_case(longer, {(minute, alert): labels, (end, alert): None}))
    _promtool(tmp_path, recovering)


def test_a_quiet_hour_raises_no_alert(tmp_path: Path) -> None:
    """Each series of the alerts is there, so that none is quiet for want of data."""
    for alert, rule in _rules().items():
        names = set(re.findall(r"(?:healthingest|http_server)_\w+|\bup\b", rule["expr"]))
        assert {name for name in names if not any(name in series for series in QUIET)} == set(), (
            alert
        )
    never = {(minute, alert): None for alert in _rules() for minute in range(1, 60, 3)}
    _promtool(tmp_path, [_case(QUIET, never)])
