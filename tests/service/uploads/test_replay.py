import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_contract.events import UploadStored
from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.adapters.database.replays import DatabaseReplays
from healthingest_service.uploads.errors import StoreUnavailableError
from healthingest_service.uploads.model import OutgoingMessage
from healthingest_service.uploads.relay_ports import ReplaySelection
from healthingest_service.uploads.replay import Replay, Replayed
from support.fakes import MemoryStore
from support.uploads import BUCKET, NOON, Clock, message, upload

EVERYTHING = ReplaySelection(received_from=NOON, received_before=NOON.replace(year=NOON.year + 1))


@pytest.fixture(name="replay")
def _replay(engine: AsyncEngine, store: MemoryStore, clock: Clock) -> Replay:
    return Replay(DatabaseReplays(engine, timeout_seconds=5), store, bucket=BUCKET, clock=clock)


async def announced(
    ledger: DatabaseLedger, store: MemoryStore, outbox: DatabaseOutbox, content: bytes
) -> OutgoingMessage:
    """The message of an upload that is stored and was announced."""
    new = upload(content)
    store.objects[new.receipt.object_key] = content
    await ledger.begin(new, idempotency_key=None, lease_seconds=60)
    await ledger.complete(new.id, message(new), stored_at=NOON)
    (sent,) = await drained(outbox)
    return sent


async def drained(outbox: DatabaseOutbox) -> list[OutgoingMessage]:
    """What was waiting."""
    async with outbox.claim(limit=1000) as batch:
        for one in batch.messages:
            await batch.announced(one.id, at=NOON)
        return list(batch.messages)


async def test_says_the_same_once_more(
    replay: Replay, ledger: DatabaseLedger, store: MemoryStore, outbox: DatabaseOutbox
) -> None:
    """
    The body is the first message's, byte by byte, so consumers know it.

    The message is another one.
    """
    first = await announced(ledger, store, outbox, b"content")
    assert await replay(EVERYTHING, per_second=1e9, dry=False) == Replayed(1, 1)
    (again,) = await drained(outbox)
    assert (again.body, again.routing_key) == (first.body, first.routing_key)
    assert UploadStored.from_bytes(again.body).idempotency_key == str(first.upload_id)
    assert again.id != first.id


async def test_a_dry_run_counts(
    replay: Replay, ledger: DatabaseLedger, store: MemoryStore, outbox: DatabaseOutbox
) -> None:
    """And puts nothing."""
    await announced(ledger, store, outbox, b"content")
    assert await replay(EVERYTHING, per_second=1, dry=True) == Replayed(1, 0)
    assert await drained(outbox) == []


async def test_keeps_to_its_rate_and_tells_how_far_it_is(
    engine: AsyncEngine,
    ledger: DatabaseLedger,
    store: MemoryStore,
    outbox: DatabaseOutbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Six messages at thirty a second take a fifth of a second, in batches."""
    monkeypatch.setattr("healthingest_service.uploads.replay._BATCH", 4)
    for number in range(6):
        await announced(ledger, store, outbox, bytes([number]))
    steps = list[Replayed]()
    pauses = list[float]()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    replays = DatabaseReplays(engine, timeout_seconds=5)
    replay = Replay(replays, store, bucket=BUCKET, clock=lambda: NOON, sleep=sleep)
    assert await replay(EVERYTHING, per_second=30, dry=False, progress=steps.append) == Replayed(
        6, 6
    )
    assert pauses == [4 / 30, 2 / 30]
    assert steps == [Replayed(4, 4), Replayed(6, 6)]


async def test_an_upload_whose_object_is_gone_is_not_announced(
    replay: Replay, ledger: DatabaseLedger, store: MemoryStore, outbox: DatabaseOutbox
) -> None:
    """Nor one whose object has another size; the others are."""
    gone = await announced(ledger, store, outbox, b"gone")
    cut = await announced(ledger, store, outbox, b"cut off")
    kept = await announced(ledger, store, outbox, b"kept")
    del store.objects[UploadStored.from_bytes(gone.body).key]
    store.objects[UploadStored.from_bytes(cut.body).key] = b"cut"
    assert await replay(EVERYTHING, per_second=1e9, dry=True) == Replayed(3, 0, 2)
    assert await replay(EVERYTHING, per_second=1e9, dry=False) == Replayed(3, 1, 2)
    assert [one.upload_id for one in await drained(outbox)] == [kept.upload_id]


async def test_without_an_answer_of_the_store_nothing_is_announced(
    replay: Replay, ledger: DatabaseLedger, store: MemoryStore, outbox: DatabaseOutbox
) -> None:
    """Whether an object is there cannot be told then."""
    await announced(ledger, store, outbox, b"content")
    store.is_down = True
    with pytest.raises(StoreUnavailableError):
        await replay(EVERYTHING, per_second=1e9, dry=False)
    assert await drained(outbox) == []
