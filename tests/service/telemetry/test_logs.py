import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from healthingest_contract.log_rule import REDACTED
from healthingest_service.telemetry.logs import configure_logging

CANARY = "canary-1d9e"


@pytest.fixture(name="stream")
def _stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    before = list(root.handlers)
    level = root.level
    configure_logging(stream, level="INFO")
    yield stream
    root.handlers = before
    root.level = level


def broken() -> None:
    """What a parser does to a value."""
    values: dict[str, str] = {}
    try:
        values[CANARY]
    except KeyError as cause:
        raise ValueError(CANARY) from cause


def only_line(stream: io.StringIO) -> dict[str, Any]:
    """The one event."""
    line: dict[str, Any] = json.loads(stream.getvalue())
    return line


def test_an_error_is_types_and_places(stream: io.StringIO) -> None:
    """
    Neither the text of an error nor that of its cause is logged.

    Their types and where it was raised are.
    """
    try:
        broken()
    except ValueError:
        structlog.get_logger("test").exception("it_failed")
    line = only_line(stream)
    assert line["error_types"] == ["builtins.ValueError", "builtins.KeyError"]
    assert line["error_frames"][-1].startswith("broken (")
    assert CANARY not in stream.getvalue()


def test_a_librarys_error_too(stream: io.StringIO) -> None:
    """The standard library's logging goes the same way."""
    try:
        broken()
    except ValueError:
        logging.getLogger("some.library").exception("broken")
    assert only_line(stream)["error_types"][0] == "builtins.ValueError"
    assert CANARY not in stream.getvalue()


@pytest.mark.parametrize("name", ["password", "token", "Authorization", "email", "access_token"])
def test_secret_fields_lose_their_value(stream: io.StringIO, name: str) -> None:
    """Whoever logs a secret by mistake logs nothing."""
    structlog.get_logger("test").info("login", **{name: CANARY})
    assert only_line(stream)[name] == REDACTED
    assert CANARY not in stream.getvalue()


def test_a_line_says_when_and_how_grave(stream: io.StringIO) -> None:
    """Time in UTC, level, logger, event and fields."""
    structlog.get_logger("test").warning("happened", count=3)
    line = only_line(stream)
    assert (line["event"], line["level"], line["logger"], line["count"]) == (
        "happened",
        "warning",
        "test",
        3,
    )
    assert line["timestamp"].endswith("Z")


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    """The level is that of the configuration, for our lines and those of libraries."""
    structlog.get_logger("test").debug("happened")
    logging.getLogger("some.library").debug("happened")
    assert stream.getvalue() == ""


def test_a_line_that_cannot_be_written_breaks_nothing(stream: io.StringIO) -> None:
    """A request must not fail because the stream is closed."""
    stream.close()
    structlog.get_logger("test").info("happened")
