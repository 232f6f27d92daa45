"""
Where the service's log lines go: JSON, or a readable form on a terminal.

`healthingest_contract.log_rule` has the rule for each line.
"""

import logging
from contextlib import nullcontext, suppress
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
        processors=[*fields, renderer],
        logger_factory=lambda name: _LineLogger(name, handler),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )


class _LineLogger:
    """
    Writes finished lines where *handler* writes those of libraries.

    With a record of `logging` a line took 1.6 times as long (decision 0111). A line that cannot be
    written is lost; `logging` does not raise either.
    """

    def __init__(self, name: str, handler: "logging.StreamHandler[TextIO]") -> None:
        self.name = name
        self._handler = handler

    def write(self, line: str) -> None:
        """Write one line."""
        with suppress(OSError, ValueError), self._handler.lock or nullcontext():
            self._handler.stream.write(f"{line}\n")
            self._handler.stream.flush()

    debug = info = warning = error = critical = write
