"""When a relay says that it announces, and when that it does not."""

from dataclasses import dataclass, field
from datetime import datetime

import pytest

from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.uploads.announcing import Announcements
from healthingest_service.uploads.errors import BrokerUnreachableError, UnavailableError
from healthingest_service.uploads.model import Backlog
from healthingest_service.uploads.relay import Relay
from support.fakes import Ear
from support.uploads import NOON, Clock, message, upload

STALLED = 30
KEY = "health.processing.heartraterecord"


@dataclass
class Broker:
    """Answers, or not."""

    error: Exception | None = None
    asked: list[None] = field(default_factory=list)

    async def check(self) -> None:
        """As a publisher's."""
        self.asked.append(None)
        if self.error is not None:
            raise self.error


async def test_a_lost_broker_counts_after_a_while(clock: Clock) -> None:
    """Also while nothing is to be announced; once it answers, all is well at once."""
    broker = Broker(BrokerUnreachableError())

    async def nothing_waits() -> Backlog:
        return Backlog(0, 0.0)

    def never() -> datetime | None:
        return None

    watch = Announcements(
        stalled_since=never,
        check_broker=broker.check,
        backlog=nothing_waits,
        clock=clock,
        stalled_seconds=STALLED,
    )
    for seconds in (0, STALLED - 1):
        clock.move(seconds)
        with pytest.raises(BrokerUnreachableError):
            await watch.broker()
        await watch.check()
    clock.move(1)
    with pytest.raises(UnavailableError):
        await watch.check()
    broker.error = None
    await watch.broker()
    await watch.check()


async def test_messages_that_nobody_confirms_count_after_a_while(
    ledger: DatabaseLedger, outbox: DatabaseOutbox, clock: Clock
) -> None:
    """
    The broker answers and takes nothing, as under an alarm.

    A confirm ends it, and its time is told.
    """
    new = upload(b"a")
    await ledger.begin(new, idempotency_key=None, lease_seconds=60)
    await ledger.complete(new.id, message(new, at=NOON), stored_at=NOON)
    clock.move(1)
    ear = Ear(errors={KEY: BrokerUnreachableError})
    relay = Relay(
        outbox=outbox,
        publisher=ear,
        clock=clock,
        batch_size=1,
        concurrency=1,
        publish_seconds=5,
        idle_seconds=1,
        backoff_seconds_min=1,
        backoff_seconds_max=5,
    )
    watch = Announcements(
        stalled_since=lambda: relay.stalled_since,
        check_broker=Broker().check,
        backlog=outbox.backlog,
        clock=clock,
        stalled_seconds=STALLED,
    )
    assert relay.confirmed_at is None
    await relay.announce_batch(1)
    await watch.check()
    clock.move(STALLED)
    await relay.announce_batch(1)
    with pytest.raises(UnavailableError):
        await watch.check()
    other = Relay(
        outbox=outbox,
        publisher=Ear(),
        clock=clock,
        batch_size=1,
        concurrency=1,
        publish_seconds=5,
        idle_seconds=1,
        backoff_seconds_min=1,
        backoff_seconds_max=5,
    )
    clock.move(10)
    assert (await other.announce_batch(1)).announced == 1
    assert other.confirmed_at == clock()
    assert other.stalled_since is None
    await watch.check()  # somebody else has announced it: nothing waits
