"""
Reasons to refuse a file that the gate's engine does not know of; its own stand in `avrogate.Code`.

Clients act on these codes: one is never renamed.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from healthingest_contract.topology import RECORD_TYPE_MESSAGE, RECORD_TYPE_REMEDY
from healthingest_service.uploads.model import Finding


class FindingCode(StrEnum):
    """The `code` of a `Finding`."""

    RECORD_TYPE_INVALID = "record_type_invalid"
    """Its name cannot stand in object keys and routing keys."""
    SCHEMA_NOT_ALLOWED = "schema_not_allowed"
    TOO_MUCH_MEMORY = "too_much_memory"
    TOO_MUCH_TIME = "too_much_time"
    NOT_READABLE = "not_readable"
    """The gate died of the file."""


_WORDS: Final[Mapping[FindingCode, tuple[str, str]]] = {
    FindingCode.RECORD_TYPE_INVALID: (RECORD_TYPE_MESSAGE, RECORD_TYPE_REMEDY),
    FindingCode.SCHEMA_NOT_ALLOWED: (
        "The schema is not allowed here.",
        "Use a schema that is allowed here, or ask the operator of the service to allow this one.",
    ),
    FindingCode.TOO_MUCH_MEMORY: (
        "Checking the file takes more memory than a worker has.",
        "Split the data into several files, or use a codec with a smaller window.",
    ),
    FindingCode.TOO_MUCH_TIME: (
        "Checking a piece of the file takes longer than a worker may need.",
        "Split the data into several files, or use a faster codec than bzip2 or xz.",
    ),
    FindingCode.NOT_READABLE: (
        "The process that checked the file ended abnormally.",
        "Check the file with `healthingest validate`, and report it to the service's operator.",
    ),
}


def finding_of(code: FindingCode) -> Finding:
    """The finding of *code*, with its message and remedy; these are about the whole file."""
    message, remedy = _WORDS[code]
    return Finding(code, message, remedy)
