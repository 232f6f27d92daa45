"""The port `Outbox`, on SQLite and on PostgreSQL."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.uploads.model import Backlog, DeferralReason, OutgoingMessage, UploadState
from support.uploads import NOON, Clock, message, upload

CLAIM_SECONDS = 60.0


@pytest.fixture
def clock() -> Clock:
    """Noon."""
    return Clock()


@pytest.fixture
def ledger(engine: AsyncEngine, clock: Clock) -> DatabaseLedger:
    """The ledger that writes the messages."""
    return DatabaseLedger(engine, timeout_seconds=5, clock=clock)


@pytest.fixture
def outbox(engine: AsyncEngine, clock: Clock) -> DatabaseOutbox:
    """The outbox of one relay."""
    return DatabaseOutbox(engine, timeout_seconds=5, claim_seconds=CLAIM_SECONDS, clock=clock)


async def waiting(ledger: DatabaseLedger, number: int = 0) -> OutgoingMessage:
    """A stored upload's message; a higher *number* is a younger one."""
    new = upload(bytes([number]), at=NOON)
    sent = message(new, at=NOON + timedelta(microseconds=number))
    await ledger.begin(new, idempotency_key=None, lease_seconds=60)
    await ledger.complete(new.id, sent, stored_at=NOON)
    return sent


async def due(outbox: DatabaseOutbox, limit: int = 10) -> list[OutgoingMessage]:
    """What a claim gives; nothing is reported about it."""
    async with outbox.claim(limit=limit) as batch:
        return list(batch.messages)


class TestOutbox:
    async def test_is_empty_at_first(self, outbox: DatabaseOutbox) -> None:
        """Nothing to do is an empty batch and no backlog."""
        assert await due(outbox) == []
        assert await outbox.backlog() == Backlog(0, 0.0)

    async def test_gives_messages_oldest_first(
        self, outbox: DatabaseOutbox, ledger: DatabaseLedger, clock: Clock
    ) -> None:
        """As they were written, byte by byte, and no more than asked for."""
        messages = [await waiting(ledger, number) for number in range(3)]
        clock.move(1)
        assert await due(outbox, limit=2) == messages[:2]

    async def test_announces_for_good(
        self, outbox: DatabaseOutbox, ledger: DatabaseLedger, clock: Clock
    ) -> None:
        """A confirmed message is gone, and its upload tells when."""
        sent = await waiting(ledger)
        assert sent.upload_id is not None
        async with outbox.claim(limit=10) as batch:
            await batch.announced(sent.id, at=NOON)
        clock.move(CLAIM_SECONDS + 1)
        assert await due(outbox) == []
        assert await outbox.backlog() == Backlog(0, 0.0)
        found = await ledger.find(sent.upload_id)
        assert (found.state, found.announced_at) == (UploadState.ANNOUNCED, NOON)

    async def test_puts_a_failed_message_off(
        self, outbox: DatabaseOutbox, ledger: DatabaseLedger, clock: Clock
    ) -> None:
        """It comes back at its time, not before, and knows how often it was tried."""
        sent = await waiting(ledger)
        async with outbox.claim(limit=10) as batch:
            await batch.failed(
                sent.id, retry_at=NOON + timedelta(seconds=30), reason=DeferralReason.REFUSED
            )
        assert await due(outbox) == []
        clock.move(30)
        assert [found.attempts for found in await due(outbox)] == [1]

    async def test_keeps_what_was_not_reported(
        self, outbox: DatabaseOutbox, ledger: DatabaseLedger
    ) -> None:
        """A message about which nothing was said is due again at once, attempts uncounted."""
        sent = await waiting(ledger)
        assert await due(outbox) == [sent]
        assert await due(outbox) == [sent]

    async def test_records_a_confirm_although_the_work_failed(
        self, outbox: DatabaseOutbox, ledger: DatabaseLedger, clock: Clock
    ) -> None:
        """What the broker confirmed before the error is not announced again; the rest is."""
        first = await waiting(ledger, 0)
        second = await waiting(ledger, 1)
        clock.move(1)
        with pytest.raises(RuntimeError):
            await confirm_and_die(outbox, first)
        assert await due(outbox) == [second]

    async def test_settles_a_batch_of_mixed_results(
        self, outbox: DatabaseOutbox, ledger: DatabaseLedger, clock: Clock
    ) -> None:
        """Each message by its own report: gone, deferred to its own time, or due as before."""
        sent = [await waiting(ledger, number) for number in range(6)]
        clock.move(1)
        first_retry, second_retry = (NOON + timedelta(seconds=seconds) for seconds in (30, 40))
        async with outbox.claim(limit=10) as batch:
            for number in (0, 3):
                await batch.announced(sent[number].id, at=NOON + timedelta(seconds=number))
            await batch.failed(sent[1].id, retry_at=first_retry, reason=DeferralReason.REFUSED)
            await batch.failed(sent[4].id, retry_at=second_retry, reason=DeferralReason.UNROUTABLE)
        assert await due(outbox) == [sent[2], sent[5]]
        assert [
            (one.reason, one.attempts, one.due_at) for one in await outbox.deferred(limit=9)
        ] == [
            (DeferralReason.REFUSED, 1, first_retry),
            (DeferralReason.UNROUTABLE, 1, second_retry),
        ]
        for number in (0, 3):
            upload_id = sent[number].upload_id
            assert upload_id is not None
            found = await ledger.find(upload_id)
            assert found.announced_at == NOON + timedelta(seconds=number)

    async def test_a_confirmed_batch_costs_as_many_statements_as_a_message(
        self, outbox: DatabaseOutbox, ledger: DatabaseLedger, clock: Clock, engine: AsyncEngine
    ) -> None:
        """With the same text, so each is prepared once."""
        statements = list[str]()

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def _note(*arguments: object) -> None:
            statements.append(str(arguments[2]))

        async def announce(*numbers: int) -> list[str]:
            for number in numbers:
                await waiting(ledger, number)
            clock.move(1)
            statements.clear()
            async with outbox.claim(limit=10) as batch:
                for message in batch.messages:
                    await batch.announced(message.id, at=NOON)
            return [one for one in statements if not one.startswith("BEGIN")]

        of_one = await announce(0)
        assert await announce(*range(1, 6)) == of_one
        assert len(of_one) == (2 if engine.dialect.name == "postgresql" else 3)

    async def test_gives_nobody_a_claimed_message(
        self, outbox: DatabaseOutbox, ledger: DatabaseLedger
    ) -> None:
        """While one relay works on it, another does not see it."""
        sent = await waiting(ledger)
        async with outbox.claim(limit=10) as batch:
            assert batch.messages == [sent]
            assert await due(outbox) == []

    async def test_shares_messages(
        self, outbox: DatabaseOutbox, ledger: DatabaseLedger, clock: Clock
    ) -> None:
        """Of four relays that claim at once no two get one message, and none waits for long."""
        sent = {(await waiting(ledger, number)).id for number in range(12)}
        clock.move(1)
        seen: list[object] = []

        async def relay() -> None:
            while True:
                async with outbox.claim(limit=2) as batch:
                    if not batch.messages:
                        return
                    for claimed in batch.messages:
                        seen.append(claimed.id)
                        await batch.announced(claimed.id, at=NOON)

        await asyncio.gather(*(relay() for _ in range(4)))
        assert len(seen) == len(set(seen))
        while rest := await due(outbox):  # all four may have found only locked rows
            await relay()
            assert {claimed.id for claimed in rest} <= sent
        assert set(seen) == sent

    async def test_gets_messages_back_from_the_dead(
        self, outbox: DatabaseOutbox, ledger: DatabaseLedger, clock: Clock
    ) -> None:
        """A relay that vanished with its claim loses it when the claim has run out."""
        sent = await waiting(ledger)
        await outbox._take(10)
        assert await due(outbox) == []
        clock.move(CLAIM_SECONDS + 1)
        assert await due(outbox) == [sent]

    async def test_tells_the_backlog(
        self, outbox: DatabaseOutbox, ledger: DatabaseLedger, clock: Clock
    ) -> None:
        """How many wait and how long the oldest does, deferred or not."""
        sent = await waiting(ledger)
        await waiting(ledger, 1)
        async with outbox.claim(limit=1) as batch:
            await batch.failed(
                sent.id, retry_at=NOON + timedelta(hours=1), reason=DeferralReason.UNROUTABLE
            )
        clock.move(90)
        assert await outbox.backlog() == Backlog(2, 90.0)


async def confirm_and_die(outbox: DatabaseOutbox, sent: OutgoingMessage) -> None:
    """Report a confirm, then fail."""
    async with outbox.claim(limit=10) as batch:
        await batch.announced(sent.id, at=NOON)
        raise RuntimeError
