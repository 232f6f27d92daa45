"""
One JSON line per event, our own and the libraries'; pretty on a terminal.

A library's exception text may quote what it read (a row, an address with a password), so an error
is logged as its type and the places it passed, never as its text.
"""

import logging
import logging.config
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Final, TextIO

import structlog

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


def _drop_secrets(
    _logger: object, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Fields whose name says that they are secret or personal lose their value."""
    for name in event:
        if name.lower() in SECRET_FIELDS:
            event[name] = REDACTED
    return event


def _frames(trace: TracebackType | None) -> list[str]:
    return [
        f"{frame.name} ({frame.filename}:{frame.lineno})"
        for frame in traceback.extract_tb(trace)[-_MAX_FRAMES:]
    ]


def _error_without_text(
    _logger: object, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Turn `exc_info` into the types along the chain of causes and the places of the last one."""
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
    Send every log line of this process to *stream*.

    Calling again replaces what was set before.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _error_without_text,
        _drop_secrets,
    ]
    renderer: Any = (
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
