"""
Reasons to refuse a file that the gate's engine does not know of; its own stand in `avrogate.Code`.

Clients act on these codes: one is never renamed.
"""

from enum import StrEnum


class FindingCode(StrEnum):
    """The `code` of a `Finding`."""

    RECORD_TYPE_INVALID = "record_type_invalid"
    """Its name cannot stand in object keys and routing keys."""
    SCHEMA_NOT_ALLOWED = "schema_not_allowed"
    TOO_MUCH_MEMORY = "too_much_memory"
    TOO_MUCH_TIME = "too_much_time"
    NOT_READABLE = "not_readable"
    """The gate died of the file."""
