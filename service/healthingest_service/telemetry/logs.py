"""
Where the service's log lines go: JSON, or a readable form on a terminal.

`healthingest_contract.log_rule` has the rule for each line.
"""

import logging
from typing import Final, TextIO

import structlog
from structlog.typing import Processor  # noqa: TC002 - read at run time

from healthingest_contract.log_rule import log_event

_QUIET_LIBRARIES: Final = (
    "aio_pika",
    "aiormq",
    "aiobotocore",
    "aiosqlite",
    "alembic",
    "asyncio",
    "botocore",
    "sqlalchemy",
    "uvicorn.error",
)


def configure_logging(stream: TextIO, *, level: str) -> None:
    """
    Write every log line of this process to *stream*.

    A second call replaces the configuration of the first.
    """
    fields: list[Processor] = [structlog.contextvars.merge_contextvars, log_event]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if stream.isatty() else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            pass_foreign_args=True,
            foreign_pre_chain=fields,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*fields, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
