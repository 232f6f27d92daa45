from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from healthingest_service.main.runtime import database_url, open_runtime
from healthingest_service.settings import Settings
from healthingest_service.settings.groups import LimitsSettings
from healthingest_service.uploads.backlog import BACKLOG_OVER_LIMIT, BACKLOG_WITHIN_LIMIT
from healthingest_service.uploads.errors import UnavailableError
from support.migrated import migrate_by_copy
from support.uploads import message, upload


async def test_a_message_that_waits_for_too_long_turns_readiness_off(tmp_path: Path) -> None:
    """However few they are: somebody must look before more is taken in."""
    settings = Settings(data_folder=tmp_path)
    await migrate_by_copy(database_url(settings))
    async with AsyncExitStack() as stack:
        runtime = await open_runtime(settings, stack)
        (check,) = (one for one in runtime.checks if one.name == "outbox")
        for hours, content in ((23, b"young"), (25, b"old")):
            await check.run()
            at = datetime.now(UTC) - timedelta(hours=hours)
            new = upload(content, at=at)
            await runtime.ledger.begin(new, idempotency_key=None, lease_seconds=60)
            await runtime.ledger.complete(new.id, message(new, at=at), stored_at=at)
        with pytest.raises(UnavailableError):
            await check.run()


async def test_too_many_messages_turn_readiness_off_and_on_again(tmp_path: Path) -> None:
    """One more than the limit: told once, and once when they have been announced."""
    settings = Settings(data_folder=tmp_path, limits=LimitsSettings(outbox_messages=2))
    await migrate_by_copy(database_url(settings))
    async with AsyncExitStack() as stack:
        runtime = await open_runtime(settings, stack)
        (check,) = (one for one in runtime.checks if one.name == "outbox")
        for content in (b"1", b"2", b"3"):
            await check.run()
            new = upload(content, at=(at := datetime.now(UTC)))
            await runtime.ledger.begin(new, idempotency_key=None, lease_seconds=60)
            await runtime.ledger.complete(new.id, message(new, at=at), stored_at=at)
        with capture_logs() as lines:
            for _ in range(2):
                with pytest.raises(UnavailableError):
                    await check.run()
            async with runtime.outbox.claim(limit=1) as batch:
                await batch.announced(batch.messages[0].id, at=datetime.now(UTC))
            await check.run()
    assert [(line["event"], line["messages"]) for line in lines] == [
        (BACKLOG_OVER_LIMIT, 3),
        (BACKLOG_WITHIN_LIMIT, 2),
    ]
