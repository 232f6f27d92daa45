"""
The closed list of reasons to refuse a file.

Clients act on these codes: one is never renamed.
"""

from enum import StrEnum


class FindingCode(StrEnum):
    """The `code` of a `Finding`."""

    HEADER_INVALID = "header_invalid"
    SCHEMA_INVALID = "schema_invalid"
    SCHEMA_NOT_A_RECORD = "schema_not_a_record"
    RECORD_TYPE_INVALID = "record_type_invalid"
    SCHEMA_NOT_ALLOWED = "schema_not_allowed"
    CODEC_UNSUPPORTED = "codec_unsupported"
    BLOCK_INVALID = "block_invalid"
    RECORD_INVALID = "record_invalid"
    BLOCK_COUNT_WRONG = "block_count_wrong"
    TOO_MUCH_MEMORY = "too_much_memory"
    TOO_MUCH_TIME = "too_much_time"
    NOT_READABLE = "not_readable"  # the reader died of the file
