"""JSON lines, one per event, ours and the libraries'; what looks like a login in an address is blotted out."""

import logging
import re
import sys
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_LOGIN: Final = re.compile(r"(://)[^/@\s:]*:[^/@\s]+@")
_HIDDEN: Final = "[hidden]"


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Logins in addresses, wherever a text bears one."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = _LOGIN.sub(rf"\1{_HIDDEN}@", value)
    return event


def configure_logs(level: str) -> structlog.stdlib.BoundLogger:
    """Send everything to standard output in one form; returns the operator's own logger."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
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
    # kopf tells of every event of every child; what became of them, the passes tell.
    logging.getLogger("kopf").setLevel(max(logging.WARNING, root.level))
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("healthingest_operator")
    return logger
