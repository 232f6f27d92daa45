"""A world for erasures: both ports of the database, a store, a log, and uploads in them."""

import base64
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.erasing import DatabaseErasureWork
from healthingest_service.adapters.database.erasures import DatabaseErasures
from healthingest_service.adapters.database.kept_uploads import DatabaseKeptUploads
from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.resumable_uploads import DatabaseResumableUploads
from healthingest_service.adapters.database.studies import DatabaseStudies
from healthingest_service.adapters.database.tables import Base, OutboxRow
from healthingest_service.erasure.erase import EraseData, EraseRules
from healthingest_service.erasure.keys import ErasureKeys
from healthingest_service.erasure.model import Erasure
from healthingest_service.erasure.ports import ErasureLog, ErasureWork
from healthingest_service.erasure.restore import RestoreErasures
from healthingest_service.identity.model import AccountId
from healthingest_service.studies import decisions
from healthingest_service.studies.model import Consent, Pseudonym, Subject
from healthingest_service.uploads.model import IdempotencyKey, NewObject, Upload
from healthingest_service.uploads.ports import ObjectStore
from healthingest_service.uploads.remove_parts import RemoveParts
from support.studies import SLUG, study, subject
from support.uploads import Clock, message, owner, upload

KEYS: Final = ErasureKeys.from_text(base64.urlsafe_b64encode(bytes(range(32))).decode())
LEASE_SECONDS: Final = 60.0
TIMEOUT_SECONDS: Final = 20.0
RULES: Final = EraseRules(
    interval_seconds=1.0, lease_seconds=LEASE_SECONDS, retry_seconds=1.0, batch=2
)


@dataclass
class ErasureWorld:
    """A database, a store and a log, with the use cases on them."""

    engine: AsyncEngine
    store: ObjectStore
    log: ErasureLog
    folder: Path
    clock: Clock = field(default_factory=Clock)

    @property
    def ledger(self) -> DatabaseLedger:
        """The uploads."""
        return DatabaseLedger(
            self.engine,
            timeout_seconds=TIMEOUT_SECONDS,
            clock=self.clock,
            upload_hash=KEYS.upload_hash,
        )

    @property
    def studies(self) -> DatabaseStudies:
        """The studies."""
        return DatabaseStudies(self.engine, timeout_seconds=TIMEOUT_SECONDS, hidden=KEYS.hidden)

    @property
    def kept(self) -> DatabaseKeptUploads:
        """The uploads by key."""
        return DatabaseKeptUploads(
            self.engine, timeout_seconds=TIMEOUT_SECONDS, clock=self.clock, key_hash=KEYS.key_hash
        )

    @property
    def erasures(self) -> DatabaseErasures:
        """The requests."""
        return DatabaseErasures(self.engine, KEYS.hidden, TIMEOUT_SECONDS, self.clock)

    @property
    def work(self) -> DatabaseErasureWork:
        """The steps."""
        return DatabaseErasureWork(self.engine, KEYS.hidden, TIMEOUT_SECONDS, self.clock)

    @property
    def resumable(self) -> DatabaseResumableUploads:
        """The resumable uploads."""
        return DatabaseResumableUploads(self.engine, TIMEOUT_SECONDS, 86_400, self.clock)

    @property
    def restore(self) -> RestoreErasures:
        """The use case that restores."""
        return RestoreErasures(self.work, self.log, KEYS)

    def erase(
        self,
        work: ErasureWork | None = None,
        store: ObjectStore | None = None,
        log: ErasureLog | None = None,
        *,
        rules: EraseRules = RULES,
    ) -> EraseData:
        """Return the use case, on these ports or on the world's own."""
        return EraseData(
            work=work or self.work,
            store=store or self.store,
            log=log or self.log,
            keys=KEYS,
            remove_parts=RemoveParts(
                self.resumable, store or self.store, lease_seconds=LEASE_SECONDS
            ),
            rules=rules,
            clock=self.clock,
        )

    async def enrol(self, name: str, *, consent: Consent | None = None) -> Subject:
        """Return an enrolled subject of the study."""
        await self.studies.create(study())
        new = subject(name, consent=consent, at=self.clock.now)
        return await self.studies.change_subject(
            SLUG, new.pseudonym, partial(decisions.enrolled, new)
        )

    async def put(self, new: Upload, content: bytes) -> None:
        """Store the object of *new*."""
        path = self.folder / new.receipt.file_hash
        path.write_bytes(content)
        await self.store.put(
            NewObject(new.receipt.object_key, path, len(content), new.receipt.file_hash)
        )

    async def begin(
        self,
        content: bytes,
        *,
        of: AccountId | None = None,
        about: Subject | None = None,
        key: IdempotencyKey | None = None,
        **changed: Any,  # noqa: ANN401 - values of an upload
    ) -> Upload:
        """Begin an upload, and store its object."""
        new = upload(content, of=of or owner(), at=self.clock.now, about=about, **changed)
        begun = await self.ledger.begin(new, idempotency_key=key, lease_seconds=LEASE_SECONDS)
        await self.put(begun.upload, content)
        return begun.upload

    async def upload(self, content: bytes, **options: Any) -> Upload:  # noqa: ANN401
        """Make a stored upload."""
        new = await self.begin(content, **options)
        await self.ledger.complete(new.id, message(new), stored_at=self.clock.now)
        return new

    async def finish(self, erasure: Erasure, *, turns: int = 30) -> Erasure:
        """Work until the erasure is done; time passes between turns."""
        for _ in range(turns):
            await self.erase().erase_next()
            found = await self.erasures.find(erasure.id)
            assert found is not None
            if found.done_at is not None:
                return found
            self.clock.move(LEASE_SECONDS + 1)
        message = f"the erasure is not done after {turns} turns"
        raise AssertionError(message)

    async def texts(self) -> str:
        """Return everything that the tables have, as text."""
        found: list[str] = []
        async with transaction(self.engine, timeout_seconds=20, writes=False) as connection:
            for table in Base.metadata.sorted_tables:
                for row in await connection.execute(select(table)):
                    found += [_shown(value) for value in row]
        return "\n".join(found)

    async def backup(self) -> dict[str, list[dict[str, Any]]]:
        """Return all rows of all tables."""
        async with transaction(self.engine, timeout_seconds=20, writes=False) as connection:
            return {
                table.name: [
                    dict(row) for row in (await connection.execute(select(table))).mappings()
                ]
                for table in Base.metadata.sorted_tables
            }

    async def bring_back(self, backup: dict[str, list[dict[str, Any]]]) -> None:
        """Replace all rows by those of a backup."""
        tables = Base.metadata.sorted_tables
        async with transaction(self.engine, timeout_seconds=20) as connection:
            for table in reversed(tables):
                await connection.execute(delete(table))
            for table in tables:
                if backup[table.name]:
                    await connection.execute(insert(table), backup[table.name])

    async def messages(self) -> list[Any]:
        """Return the rows of the outbox."""
        async with transaction(self.engine, timeout_seconds=20, writes=False) as connection:
            return list(await connection.execute(select(OutboxRow).order_by(OutboxRow.created_at)))

    async def later(self, **time: float) -> None:
        """Let time pass."""
        self.clock.now += timedelta(**time)


def _shown(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


PSEUDONYM: Final = Pseudonym("marker-of-a-person")
