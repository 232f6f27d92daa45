"""
JSON log lines, one for each event, of the operator and of its libraries.

As in the service, an error is logged as its types and places, never as its text, which may quote
secrets. kopf puts texts of errors into its messages: of a library's message only the template is
logged, if it has arguments, and the place in its source. Logins in addresses are hidden.
"""

import logging
import re
import sys
import traceback
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LIBRARY_MESSAGE: Final = "library_message"
"""Logged instead of a library's message that is already formatted."""
_MOST_FRAMES: Final = 20
_LOGIN: Final = re.compile(r"(://)[^/@\s:]*:[^/@\s]+@")
_HIDDEN: Final = "[hidden]"


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Hide logins in addresses, in every text of *event*."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _LOGIN.sub(rf"\1{_HIDDEN}@", value)
    return event


def without_text_of_errors(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by the chain of exception types and the outermost one's places."""
    info = event.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else info
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
        event["error_frames"] = [
            f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames
        ]
        types: list[str] = []
        cause: BaseException | None = error
        while cause is not None and len(types) < _MOST_FRAMES:
            types.append(f"{type(cause).__module__}.{type(cause).__qualname__}")
            cause = cause.__cause__ or cause.__context__
        event["error_types"] = types
    return event


def without_text_of_libraries(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The template of a library's message instead of the message, and where it was written."""
    record = event.get("_record")
    has_arguments = bool(event.pop("positional_args", None))
    if isinstance(record, logging.LogRecord):
        event["event"] = str(record.msg) if has_arguments else LIBRARY_MESSAGE
        event["place"] = f"{record.pathname.rpartition('site-packages/')[2]}:{record.lineno}"
    return event


def configure_logs(level: str) -> structlog.stdlib.BoundLogger:
    """Log everything to standard output as JSON; returns the operator's own logger."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        without_text_of_errors,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        pass_foreign_args=True,
        foreign_pre_chain=[without_text_of_libraries, *shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # kopf logs every event of every object; the operator logs each reconciliation.
    logging.getLogger("kopf").setLevel(max(logging.WARNING, root.level))
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("healthingest_operator")
    return logger
