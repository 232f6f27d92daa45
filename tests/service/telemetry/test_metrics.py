from healthingest_service.telemetry.metrics import Metrics
from support.uploads import NOON


def test_shows_the_counts_of_relay_and_janitor_as_they_are_at_the_scrape() -> None:
    """Each outcome is a counter, read when asked."""
    counts = {"announced": 0.0, "refused": 0.0}
    metrics = Metrics.create()
    metrics.watch_relay(lambda: counts, lambda: NOON)
    metrics.watch_janitor(lambda: {"mismatched": 2.0}, lambda: NOON)
    metrics.watch_consistency_check(
        lambda: {"other_bytes": 1.0}, lambda: {"listed_objects": 3.0}, lambda: None
    )
    counts["announced"] = 7.0
    text = metrics.text().decode()
    assert 'healthingest_relay_outcomes_total{outcome="announced"} 7.0' in text
    assert 'healthingest_relay_outcomes_total{outcome="refused"} 0.0' in text
    assert 'healthingest_janitor_outcomes_total{outcome="mismatched"} 2.0' in text
    (confirmed,) = (
        line for line in text.splitlines() if line.startswith("healthingest_relay_last_confirmed")
    )
    assert float(confirmed.split()[1]) == NOON.timestamp()
    (swept,) = (
        line for line in text.splitlines() if line.startswith("healthingest_janitor_last_sweep")
    )
    assert float(swept.split()[1]) == NOON.timestamp()
    assert 'healthingest_consistency_discrepancies_total{kind="other_bytes"} 1.0' in text
    assert 'healthingest_consistency_work_total{kind="listed_objects"} 3.0' in text
    assert "healthingest_consistency_last_finished_timestamp_seconds 0.0" in text


def test_shows_spool_and_certificates() -> None:
    """The use of the spool is read when asked; an end is a time."""
    metrics = Metrics.create()
    used = [0.0]
    metrics.watch_spool(lambda: used[0], 100.0)
    metrics.report_certificates({"broker": NOON})
    used[0] = 7.0
    lines = metrics.text().decode().splitlines()
    assert "healthingest_spool_used_bytes 7.0" in lines
    assert "healthingest_spool_limit_bytes 100.0" in lines
    name = 'healthingest_certificate_expiry_timestamp_seconds{dependency="broker"} '
    (end,) = (line.removeprefix(name) for line in lines if line.startswith(name))
    assert float(end) == NOON.timestamp()


def test_two_processes_in_one_do_not_meet() -> None:
    """Each set of metrics has a registry of its own."""
    one = Metrics.create()
    other = Metrics.create()
    one.logins.labels("accepted").inc()
    assert 'healthingest_logins_total{outcome="accepted"} 1.0' in one.text().decode()
    assert 'outcome="accepted"' not in other.text().decode()
