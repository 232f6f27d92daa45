import asyncio
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs
from typing_extensions import override

from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.uploads.errors import (
    BrokerUnreachableError,
    MessageRefusedError,
    MessageUnroutableError,
    PublishError,
)
from healthingest_service.uploads.model import OutgoingMessage, UploadState
from healthingest_service.uploads.relay import Relay, RelayCounts
from healthingest_service.uploads.relay_alerts import (
    BROKER_BACK,
    BROKER_LOST,
    MESSAGES_ACCEPTED_AGAIN,
    MESSAGES_DEFERRED,
)
from support.deadlines import HANG_SECONDS
from support.fakes import Ear
from support.uploads import NOON, Clock, message, upload

GLUCOSE = "health.processing.bloodglucoserecord"
HEART = "health.processing.heartraterecord"
CLAIM_SECONDS = 60.0
PUBLISH_SECONDS = 5.0


@pytest.fixture
def ear() -> Ear:
    """Somebody who listens."""
    return Ear()


def relay_of(
    outbox: DatabaseOutbox,
    ear: Ear,
    clock: Clock,
    *,
    batch_size: int = 10,
    concurrency: int = 1,
    idle_seconds: float = 0.01,
    backoff_seconds_min: float = 1.0,
    written: asyncio.Event | None = None,
) -> Relay:
    """A quick relay."""
    return Relay(
        outbox=outbox,
        publisher=ear,
        clock=clock,
        batch_size=batch_size,
        concurrency=concurrency,
        publish_seconds=PUBLISH_SECONDS,
        idle_seconds=idle_seconds,
        backoff_seconds_min=backoff_seconds_min,
        backoff_seconds_max=60,
        written=written,
    )


async def waiting(ledger: DatabaseLedger, *types: str) -> list[OutgoingMessage]:
    """Messages of stored uploads, oldest first."""
    sent = []
    for number, record_type in enumerate(types):
        new = upload(bytes([number]), record_type=record_type)
        sent.append(message(new, at=NOON + timedelta(microseconds=number)))
        await ledger.begin(new, idempotency_key=None, lease_seconds=60)
        await ledger.complete(new.id, sent[-1], stored_at=NOON)
    return sent


async def test_announces_what_is_due(
    ledger: DatabaseLedger, outbox: DatabaseOutbox, clock: Clock, ear: Ear
) -> None:
    """Each message once, oldest first, and the outbox is empty afterwards."""
    sent = await waiting(ledger, *["HeartRateRecord"] * 3)
    clock.move(1)
    relay = relay_of(outbox, ear, clock)
    assert (await relay.announce_batch(10)).announced == 3
    assert (await relay.announce_batch(10)).announced == 0
    assert ear.heard == sent
    assert relay.counts == RelayCounts(announced=3)
    assert (await outbox.backlog()).count == 0


async def test_publishes_nothing_at_the_end_of_its_claim(
    ledger: DatabaseLedger, outbox: DatabaseOutbox, clock: Clock
) -> None:
    """
    An erasure may have taken the message meanwhile, and nobody could take it back.

    The rest is announced with the next claim.
    """

    class Slow(Ear):
        @override
        async def publish(self, message: OutgoingMessage) -> None:
            await super().publish(message)
            clock.move(CLAIM_SECONDS - PUBLISH_SECONDS)

    sent = await waiting(ledger, *["HeartRateRecord"] * 2)
    clock.move(1)
    ear = Slow()
    relay = relay_of(outbox, ear, clock)
    for count in (1, 2):
        assert (await relay.announce_batch(10)).announced == 1
        assert ear.heard == sent[:count]


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (MessageUnroutableError, RelayCounts(announced=1, unroutable=1)),
        (MessageRefusedError, RelayCounts(announced=1, refused=1)),
    ],
)
async def test_goes_on_past_a_failing_message(
    ledger: DatabaseLedger,
    outbox: DatabaseOutbox,
    clock: Clock,
    ear: Ear,
    error: type[PublishError],
    counts: RelayCounts,
) -> None:
    """A message that the broker does not take stays, and those behind it are announced."""
    await waiting(ledger, "BloodGlucoseRecord", "HeartRateRecord")
    clock.move(1)
    ear.errors = {GLUCOSE: error}
    relay = relay_of(outbox, ear, clock)
    assert (await relay.announce_batch(10)).announced == 1
    assert [heard.routing_key for heard in ear.heard] == [HEART]
    assert relay.counts == counts
    assert (await outbox.backlog()).count == 1


async def test_waits_longer_each_time(
    ledger: DatabaseLedger, outbox: DatabaseOutbox, clock: Clock, ear: Ear
) -> None:
    """A failing message is retried after 1, 2, 4 … seconds up to the maximum, until it succeeds."""
    await waiting(ledger, "BloodGlucoseRecord")
    clock.move(1)
    ear.errors = {GLUCOSE: MessageUnroutableError}
    relay = relay_of(outbox, ear, clock)
    for longest in (1, 2, 4, 8, 16, 32, 60, 60):
        before = relay.counts.unroutable
        await relay.announce_batch(10)
        assert relay.counts.unroutable == before + 1
        clock.move(longest / 2 - 0.001)
        await relay.announce_batch(10)
        assert relay.counts.unroutable == before + 1
        clock.move(longest / 2 + 0.001)
    ear.errors = {}
    assert (await relay.announce_batch(10)).announced == 1


async def test_stops_asking_a_dead_broker(
    ledger: DatabaseLedger, outbox: DatabaseOutbox, clock: Clock, ear: Ear
) -> None:
    """
    The first message without an answer ends the round.

    The others are due as before and go once it is back.
    """
    await waiting(ledger, *["HeartRateRecord"] * 5)
    clock.move(1)
    ear.errors = {HEART: BrokerUnreachableError}
    relay = relay_of(outbox, ear, clock)
    assert (await relay.announce_batch(10)).announced == 0
    assert relay.counts.unreachable == 1
    ear.errors = {}
    assert (await relay.announce_batch(10)).announced == 4
    clock.move(60)
    assert (await relay.announce_batch(10)).announced == 1


async def test_runs_until_told_to_stop(
    ledger: DatabaseLedger, outbox: DatabaseOutbox, clock: Clock, ear: Ear
) -> None:
    """A running relay announces what comes, more than one batch of it, and ends when it is told."""
    stop = asyncio.Event()
    relay = relay_of(outbox, ear, clock, batch_size=2)
    running = asyncio.ensure_future(relay.run(stop))
    sent = await waiting(ledger, *["HeartRateRecord"] * 5)
    clock.move(1)
    async with asyncio.timeout(HANG_SECONDS):
        await ear.hears(len(sent))
        stop.set()
        await running
    assert {heard.id for heard in ear.heard} == {each.id for each in sent}


async def test_announces_at_once_what_it_is_told_of(
    engine: AsyncEngine, clock: Clock, ear: Ear
) -> None:
    """The commit of a message in the same process wakes a relay that would wait for an hour."""
    stop = asyncio.Event()
    written = asyncio.Event()
    ledger = DatabaseLedger(engine, timeout_seconds=5, clock=clock, on_message=written.set)
    outbox = DatabaseOutbox(engine, timeout_seconds=5, clock=clock)
    relay = relay_of(outbox, ear, clock, idle_seconds=3600, written=written)
    running = asyncio.ensure_future(relay.run(stop))
    async with asyncio.timeout(HANG_SECONDS):
        for count, content in enumerate((b"first", b"second"), start=1):
            new = upload(content)
            await ledger.begin(new, idempotency_key=None, lease_seconds=60)
            await ledger.complete(new.id, message(new), stored_at=NOON)
            await ear.hears(count)
        stop.set()
        await running


async def test_outlives_a_lost_database(
    ledger: DatabaseLedger, engine: AsyncEngine, clock: Clock, ear: Ear
) -> None:
    """A database that cannot be had is counted and waited for; a stop is obeyed meanwhile."""
    await waiting(ledger, "HeartRateRecord")
    stop = asyncio.Event()
    async with (
        engine.connect() as writer,
        writer.begin(),  # holds SQLite's only write lock
        open_engine(str(engine.url), pool_size=1, timeout_seconds=0.05) as impatient,
    ):
        relay = relay_of(DatabaseOutbox(impatient, timeout_seconds=0.05, clock=clock), ear, clock)
        running = asyncio.ensure_future(relay.run(stop))
        async with asyncio.timeout(HANG_SECONDS):
            while not relay.counts.database_unavailable:  # noqa: ASYNC110 - a counter tells nobody
                await asyncio.sleep(0.005)
            stop.set()
            await running
    assert ear.heard == []


async def test_marks_the_upload(
    ledger: DatabaseLedger, outbox: DatabaseOutbox, clock: Clock, ear: Ear
) -> None:
    """A confirmed message makes its upload `announced`, with the time."""
    new = upload()
    await ledger.begin(new, idempotency_key=None, lease_seconds=60)
    await ledger.complete(new.id, message(new), stored_at=NOON)
    clock.move(5)
    await relay_of(outbox, ear, clock).announce_batch(10)
    found = await ledger.find(new.id)
    assert (found.state, found.announced_at) == (UploadState.ANNOUNCED, clock.now)


async def test_a_slow_confirm_does_not_hold_up_the_others(
    ledger: DatabaseLedger, outbox: DatabaseOutbox, clock: Clock
) -> None:
    """As many messages as there are lanes wait for the broker at once."""
    await waiting(ledger, *["HeartRateRecord"] * 7)
    clock.move(1)
    together = asyncio.Barrier(7)

    class Patient(Ear):
        async def publish(self, message: OutgoingMessage) -> None:
            await together.wait()
            await super().publish(message)

    relay = relay_of(outbox, ear := Patient(), clock, concurrency=7)
    assert (await relay.announce_batch(10)).announced == 7
    assert len(ear.heard) == 7


async def test_lanes_stop_when_the_broker_is_gone(
    ledger: DatabaseLedger, outbox: DatabaseOutbox, clock: Clock, ear: Ear
) -> None:
    """
    Each lane tries once.

    The rest stays untouched, and is due at once when the broker is back.
    """
    await waiting(ledger, *["HeartRateRecord"] * 9)
    clock.move(1)
    ear.errors[HEART] = BrokerUnreachableError
    relay = relay_of(outbox, ear, clock, concurrency=3)
    assert (await relay.announce_batch(10)).announced == 0
    assert relay.counts.unreachable == 3
    ear.errors.clear()
    assert (await relay.announce_batch(10)).announced == 6


async def test_asks_a_dead_broker_with_one_message(
    ledger: DatabaseLedger, outbox: DatabaseOutbox, clock: Clock, ear: Ear
) -> None:
    """
    After a round that the broker did not answer, one message tells whether it is back.

    Then all lanes go on.
    """
    await waiting(ledger, *["HeartRateRecord"] * 9)
    clock.move(1)
    ear.errors[HEART] = BrokerUnreachableError
    relay = relay_of(outbox, ear, clock, concurrency=3, backoff_seconds_min=0.01)
    stop = asyncio.Event()
    running = asyncio.ensure_future(relay.run(stop))
    async with asyncio.timeout(HANG_SECONDS):
        for expected in (3, 4, 5):
            while relay.counts.unreachable < expected:  # noqa: ASYNC110 - a counter tells nobody
                await asyncio.sleep(0.001)
            assert relay.counts.unreachable == expected
        ear.errors.clear()
        await ear.hears(3)
        stop.set()
        await running


async def test_tells_of_a_trouble_once(
    ledger: DatabaseLedger, outbox: DatabaseOutbox, clock: Clock, ear: Ear
) -> None:
    """
    A line when messages of a kind are not taken and one when they are.

    The same for the broker as a whole.
    """
    await waiting(ledger, *["HeartRateRecord"] * 3)
    relay = relay_of(outbox, ear, clock)
    with capture_logs() as lines:
        for error in (
            MessageUnroutableError,
            MessageUnroutableError,
            MessageRefusedError,
            BrokerUnreachableError,
            None,
        ):
            clock.move(60)
            ear.errors = {} if error is None else {HEART: error}
            await relay.announce_batch(10)
    assert [(line["event"], line.get("reason"), line.get("attempts")) for line in lines] == [
        (MESSAGES_DEFERRED, "unroutable", 1),
        (MESSAGES_DEFERRED, "refused", 3),
        (BROKER_LOST, None, 4),
        (BROKER_BACK, None, None),
        (MESSAGES_ACCEPTED_AGAIN, None, None),
    ]
