"""
Logging: one JSON line per event of the service and its libraries; coloured text on a terminal.

The message of a foreign exception may quote data (a row, an address with a password). So an error
is logged with its type and stack frames, never with its message.
"""

import logging
import logging.config
import sys
import traceback
from types import TracebackType
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor

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
_MAX_FRAMES: Final = 20
_QUIET_LIBRARIES: Final = (
    "aio_pika",
    "aiormq",
    "aiobotocore",
    "aiosqlite",
    "alembic",
    "asyncio",
    "botocore",
    "sqlalchemy",
)


def _drop_secrets(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Redact the values of fields with secret or personal data."""
    for name in event:
        if name.lower() in SECRET_FIELDS:
            event[name] = REDACTED
    return event


def _frames(trace: TracebackType | None) -> list[str]:
    return [
        f"{frame.name} ({frame.filename}:{frame.lineno})"
        for frame in traceback.extract_tb(trace)[-_MAX_FRAMES:]
    ]


def _error_without_text(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by the types of the cause chain and the stack frames of the error."""
    info = event.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else info
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["error_frames"] = _frames(error.__traceback__)
        chain: list[str] = []
        cause: BaseException | None = error
        while cause is not None and len(chain) < _MAX_FRAMES:
            chain.append(f"{type(cause).__module__}.{type(cause).__qualname__}")
            cause = cause.__cause__ or cause.__context__
        event["error_types"] = chain
    return event


def configure_logging(stream: TextIO, *, level: str) -> None:
    """
    Write every log line of this process to *stream*.

    A second call replaces the configuration of the first.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _error_without_text,
        _drop_secrets,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if stream.isatty() else structlog.processors.JSONRenderer()
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
