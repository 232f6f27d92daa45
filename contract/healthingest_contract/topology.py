"""
Names in the broker: exchange, routing keys, dead letters.

The operator declares them, the relay publishes to them, consumers bind to them.
"""

import re
from typing import Final

DEFAULT_EXCHANGE: Final = "health_data_exchange"
ROUTING_KEY_PREFIX: Final = "health.processing"
ALL_UPLOADS_BINDING: Final = f"{ROUTING_KEY_PREFIX}.#"

RECORD_TYPE_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
"""
An Avro name (Avro specification 1.12, "Names") of at most 64 characters.

It becomes part of keys and paths.
"""

RECORD_TYPE_MESSAGE: Final = (
    "The record's name cannot be part of object keys: it has more than 64 characters."
)
RECORD_TYPE_REMEDY: Final = (
    "Shorten the name of the outermost record; its namespace does not count."
)

_RECORD_TYPE = re.compile(RECORD_TYPE_PATTERN)


def is_record_type(text: str) -> bool:
    """Whether *text* may stand in object keys and routing keys."""
    return _RECORD_TYPE.fullmatch(text) is not None


def routing_key(record_type: str) -> str:
    """
    The routing key of an upload of this type, e.g. `health.processing.bloodglucoserecord`.

    Raises:
        ValueError: *record_type* does not match `RECORD_TYPE_PATTERN`; the text is not repeated.
    """
    if not is_record_type(record_type):
        message = "not a record type"
        raise ValueError(message)
    return f"{ROUTING_KEY_PREFIX}.{record_type.lower()}"


def dead_letter_exchange(exchange: str) -> str:
    """Where messages go that no consumer could process."""
    return f"{exchange}.dead"


def dead_letter_queue(queue: str) -> str:
    """Where the dead letters of *queue* are kept until somebody looks at them."""
    return f"{queue}.dead"
