import asyncio

import pytest
from structlog.testing import capture_logs
from typing_extensions import override

from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.uploads.errors import UploadNotFoundError
from healthingest_service.uploads.janitor import SWEPT, UPLOAD_SETTLED, Janitor, Swept
from healthingest_service.uploads.model import StoredObject, Upload, UploadState
from healthingest_service.uploads.ports import ObjectStore
from support.deadlines import HANG_SECONDS
from support.fakes import MemoryStore
from support.uploads import BUCKET, Clock, upload

LEASE_SECONDS = 60.0
CONTENT = b"content"


class ForgetfulStore(MemoryStore, ObjectStore):
    """A store that keeps no hash."""

    @override
    async def head(self, key: str) -> StoredObject | None:
        found = await super().head(key)
        return None if found is None else StoredObject(found.size_bytes, None)


def janitor_of(ledger: DatabaseLedger, store: MemoryStore, clock: Clock) -> Janitor:
    """A janitor that hurries."""
    return Janitor(
        ledger=ledger,
        store=store,
        clock=clock,
        bucket=BUCKET,
        interval_seconds=0.01,
        lease_seconds=120,
    )


@pytest.fixture
async def dead(ledger: DatabaseLedger, clock: Clock) -> Upload:
    """An upload whose process died before its second commit."""
    new = upload(CONTENT)
    await ledger.begin(new, idempotency_key=None, lease_seconds=LEASE_SECONDS)
    clock.move(LEASE_SECONDS + 1)
    return new


@pytest.mark.parametrize("kind", [MemoryStore, ForgetfulStore])
async def test_finishes_what_is_stored(
    ledger: DatabaseLedger,
    outbox: DatabaseOutbox,
    clock: Clock,
    dead: Upload,
    kind: type[MemoryStore],
) -> None:
    """
    The object is there with the right bytes.

    The upload is stored and will be announced, once.
    """
    store = kind({dead.receipt.object_key: CONTENT})
    assert await janitor_of(ledger, store, clock).sweep_once() == Swept(finished=1)
    assert await janitor_of(ledger, store, clock).sweep_once() == Swept()
    assert (await ledger.find(dead.id)).state is UploadState.STORED
    assert (await outbox.backlog()).count == 1


async def test_undoes_what_is_not(
    ledger: DatabaseLedger, outbox: DatabaseOutbox, store: MemoryStore, clock: Clock, dead: Upload
) -> None:
    """Without an object the row vanishes, and nothing is announced."""
    assert await janitor_of(ledger, store, clock).sweep_once() == Swept(abandoned=1)
    with pytest.raises(UploadNotFoundError):
        await ledger.find(dead.id)
    assert (await outbox.backlog()).count == 0


@pytest.mark.parametrize("kind", [MemoryStore, ForgetfulStore])
@pytest.mark.parametrize("content", [b"other!!", b"longer than it was"])
async def test_touches_no_other_bytes(
    ledger: DatabaseLedger, clock: Clock, dead: Upload, kind: type[MemoryStore], content: bytes
) -> None:
    """Other bytes under the key: neither announced nor deleted, and told."""
    store = kind({dead.receipt.object_key: content})
    assert await janitor_of(ledger, store, clock).sweep_once() == Swept(mismatched=1)
    assert (await ledger.find(dead.id)).state is UploadState.STORING
    assert store.objects == {dead.receipt.object_key: content}


async def test_waits_for_the_store(
    ledger: DatabaseLedger, store: MemoryStore, clock: Clock, dead: Upload
) -> None:
    """While the store cannot be asked the row stays; a later sweep settles it."""
    store.is_down = True
    assert await janitor_of(ledger, store, clock).sweep_once() == Swept(unclear=1)
    store.is_down = False
    store.objects = {dead.receipt.object_key: CONTENT}
    clock.move(3600)
    assert await janitor_of(ledger, store, clock).sweep_once() == Swept(finished=1)


async def test_leaves_the_living_alone(
    ledger: DatabaseLedger, store: MemoryStore, clock: Clock
) -> None:
    """A row whose lease lasts belongs to its process."""
    await ledger.begin(upload(), idempotency_key=None, lease_seconds=LEASE_SECONDS)
    assert await janitor_of(ledger, store, clock).sweep_once() == Swept()


async def test_runs_until_told_to_stop(
    ledger: DatabaseLedger, outbox: DatabaseOutbox, clock: Clock, dead: Upload
) -> None:
    """A running janitor settles what dies, and ends when it is told."""
    stop = asyncio.Event()
    store = MemoryStore({dead.receipt.object_key: CONTENT})
    running = asyncio.ensure_future(janitor_of(ledger, store, clock).run(stop))
    async with asyncio.timeout(HANG_SECONDS):
        while not (await outbox.backlog()).count:  # noqa: ASYNC110 - a table tells nobody
            await asyncio.sleep(0.005)
        stop.set()
        await running


async def test_counts_over_all_sweeps(
    ledger: DatabaseLedger, store: MemoryStore, clock: Clock
) -> None:
    """What a metric shows goes on growing."""
    janitor = janitor_of(ledger, store, clock)
    for content in (b"first", b"second"):
        await ledger.begin(upload(content), idempotency_key=None, lease_seconds=LEASE_SECONDS)
        clock.move(LEASE_SECONDS + 1)
        await janitor.sweep_once()
    assert janitor.counts.abandoned == 2


async def test_tells_what_became_of_each(
    ledger: DatabaseLedger, store: MemoryStore, clock: Clock, dead: Upload
) -> None:
    """
    A line for each upload and one for the sweep.

    A sweep that finds nothing is silent, and still has its time.
    """
    janitor = janitor_of(ledger, store, clock)
    assert janitor.swept_at is None
    with capture_logs() as lines:
        await janitor.sweep_once()
        clock.move(5)
        await janitor.sweep_once()
    assert [line["event"] for line in lines] == [UPLOAD_SETTLED, SWEPT]
    assert (lines[0]["upload_id"], lines[0]["outcome"], lines[1]["abandoned"]) == (
        str(dead.id),
        "abandoned",
        1,
    )
    assert janitor.swept_at == clock.now
