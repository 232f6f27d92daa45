"""The use case that erases: it takes erasures that are due, and works until nothing is left."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import structlog

from healthingest_contract.events import UploadErased
from healthingest_contract.topology import erased_routing_key
from healthingest_service.erasure import certificate, documents
from healthingest_service.erasure.documents import ErasureDocument
from healthingest_service.erasure.keys import ErasureKeys
from healthingest_service.erasure.model import (
    Erasure,
    ErasureState,
    Forgetting,
    KnownSubject,
    Tombstone,
)
from healthingest_service.erasure.ports import ErasureLog, ErasureWork
from healthingest_service.uploads.errors import (
    LedgerUnavailableError,
    ObjectLockedError,
    StoreRefusedError,
    StoreUnavailableError,
)
from healthingest_service.uploads.ids import new_message_id
from healthingest_service.uploads.model import OutgoingMessage, Upload
from healthingest_service.uploads.ports import ObjectStore
from healthingest_service.uploads.resumable import ResumableId
from healthingest_service.uploads.waiting import wait_for_any

ERASURE_DONE: Final = "erasure_done"
ERASURE_BLOCKED: Final = "erasure_blocked"
ERASURE_DELAYED: Final = "erasure_delayed"
_KEYS: Final = 1000
_NEW: Final = 100
_STORE_REQUESTS: Final = 8
_HOLD_CHECK: Final = timedelta(days=1)
"""A legal hold has no end: it is looked at once a day."""
_FAILURES: Final = (LedgerUnavailableError, StoreUnavailableError, StoreRefusedError)


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseRules:
    """
    Sizes and times of the work.

    `lease_seconds` must exceed the deadlines of object store and database for one batch.
    `max_waiting_messages` messages in the outbox stop the work until the relay has announced some.
    """

    interval_seconds: float
    lease_seconds: float
    retry_seconds: float
    batch: int = 100
    max_waiting_messages: int = 10_000


class Outcome(StrEnum):
    """How one turn of work on an erasure ended."""

    DONE = "done"
    BLOCKED = "blocked"
    DELAYED = "delayed"
    """Something is not ready: an upload may still be stored, or the outbox is full."""
    FAILED = "failed"
    """Database or object store gave no clear answer, or refused."""


@dataclass(frozen=True, slots=True)
class _Step:
    """Continue, or end the turn with `outcome`."""

    outcome: Outcome | None = None
    until: datetime | None = None


_GO_ON: Final = _Step()


@dataclass(frozen=True, slots=True)
class _Removed:
    """The number of removed versions by object key, and the errors of other keys."""

    versions: dict[str, int]
    errors: Sequence[BaseException]


class EraseData:
    """
    Erases the data of the erasures that are due.

    The work is derived from what is still there, so a process that ends at any point leaves the
    rest to another one, and doing a step again changes nothing. Several processes may run.
    """

    def __init__(  # noqa: PLR0913 - the composition root names every part
        self,
        *,
        work: ErasureWork,
        store: ObjectStore,
        log: ErasureLog,
        keys: ErasureKeys,
        remove_parts: Callable[[ResumableId], Awaitable[bool]],
        rules: EraseRules,
        clock: Callable[[], datetime],
    ) -> None:
        self._work = work
        self._store = store
        self._log = log
        self._keys = keys
        self._remove_parts = remove_parts
        self._rules = rules
        self._clock = clock
        self._counts = dict.fromkeys(Outcome, 0)
        self._logger = structlog.get_logger("healthingest.erasure")

    @property
    def counts(self) -> dict[str, float]:
        """The number of turns since the process started, by outcome."""
        return {str(outcome): count for outcome, count in self._counts.items()}

    async def run(self, stop: asyncio.Event) -> None:
        """Erase until *stop* is set; a batch in progress ends first."""
        while not stop.is_set():
            is_idle = True
            try:
                is_idle = await self.erase_next() is None
            except _FAILURES:
                self._counts[Outcome.FAILED] += 1
            if is_idle:
                await wait_for_any(stop, seconds=self._rules.interval_seconds)

    async def erase_next(self) -> Outcome | None:
        """
        Work on the oldest erasure that is due; returns None if none is.

        New erasures are written to the bucket first, also those that are not due.

        Raises:
            LedgerUnavailableError: the database gave no clear answer; the lease ends by itself.
            StoreUnavailableError, StoreRefusedError: a new erasure could not be written.
        """
        for new in await self._work.unlogged(limit=_NEW):
            await self._log_subjects(new, await self._work.subjects(new))
        erasure = await self._work.take(lease_seconds=self._rules.lease_seconds)
        if erasure is None:
            return None
        step = await self._tried(erasure)
        outcome = step.outcome or Outcome.DONE
        retry_at = self._clock() + timedelta(seconds=self._rules.retry_seconds)
        if outcome is Outcome.BLOCKED:
            await self._work.block(erasure.id, until=step.until or retry_at)
        elif outcome is not Outcome.DONE:
            await self._work.release(erasure.id, until=step.until or retry_at)
        self._note(erasure, outcome)
        return outcome

    async def _tried(self, erasure: Erasure) -> _Step:
        """Erase as far as the object store permits and answers."""
        try:
            return await self._erase(erasure)
        except ObjectLockedError as error:
            return _Step(Outcome.BLOCKED, error.until or self._clock() + _HOLD_CHECK)
        except (StoreUnavailableError, StoreRefusedError):
            return _Step(Outcome.FAILED)

    async def _erase(self, erasure: Erasure) -> _Step:
        await self._log_subjects(erasure, await self._work.subjects(erasure))
        step = await self._end_resumable(erasure)
        if step.outcome is None:
            step = await self._erase_uploads(erasure)
        if step.outcome is None:
            step = await self._close_subjects(erasure)
        if step.outcome is None:
            step = await self._search(erasure)
        if step.outcome is None:
            await self._finish(erasure)
        return step

    async def _log_subjects(self, erasure: Erasure, subjects: Sequence[KnownSubject]) -> None:
        """Write an object that suffices to request the erasure again."""
        name = await self._write(ErasureDocument(erasure, (), subjects))
        await self._work.record(erasure, name, (), ())

    async def _write(self, document: ErasureDocument) -> str:
        bare = replace(document.erasure, state=ErasureState.REQUESTED)
        content = documents.to_bytes(replace(document, erasure=bare), self._keys)
        name = documents.document_name(bare.id, content)
        await self._log.put(name, content)
        return name

    async def _end_resumable(self, erasure: Erasure) -> _Step:
        """Remove what has come of files that were not accepted yet."""
        while found := await self._work.end_resumable(erasure, limit=self._rules.batch):
            await self._work.renew(erasure.id, lease_seconds=self._rules.lease_seconds)
            for one in found:
                if not await self._remove_parts(one):  # a request may still store a part of it
                    return _Step(Outcome.DELAYED)
        return _GO_ON

    async def _erase_uploads(self, erasure: Erasure) -> _Step:
        while True:
            await self._work.renew(erasure.id, lease_seconds=self._rules.lease_seconds)
            full = self._rules.max_waiting_messages
            if await self._work.waiting_messages(limit=full) >= full:
                return _Step(Outcome.DELAYED)
            batch = await self._work.batch(erasure, limit=self._rules.batch)
            if not batch.uploads:
                return _Step(Outcome.DELAYED) if batch.waiting else _GO_ON
            if not await self._erase_batch(erasure, batch.uploads):
                return _Step(Outcome.DELAYED)

    async def _erase_batch(self, erasure: Erasure, uploads: Sequence[Upload]) -> bool:
        """
        Erase some uploads; returns False if a relay is publishing a message about each.

        Uploads whose objects were removed are forgotten also if others fail. Otherwise a large
        batch would never end with a store that is often too slow.

        Raises:
            ObjectLockedError: some objects are locked.
            StoreUnavailableError, StoreRefusedError: some objects may still be there.
        """
        tombstones = [self._tombstone(upload) for upload in uploads]
        keys = [upload.receipt.object_key for upload in uploads]
        name = await self._write(ErasureDocument(erasure, tombstones))
        await self._work.record(erasure, name, tombstones, keys)
        removed = await self._erase_objects(keys)
        now = self._clock()
        gone = [one for one in uploads if one.receipt.object_key in removed.versions]
        forgetting = [Forgetting(one.id, _message(erasure, one, now)) for one in gone]
        versions = sum(removed.versions.values())
        done = await self._work.forget(erasure, forgetting, versions=versions)
        _raise_first(removed.errors)
        return done.held < len(uploads)

    def _tombstone(self, upload: Upload) -> Tombstone:
        return Tombstone(
            upload.id,
            upload.study,
            self._keys.upload_hash(upload),
            self._keys.key_hash(upload.receipt.object_key),
        )

    async def _erase_objects(self, keys: Sequence[str]) -> _Removed:
        """Remove everything under *keys*, a few at a time."""
        slots = asyncio.Semaphore(_STORE_REQUESTS)

        async def erase(key: str) -> int:
            async with slots:
                return await self._store.erase(key)

        done = await asyncio.gather(*(erase(key) for key in keys), return_exceptions=True)
        found = list(zip(keys, done, strict=True))
        errors = [one for one in done if isinstance(one, BaseException)]
        return _Removed({key: one for key, one in found if isinstance(one, int)}, errors)

    async def _close_subjects(self, erasure: Erasure) -> _Step:
        while subjects := await self._work.subjects(erasure):
            await self._log_subjects(erasure, subjects)
            if not await self._work.close_subjects(erasure, subjects):
                return _Step(Outcome.DELAYED)
        return _GO_ON

    async def _search(self, erasure: Erasure) -> _Step:
        """Look for everything again; if something is there, remove it and search once more."""
        after = ""
        while keys := await self._work.keys(erasure, after=after, limit=_KEYS):
            await self._work.renew(erasure.id, lease_seconds=self._rules.lease_seconds)
            for key in keys:
                if await self._store.remains(key):
                    await self._store.erase(key)
                    return _Step(Outcome.DELAYED)
            after = keys[-1]
        return _Step(Outcome.DELAYED) if await self._work.leftovers(erasure) else _GO_ON

    async def _finish(self, erasure: Erasure) -> None:
        counted = await self._work.find(erasure.id)
        done = replace(counted or erasure, state=ErasureState.DONE, done_at=self._clock())
        signed = replace(done, certificate=certificate.issue(done, self._keys))
        await self._work.finish(signed)

    def _note(self, erasure: Erasure, outcome: Outcome) -> None:
        self._counts[outcome] += 1
        events = {Outcome.DONE: ERASURE_DONE, Outcome.BLOCKED: ERASURE_BLOCKED}
        self._logger.info(
            events.get(outcome, ERASURE_DELAYED), erasure_id=str(erasure.id), outcome=str(outcome)
        )


def _raise_first(errors: Sequence[BaseException]) -> None:
    """
    Raise an error that is no lock, or if all are locks, one with the end of the first of them.

    A legal hold has no end, so with one of those the error has none.
    """
    locks = [one for one in errors if isinstance(one, ObjectLockedError)]
    if len(errors) > len(locks):
        raise next(one for one in errors if not isinstance(one, ObjectLockedError))
    if locks:
        ends = [one.until for one in locks if one.until is not None]
        raise ObjectLockedError(min(ends) if len(ends) == len(locks) else None)


def _message(erasure: Erasure, upload: Upload, at: datetime) -> OutgoingMessage:
    """Return the message that tells consumers of the erasure."""
    record_type = upload.receipt.record_type
    message_id = new_message_id()
    event = UploadErased(
        upload_id=upload.id,
        study=upload.study,
        record_type=record_type,
        erased_at=at,
        erasure_id=erasure.id,
        reason=erasure.scope.kind.value,
    )
    return OutgoingMessage(
        id=message_id,
        upload_id=None,
        routing_key=erased_routing_key(record_type),
        body=event.to_bytes(),
        headers=event.cloud_event_headers(str(message_id)),
        created_at=at,
    )
