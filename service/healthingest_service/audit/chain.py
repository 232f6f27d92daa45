"""
The canonical form of an event, and the hash chain. Pure.

An auditor can compute it without this program: the hash of a link is the SHA-256, in hexadecimal,
of three lines that end without a line feed: the hash of the link before, the position, and the
canonical form. The first link follows 64 zeros.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from enum import StrEnum
from json.encoder import encode_basestring_ascii
from typing import Final
from uuid import UUID

from healthingest_service.audit.model import AuditEvent, Link, StoredEvent

Value = str | StrEnum | UUID | datetime | None
"""The value of a field of an event, as the database or the code has it."""
START: Final = "0" * 64
"""The hash before the first link."""
FIELDS: Final = tuple(field.name for field in fields(AuditEvent))
_SORTED: Final = tuple(sorted((name, index) for index, name in enumerate(FIELDS)))
_BEFORE_NUMBER: Final = tuple((f'"{name}":', index) for name, index in _SORTED if name < "number")
_AFTER_NUMBER: Final = tuple((f'"{name}":', index) for name, index in _SORTED if name > "number")


def canonical(stored: StoredEvent) -> str:
    """
    Return the canonical form of an event: one line of JSON.

    Names are sorted, without spaces, in ASCII. Fields without a value are left out, so a field that
    is added later does not change the form of older events. Times have microseconds and `Z`.
    """
    return canonical_form(stored.number, [getattr(stored.event, name) for name in FIELDS])


def canonical_form(number: int, values: Sequence[Value]) -> str:
    """Return the canonical form of an event from its values, in the order of `FIELDS`."""
    parts = [
        f"{name}{encode_basestring_ascii(_text(values[index]))}"
        for name, index in _BEFORE_NUMBER
        if values[index] is not None
    ]
    parts.append(f'"number":{number}')
    parts += [
        f"{name}{encode_basestring_ascii(_text(values[index]))}"
        for name, index in _AFTER_NUMBER
        if values[index] is not None
    ]
    return f"{{{','.join(parts)}}}"


def as_json(stored: StoredEvent) -> dict[str, str | int]:
    """Return the fields of an event that have a value, as JSON values."""
    event = stored.event
    named: dict[str, str | int] = {"number": stored.number}
    for name in FIELDS:
        value = getattr(event, name)
        if value is not None:
            named[name] = _text(value)
    return named


def _text(value: Value) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is not UTC:
            value = value.astimezone(UTC)
        return f"{value.isoformat(timespec='microseconds')[:-6]}Z"
    return str(value)


def next_hash(previous: str, position: int, form: str) -> str:
    """Return the hash of the link at *position*, whose event has the canonical form *form*."""
    return hashlib.sha256(f"{previous}\n{position}\n{form}".encode()).hexdigest()


def extended(head: Link | None, events: Iterable[StoredEvent]) -> Iterator[Link]:
    """Yield the links of *events*, in this order, after the link *head* (None: an empty chain)."""
    position = 0 if head is None else head.position
    previous = START if head is None else head.hash
    for stored in events:
        position += 1
        previous = next_hash(previous, position, canonical(stored))
        yield Link(position, stored.number, previous)
