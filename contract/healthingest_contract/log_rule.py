"""
The rule for a log line, for both halves: its fields, their order, and what it never has.

A library's exception text may quote what the library read: a row, or an address with a password.
Libraries also write such texts into their messages. An error is therefore logged as its types and
source locations, and a library's message as its template.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Final

REDACTED: Final = "[redacted]"
SECRET_FIELDS: Final = frozenset(
    {
        "authorization",
        "cookie",
        "email",
        "password",
        "secret",
        "token",
        "access_token",
        "refresh_token",
        "username",
    }
)
"""Names, in lower case, of fields whose value is never logged."""
LIBRARY_MESSAGE: Final = "library_message"
"""Logged instead of a library's message that has no template."""
_LEADING_FIELDS: Final = ("timestamp", "level", "logger", "event")
_MAX_TYPES: Final = 20
_MAX_FRAMES: Final = 20
_LOGIN: Final = re.compile(r"(://)[^/@\s:]*:[^/@\s]+@")


def log_event(logger: object, method: str, event: Mapping[str, object]) -> dict[str, object]:
    """
    Return the fields of the log line for *event*, in the order of the line.

    It is a structlog processor, for structlog's events and for records of `logging`. The order is
    timestamp, level, logger and event, then the other fields by name.
    """
    fields = dict(event)
    record = fields.get("_record")
    source = logger if record is None else record
    template_has_arguments = bool(fields.pop("positional_args", None))
    if isinstance(record, logging.LogRecord):
        fields |= _library_fields(record, template_has_arguments=template_has_arguments)
    fields |= _error_fields(fields.pop("exc_info", None))
    fields = {name: _redacted(name, value) for name, value in fields.items()}
    fields["timestamp"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    fields["level"] = "error" if method == "exception" else method
    fields["logger"] = getattr(source, "name", None)
    rest = sorted(fields.keys() - set(_LEADING_FIELDS))
    return {name: fields[name] for name in (*_LEADING_FIELDS, *rest) if name in fields}


def _library_fields(
    record: logging.LogRecord, *, template_has_arguments: bool
) -> dict[str, object]:
    """Return the template of a library's message, and its source location."""
    return {
        "event": str(record.msg) if template_has_arguments else LIBRARY_MESSAGE,
        "place": f"{record.pathname.rpartition('site-packages/')[2]}:{record.lineno}",
    }


def _error_fields(exc_info: object) -> dict[str, object]:
    """Return the types of an error and of its causes, and where it was raised."""
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if error is True:
        error = sys.exc_info()[1]
    if not isinstance(error, BaseException):
        return {}
    return {
        "error_types": [
            f"{type(link).__module__}.{type(link).__qualname__}"
            for link in islice(_chain(error), _MAX_TYPES)
        ],
        "error_frames": [
            f"{frame.name} ({frame.filename}:{frame.lineno})"
            for raised in _members(error)
            for frame in traceback.extract_tb(raised.__traceback__)[-_MAX_FRAMES:]
        ],
    }


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield *error*, then the errors of a group, then its cause, each with its own chain."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _chain(member)
    cause = error.__cause__ or error.__context__
    if cause is not None:
        yield from _chain(cause)


def _members(error: BaseException) -> list[BaseException]:
    """Return the errors of a group, also of groups within it; any other error is its own."""
    if isinstance(error, BaseExceptionGroup):
        return [member for inner in error.exceptions for member in _members(inner)]
    return [error]


def _redacted(name: str, value: object) -> object:
    """Return *value* without secrets: nothing of a secret field, and no login of an address."""
    if name.lower() in SECRET_FIELDS:
        return REDACTED
    if isinstance(value, str):
        return _LOGIN.sub(rf"\1{REDACTED}@", value)
    return value
