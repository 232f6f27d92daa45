"""
Findings of the service itself; `avrogate.Code` has those of the Avro gate.

Clients act on the codes, so a code is never renamed.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from healthingest_contract.topology import RECORD_TYPE_MESSAGE, RECORD_TYPE_REMEDY
from healthingest_service.uploads.model import Finding


class FindingCode(StrEnum):
    """The `code` of a `Finding`."""

    RECORD_TYPE_INVALID = "record_type_invalid"
    """The name of the record type is not valid in object keys and routing keys."""
    SCHEMA_NOT_ALLOWED = "schema_not_allowed"
    TOO_MUCH_MEMORY = "too_much_memory"
    TOO_MUCH_TIME = "too_much_time"
    NOT_READABLE = "not_readable"
    """The worker that validated the file crashed."""


_WORDS: Final[Mapping[FindingCode, tuple[str, str]]] = {
    FindingCode.RECORD_TYPE_INVALID: (RECORD_TYPE_MESSAGE, RECORD_TYPE_REMEDY),
    FindingCode.SCHEMA_NOT_ALLOWED: (
        "The schema is not allowed in this installation.",
        "Use an allowed schema, or ask the administrator of the service to allow this one.",
    ),
    FindingCode.TOO_MUCH_MEMORY: (
        "Validating the file needs more memory than a worker has.",
        "Split the data into several files, or use a codec with a smaller window.",
    ),
    FindingCode.TOO_MUCH_TIME: (
        "Validating a part of the file takes longer than a worker may need.",
        "Split the data into several files, or use a faster codec than bzip2 or xz.",
    ),
    FindingCode.NOT_READABLE: (
        "The process that validated the file crashed.",
        "Validate the file with `healthingest validate`, and report it to the administrator.",
    ),
}


def finding_of(code: FindingCode) -> Finding:
    """Return the finding of *code*, with message and remedy; it concerns the whole file."""
    message, remedy = _WORDS[code]
    return Finding(code, message, remedy)
