"""What is being stored is held as long as it comes on."""

from datetime import timedelta
from functools import partial

import pytest

from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.uploads.errors import LedgerUnavailableError
from healthingest_service.uploads.model import Upload
from healthingest_service.uploads.upload_lease import RENEW_AFTER_SHARE, UploadLease
from support.uploads import Clock, owner, upload

LEASE_SECONDS = 60.0


@pytest.fixture(name="begun")
async def _begun(ledger: DatabaseLedger, clock: Clock) -> Upload:
    """A row `storing`."""
    new = upload(of=owner(), at=clock.now)
    await ledger.begin(new, idempotency_key=None, lease_seconds=LEASE_SECONDS)
    return new


def lease_on(ledger: DatabaseLedger, begun: Upload, clock: Clock) -> UploadLease:
    """The lease on the row, which begins now."""
    renew = partial(ledger.renew, begun.id, lease_seconds=LEASE_SECONDS)
    return UploadLease(renew, seconds=LEASE_SECONDS, begun_at=clock.now, clock=clock)


async def test_outlasts_its_first_seconds(
    ledger: DatabaseLedger, clock: Clock, begun: Upload
) -> None:
    """A renewed lease lasts as long as the work, and its full time after the last renewal."""
    lease = lease_on(ledger, begun, clock)
    for _ in range(5):
        clock.move(LEASE_SECONDS / 2)
        await lease.keep()
    clock.move(LEASE_SECONDS - 1)
    assert await ledger.expired(limit=1, lease_seconds=LEASE_SECONDS) == []
    clock.move(2)
    assert await ledger.expired(limit=1, lease_seconds=LEASE_SECONDS) == [begun]


async def test_is_left_alone_while_it_is_young(
    ledger: DatabaseLedger, clock: Clock, begun: Upload
) -> None:
    """A sign of life soon after the last costs no transaction: it ends when it would have ended."""
    lease = lease_on(ledger, begun, clock)
    clock.move(LEASE_SECONDS * RENEW_AFTER_SHARE)
    await lease.keep()
    clock.move(LEASE_SECONDS - LEASE_SECONDS * RENEW_AFTER_SHARE + 1)
    assert await ledger.expired(limit=1, lease_seconds=LEASE_SECONDS) == [begun]


async def test_says_that_it_was_lost(ledger: DatabaseLedger, clock: Clock, begun: Upload) -> None:
    """Somebody settled the row: the work ends, and its answer is unclear."""
    lease = lease_on(ledger, begun, clock)
    await ledger.abandon(begun.id)
    clock.now += timedelta(seconds=LEASE_SECONDS)
    with pytest.raises(LedgerUnavailableError):
        await lease.keep()
