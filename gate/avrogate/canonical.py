"""Canonical form and fingerprint: Avro specification 1.12, "Parsing Canonical Form for Schemas"."""

import hashlib

from avrogate.model import (
    Array,
    Enum,
    Fixed,
    Map,
    Named,
    Primitive,
    Record,
    Reference,
    Schema,
    Type,
    Union,
)


def canonical_form(schema: Schema) -> str:
    """
    Return the schema as JSON, reduced to what a reader needs.

    Names consist of ASCII letters, digits and underscores, so nothing needs to be escaped.
    """
    return _form(schema.root)


def fingerprint(schema: Schema) -> str:
    """Return the SHA-256 of the canonical form, in lower-case hexadecimal."""
    return hashlib.sha256(canonical_form(schema).encode()).hexdigest()


def _form(type_: Type) -> str:
    match type_:
        case Primitive(name) | Reference(name):
            return f'"{name}"'
        case Array(items):
            return f'{{"type":"array","items":{_form(items)}}}'
        case Map(values):
            return f'{{"type":"map","values":{_form(values)}}}'
        case Union(branches):
            return f"[{','.join(_form(branch) for branch in branches)}]"
        case Fixed() | Enum() | Record():
            return _definition(type_)


def _definition(type_: Named) -> str:
    match type_:
        case Fixed(name, size):
            return f'{{"name":"{name}","type":"fixed","size":{size}}}'
        case Enum(name, symbols):
            listed = ",".join(f'"{symbol}"' for symbol in symbols)
            return f'{{"name":"{name}","type":"enum","symbols":[{listed}]}}'
        case Record(name, fields, word):
            inside = ",".join(
                f'{{"name":"{field.name}","type":{_form(field.type)}}}' for field in fields
            )
            return f'{{"name":"{name}","type":"{word}","fields":[{inside}]}}'
