"""What is logged."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client import CollectorRegistry

from healthingest_contract.log_rule import LIBRARY_MESSAGE
from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.outcome import Outcome
from healthingest_operator.telemetry.logs import configure_logging
from healthingest_operator.telemetry.metrics import Telemetry


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("kopf").level)
    yield
    root.handlers = before[0]
    root.setLevel(before[1])
    logging.getLogger("kopf").setLevel(before[2])


def test_logins_in_addresses_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours and those that libraries log, in messages and in the text of exceptions."""
    configure_logging(sys.stdout, level="INFO")
    structlog.stdlib.get_logger("test").info("event", address="amqp://user:hush@host/x")
    logging.getLogger("library").warning("cannot open %s", "postgresql://user:hush@host/x")
    try:
        int("redis://:hush@host")
    except ValueError:
        logging.getLogger("library").exception("failed: amqp://user:hush@host")
    printed = capsys.readouterr().out
    assert len([json.loads(line) for line in printed.splitlines()]) == 3
    assert "hush" not in printed


def test_no_text_of_a_foreign_error_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither with a traceback nor written into a message, as kopf does; types and places stay."""
    configure_logging(sys.stdout, level="INFO")
    library = logging.getLogger("kopf.something")
    try:
        int("hush")
    except ValueError as error:
        library.exception("Handler failed with an exception.")
        library.warning(f"Request failed; will retry: {error!r}")
        library.warning("Request failed: %r", error)
    printed = capsys.readouterr().out
    assert "hush" not in printed
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [line["event"] for line in lines] == [
        LIBRARY_MESSAGE,
        LIBRARY_MESSAGE,
        "Request failed: %r",
    ]
    assert lines[0]["error_types"] == ["builtins.ValueError"]
    assert all("test_logs.py" in line["place"] for line in lines)
    assert all(line["logger"] == "kopf.something" for line in lines)


def test_a_broken_pass_tells_no_text_of_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The text of an unforeseen error may hold anything; its type and place are enough."""
    registry = CollectorRegistry()
    configure_logging(sys.stdout, level="INFO")
    Telemetry(registry, structlog.stdlib.get_logger("test")).failed(
        Key("a", "b"), ExceptionGroup("hush", [ValueError("hush")]), 0.1
    )
    line = json.loads(capsys.readouterr().out)
    assert line["error_types"] == ["builtins.ExceptionGroup", "builtins.ValueError"]
    assert "hush" not in json.dumps(line)
    assert (
        registry.get_sample_value("healthingest_operator_reconciles_total", {"outcome": "error"})
        == 1
    )


@pytest.mark.parametrize(
    ("level", "lines"), [("INFO", ["ready"]), ("DEBUG", ["ready", "unchanged"])]
)
def test_what_is_unchanged_is_counted_and_hardly_told(
    level: str, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A thousand at rest are looked at twenty-five times a second."""
    registry = CollectorRegistry()
    configure_logging(sys.stdout, level=level)
    telemetry = Telemetry(registry, structlog.stdlib.get_logger("test"))
    for outcome in (Outcome.READY, Outcome.UNCHANGED):
        telemetry.completed(Key("a", "b"), outcome, 0.1)
        assert (
            registry.get_sample_value(
                "healthingest_operator_reconciles_total", {"outcome": outcome}
            )
            == 1
        )
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["outcome"] for entry in told if entry["event"] == "reconcile_ended"] == lines
