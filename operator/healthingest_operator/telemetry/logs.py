"""
The logging configuration of the operator: one line of JSON for each event.

`healthingest_contract.log_rule` defines the fields of a line.
"""

import logging
from typing import TextIO

import structlog

from healthingest_contract.log_rule import log_event


def configure_logging(stream: TextIO, *, level: str) -> None:
    """
    Send every log line of this process to *stream*.

    A second call replaces the configuration of the first.
    """
    fields: list[structlog.typing.Processor] = [structlog.contextvars.merge_contextvars, log_event]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            pass_foreign_args=True,
            foreign_pre_chain=fields,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # kopf logs every event of every object, and the operator already logs each reconciliation.
    logging.getLogger("kopf").setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*fields, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
