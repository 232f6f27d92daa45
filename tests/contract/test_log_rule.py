"""What a log line has, and what it never has."""

import logging

import pytest

from healthingest_contract.log_rule import LIBRARY_MESSAGE, REDACTED, log_event

LOGGER = logging.getLogger("test")
CANARY = "canary-1d9e"


def _raise() -> None:
    values: dict[str, str] = {}
    try:
        values[CANARY]
    except KeyError as cause:
        raise ValueError(CANARY) from cause


def _raised() -> ValueError:
    """Return an error with a cause, both with a text, as a parser raises it."""
    with pytest.raises(ValueError, match=CANARY) as raised:
        _raise()
    return raised.value


def test_the_fields_are_ordered() -> None:
    """First when, how grave, whence and what; then the other fields by name."""
    line = log_event(LOGGER, "warning", {"zone": 1, "event": "happened", "area": 2})
    assert list(line) == ["timestamp", "level", "logger", "event", "area", "zone"]
    assert (line["level"], line["logger"], line["event"]) == ("warning", "test", "happened")


def test_an_error_has_types_and_places_and_no_text() -> None:
    """The types of the error and of its cause, and where it was raised."""
    line = log_event(LOGGER, "error", {"event": "failed", "exc_info": _raised()})
    assert line["error_types"] == ["builtins.ValueError", "builtins.KeyError"]
    assert "_raise (" in str(line["error_frames"])
    assert CANARY not in str(line)
    assert "exc_info" not in line


def test_a_group_has_the_types_of_its_errors() -> None:
    """Each error of a group, also of a group within it, gives its type and its place."""
    inner = ExceptionGroup(CANARY, [_raised(), TypeError(CANARY)])
    group = ExceptionGroup(CANARY, [inner])
    line = log_event(LOGGER, "error", {"event": "failed", "exc_info": group})
    assert line["error_types"] == [
        "builtins.ExceptionGroup",
        "builtins.ExceptionGroup",
        "builtins.ValueError",
        "builtins.KeyError",
        "builtins.TypeError",
    ]
    assert "_raise (" in str(line["error_frames"])
    assert CANARY not in str(line)


def test_a_chain_without_end_is_cut() -> None:
    """An error that is its own cause gives a line of bounded length."""
    error = ValueError()
    error.__cause__ = error
    line = log_event(LOGGER, "error", {"event": "failed", "exc_info": error})
    assert line["error_types"] == ["builtins.ValueError"] * 20


@pytest.mark.parametrize(
    ("name", "value", "logged"),
    [
        ("password", CANARY, REDACTED),
        ("Authorization", CANARY, REDACTED),
        ("email", CANARY, REDACTED),
        ("address", f"amqp://user:{CANARY}@host/x", f"amqp://{REDACTED}@host/x"),
        ("address", f"redis://:{CANARY}@host", f"redis://{REDACTED}@host"),
        ("address", "s3://bucket/a@b", "s3://bucket/a@b"),
    ],
)
def test_secrets_are_redacted(name: str, value: str, logged: str) -> None:
    """Fields with the name of a secret, and logins in addresses."""
    assert log_event(LOGGER, "info", {"event": "a", name: value})[name] == logged


def test_a_librarys_message_is_its_template() -> None:
    """Arguments, and messages that are formatted already, may quote anything."""
    plain = logging.LogRecord("lib", 30, "/x/site-packages/lib/a.py", 7, CANARY, None, None)
    line = log_event(None, "warning", {"event": CANARY, "_record": plain})
    assert (line["event"], line["logger"]) == (LIBRARY_MESSAGE, "lib")
    assert line["place"] == "lib/a.py:7"
    template = logging.LogRecord("lib", 30, "/b.py", 7, "lost %s", (CANARY,), None)
    event = {"event": template.getMessage(), "_record": template, "positional_args": (CANARY,)}
    line = log_event(None, "warning", event)
    assert line["event"] == "lost %s"
    assert CANARY not in str({name: line[name] for name in line.keys() - {"_record"}})
