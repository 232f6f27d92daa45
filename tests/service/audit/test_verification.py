"""Any single change of the audit log is found."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from healthingest_service.audit.chain import extended
from healthingest_service.audit.chaining import ChainEvents
from healthingest_service.audit.model import Anchor, AuditEvent, Link, Outcome, StoredEvent
from healthingest_service.audit.verification import (
    MAX_FAULTS,
    Fault,
    FaultKind,
    Verified,
    VerifyChain,
)
from support.audit import MemoryAnchors, MemoryAudit, event
from support.uploads import NOON, Clock

HOUR = timedelta(hours=1)
_OTHER = "f" * 64
CHANGES: dict[str, Callable[[AuditEvent], AuditEvent]] = {
    "time": lambda one: replace(one, occurred_at=one.occurred_at + timedelta(microseconds=1)),
    "outcome": lambda one: replace(one, outcome=Outcome.REFUSED),
    "reason": lambda one: replace(one, reason="forbidden"),
    "account": lambda one: replace(one, account_id=None),
    "token": lambda one: replace(one, token_id="t"),
    "object": lambda one: replace(one, object_id="other"),
    "study": lambda one: replace(one, study="study"),
    "subject": lambda one: replace(one, subject_hash=_OTHER),
    "e-mail": lambda one: replace(one, email_hash=_OTHER),
    "correlation": lambda one: replace(one, correlation_id=None),
}


async def chained(count: int) -> tuple[MemoryAudit, MemoryAnchors]:
    """Return a log with *count* chained events, and an anchor of its head."""
    audit, anchors = MemoryAudit(), MemoryAnchors()
    for number in range(1, count + 1):
        await audit.record(event(number, at=NOON - HOUR))
    chaining = ChainEvents(audit, anchors, clock=Clock(), interval_seconds=1, anchor_seconds=0)
    await chaining.chain_all()
    await chaining.anchor_if_due()
    return audit, anchors


def mutated(audit: MemoryAudit, data: st.DataObject) -> None:
    """Make one change to a row of either table."""
    position = data.draw(st.integers(1, len(audit.links)), "position")
    link = audit.links[position]
    number = link.number
    kind = data.draw(
        st.sampled_from(
            [
                "change event",
                "remove event",
                "insert event",
                "swap events",
                "change hash",
                "remove link",
                "swap links",
                "other event",
                "append link",
            ]
        ),
        "kind",
    )
    others = [one for one in audit.links if one != position]
    other = data.draw(st.sampled_from(others), "other")
    if kind == "change event":
        change = CHANGES[data.draw(st.sampled_from(sorted(CHANGES)), "column")]
        audit.events[number] = change(audit.events[number])
    elif kind == "remove event":
        del audit.events[number]
    elif kind == "insert event":
        audit.events[-number] = event(99, at=NOON - HOUR)
    elif kind == "swap events":
        second = audit.links[other].number
        events = audit.events
        events[number], events[second] = events[second], events[number]
    elif kind == "change hash":
        audit.links[position] = replace(link, hash=_OTHER)
    elif kind == "remove link":
        del audit.links[position]
    elif kind == "swap links":
        second_link = audit.links[other]
        audit.links[position] = replace(second_link, position=position)
        audit.links[other] = replace(link, position=other)
    elif kind == "other event":
        audit.links[position] = replace(link, number=audit.links[other].number)
    else:
        end = len(audit.links) + 1
        audit.links[end] = Link(end, number, _OTHER)


async def verify(audit: MemoryAudit, anchors: MemoryAnchors) -> Verified:
    """Verify it now."""
    return await VerifyChain(audit, anchors, clock=Clock())()


@given(st.data())
def test_any_single_change_is_found(data: st.DataObject) -> None:
    """A changed, removed, inserted or swapped row of either table, at any position."""

    async def work() -> None:
        audit, anchors = await chained(data.draw(st.integers(2, 8), "count"))
        before = await verify(audit, anchors)
        assert before.is_intact
        mutated(audit, data)
        assert not (await verify(audit, anchors)).is_intact

    asyncio.run(work())


async def test_an_empty_log_is_intact() -> None:
    """Without events, links and anchors."""
    assert await verify(MemoryAudit(), MemoryAnchors()) == Verified()


async def test_counts_what_it_verified() -> None:
    """Events, anchors, the head, and events that are not chained yet."""
    audit, anchors = await chained(3)
    await audit.record(event(4))
    found = await verify(audit, anchors)
    assert (found.events, found.anchors, found.waiting_events) == (3, 1, 1)
    assert found.head == await audit.head()
    assert found.is_intact


async def test_a_chain_that_was_computed_anew_differs_from_its_anchor() -> None:
    """Whoever may write to the database alone cannot rewrite history."""
    audit, anchors = await chained(3)
    audit.events[2] = event(99)
    stored = [StoredEvent(number, one) for number, one in audit.events.items()]
    audit.links = {link.position: link for link in extended(None, stored)}
    assert (await verify(audit, anchors)).faults == [Fault(FaultKind.ANCHOR_DIFFERS, 3)]


async def test_an_end_that_was_removed_is_missed_by_its_anchor() -> None:
    """Events and links after a position are gone."""
    audit, anchors = await chained(3)
    del audit.events[3], audit.links[3]
    assert (await verify(audit, anchors)).faults == [Fault(FaultKind.ANCHOR_BEYOND_END, 3)]


async def test_two_anchors_of_one_position_must_agree() -> None:
    """Two processes anchor the same head; an anchor with another hash is a fault."""
    audit, anchors = await chained(2)
    head = await audit.head()
    assert head is not None
    await anchors.write(Anchor(head.position, head.hash, NOON + HOUR))
    assert (await verify(audit, anchors)).is_intact
    await anchors.write(Anchor(head.position, _OTHER, NOON + HOUR))
    assert (await verify(audit, anchors)).faults == [Fault(FaultKind.ANCHOR_DIFFERS, 2)]


async def test_many_faults_are_counted() -> None:
    """The list has an end, the count has none."""
    audit, anchors = await chained(MAX_FAULTS + 5)
    audit.events.clear()
    found = await verify(audit, anchors)
    assert (found.fault_count, len(found.faults)) == (MAX_FAULTS + 5, MAX_FAULTS)
