"""
Names in the broker: exchange, routing keys, dead letters.

The operator declares exchange and queues, the relay publishes, and consumers bind to them.
"""

import re
from typing import Final

DEFAULT_EXCHANGE: Final = "health_data_exchange"
ROUTING_KEY_PREFIX: Final = "health.processing"
ALL_UPLOADS_BINDING: Final = f"{ROUTING_KEY_PREFIX}.#"
ERASED_ROUTING_KEY_PREFIX: Final = "health.erased"
ALL_ERASURES_BINDING: Final = f"{ERASED_ROUTING_KEY_PREFIX}.#"
ERASURES_QUEUE: Final = "erasures"
"""The default queue of announcements that an upload was erased."""

RECORD_TYPE_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
"""
An Avro name (Avro specification 1.12, "Names") of at most 64 characters.

It is part of object keys and routing keys.
"""

RECORD_TYPE_MESSAGE: Final = (
    "The name of the record is not valid in object keys: it has more than 64 characters."
)
RECORD_TYPE_REMEDY: Final = (
    "Shorten the name of the outermost record; its namespace does not count."
)

_RECORD_TYPE = re.compile(RECORD_TYPE_PATTERN)


def is_record_type(text: str) -> bool:
    """Return whether *text* is valid as a record type in object keys and routing keys."""
    return _RECORD_TYPE.fullmatch(text) is not None


def routing_key(record_type: str) -> str:
    """
    Return the routing key of a record type, such as `health.processing.bloodglucoserecord`.

    Raises:
        ValueError: *record_type* does not match `RECORD_TYPE_PATTERN`; the message does not contain
            it.
    """
    return _key(ROUTING_KEY_PREFIX, record_type)


def erased_routing_key(record_type: str) -> str:
    """
    Return the routing key of messages about erased uploads, such as `health.erased.sleeprecord`.

    Raises:
        ValueError: as `routing_key`.
    """
    return _key(ERASED_ROUTING_KEY_PREFIX, record_type)


def _key(prefix: str, record_type: str) -> str:
    if not is_record_type(record_type):
        message = "not a record type"
        raise ValueError(message)
    return f"{prefix}.{record_type.lower()}"


def dead_letter_exchange(exchange: str) -> str:
    """Return the name of the dead letter exchange of *exchange*."""
    return f"{exchange}.dead"


def dead_letter_queue(queue: str) -> str:
    """Return the name of the queue that keeps the dead letters of *queue*."""
    return f"{queue}.dead"
