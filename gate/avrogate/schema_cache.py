"""Compiles schemas; one that many files have is compiled once."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from avrogate.canonical import fingerprint
from avrogate.model import Enum, Fixed, Record, Schema
from avrogate.policy import Policy
from avrogate.program import Program, compile_schema
from avrogate.schema import parse_schema

MAX_SCHEMAS: Final = 32
MAX_TEXT_BYTES: Final = 16 * 1024
MAX_PROGRAM_WORDS: Final = 32 * 1024
"""
Larger schemas are not kept, so a full cache needs less than 32 MiB.

The memory of a schema grows with its program (tests/gate/test_schema_cache.py).
"""


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A valid schema; `name` is the full name of its outermost type, or empty if it has none."""

    schema: Schema
    name: str
    fingerprint: str
    program: Program


class SchemaCache:
    """
    Compiles schemas within the limits of *policy*, and keeps those that were used last.

    A schema is recognised by all of its bytes. The files of a device have the same schema, and to
    compile it can take longer than to read their records (decision 0111).
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._kept: OrderedDict[bytes, CompiledSchema] = OrderedDict()

    def compiled(self, text: bytes) -> CompiledSchema:
        """
        Return the schema that *text* defines; whether the policy allows it is not checked.

        Raises:
            RefusedError: the schema is invalid.
        """
        known = self._kept.get(text)
        if known is not None:
            self._kept.move_to_end(text)
            return known
        compiled = _compile(text, self._policy)
        if len(text) <= MAX_TEXT_BYTES and len(compiled.program.words) <= MAX_PROGRAM_WORDS:
            self._kept[text] = compiled
            if len(self._kept) > MAX_SCHEMAS:
                self._kept.popitem(last=False)
        return compiled


def _compile(text: bytes, policy: Policy) -> CompiledSchema:
    schema = parse_schema(text, policy)
    name = schema.root.name if isinstance(schema.root, Record | Enum | Fixed) else ""
    return CompiledSchema(schema, name, fingerprint(schema), compile_schema(schema))
