"""Service and operator log by one rule."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator

import pytest
import structlog

from healthingest_operator.telemetry import logs as operator_logs
from healthingest_service.telemetry import logs as service_logs

CONFIGURATIONS: tuple[Callable[..., None], ...] = (
    service_logs.configure_logging,
    operator_logs.configure_logging,
)
LOGGERS = ("", "kopf", "uvicorn", "uvicorn.error", "uvicorn.access")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger, list(logger.handlers), logger.level) for logger in loggers]
    yield
    for logger, handlers, level in before:
        logger.handlers = handlers
        logger.setLevel(level)


def _fail() -> None:
    text = "hush"
    raise ExceptionGroup(text, [ValueError(text)])


def _own_event() -> None:
    with structlog.contextvars.bound_contextvars(request="r1"):
        structlog.stdlib.get_logger("own").warning(
            "happened", zone=1, address="amqp://user:hush@host", area=[2], password="hush"
        )


def _own_error() -> None:
    try:
        _fail()
    except ExceptionGroup:
        structlog.stdlib.get_logger("own").exception("it_failed", key="k")


def _error_of_another_time() -> None:
    structlog.stdlib.get_logger("own").error("it_failed", exc_info=ValueError("hush"))


def _library_message() -> None:
    logging.getLogger("library").warning("cannot open %s", "postgresql://user:hush@host")


def _library_error() -> None:
    try:
        _fail()
    except ExceptionGroup as error:
        text = f"failed: {error!r}"
        logging.getLogger("library").exception(text)


def _library_critical() -> None:
    logging.getLogger("library").critical("hush")


@pytest.mark.parametrize(
    "emit",
    [
        _own_event,
        _own_error,
        _error_of_another_time,
        _library_message,
        _library_error,
        _library_critical,
    ],
)
def test_an_event_is_the_same_line_in_both_halves(emit: Callable[[], None]) -> None:
    """The same fields in the same order with the same values, apart from the time."""
    lines = [_line(configure, emit) for configure in CONFIGURATIONS]
    for line in lines:
        name, time = line.pop(0)
        assert name == "timestamp"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", str(time))
    assert lines[0] == lines[1]
    assert [name for name, _ in lines[0][:3]] == ["level", "logger", "event"]
    assert "hush" not in str(lines)


def _line(configure: Callable[..., None], emit: Callable[[], None]) -> list[tuple[str, object]]:
    """Return the fields of the one line of *emit*, in their order."""
    stream = io.StringIO()
    configure(stream, level="INFO")
    emit()
    line: list[tuple[str, object]] = json.loads(stream.getvalue(), object_pairs_hook=list)
    return line
