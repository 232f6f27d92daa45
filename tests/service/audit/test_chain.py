from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

from healthingest_service.audit.chain import START, canonical, extended
from healthingest_service.audit.model import AuditEvent, Link, StoredEvent, salted_hash
from support.audit import event


def test_the_canonical_form_is_fixed() -> None:
    """A change of it would invalidate every chain: names sorted, ASCII, no empty fields."""
    stored = StoredEvent(7, replace(event(1), object_id="\u00e9", account_id=None))
    assert canonical(stored) == (
        '{"action":"upload","actor":"account","correlation_id":"correlation","number":7,'
        '"object_id":"\\u00e9","occurred_at":"2026-03-01T12:00:00.000000Z","outcome":"done"}'
    )


def test_a_link_covers_its_event_its_position_and_the_link_before() -> None:
    """The documented formula, computed by hand."""
    events = [StoredEvent(3, event(1)), StoredEvent(5, event(2))]
    first, second = extended(None, events)
    by_hand = sha256(f"{START}\n1\n{canonical(events[0])}".encode()).hexdigest()
    assert first == Link(1, 3, by_hand)
    assert second.hash == sha256(f"{by_hand}\n2\n{canonical(events[1])}".encode()).hexdigest()
    assert list(extended(first, events[1:])) == [second]


def test_equal_times_have_one_form() -> None:
    """Whatever time zone the driver returns."""
    at = datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
    other = at.astimezone(timezone(timedelta(hours=2)))
    forms = {canonical(StoredEvent(1, event(at=one))) for one in (at, other)}
    assert len(forms) == 1


def test_every_field_is_covered() -> None:
    """Each field of an event changes its form, so that none can be changed unnoticed."""
    base = event(1)
    forms = {canonical(StoredEvent(1, base)), canonical(StoredEvent(2, base))}
    for name in AuditEvent.__dataclass_fields__:
        is_time = name == "occurred_at"
        value: Any = base.occurred_at + timedelta(microseconds=1) if is_time else "other"
        changed = replace(base, **{name: value})
        forms.add(canonical(StoredEvent(1, changed)))
    assert len(forms) == 2 + len(AuditEvent.__dataclass_fields__)


def test_a_salted_hash_needs_its_salt() -> None:
    """The same value has another hash with another salt."""
    assert salted_hash(b"a", "ada") == salted_hash(b"a", "ada") != salted_hash(b"b", "ada")
