"""The commands of `healthingest-admin`; each opens the database, and closes it at its end."""

import getpass
import sys
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Final

from healthingest_contract.events import rfc3339
from healthingest_service.adapters.database.accounts import DatabaseAccounts
from healthingest_service.adapters.database.kept_uploads import DatabaseKeptUploads
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.adapters.database.replays import DatabaseReplays
from healthingest_service.adapters.password_pool import open_password_pool
from healthingest_service.api.accounts import Registering
from healthingest_service.identity.email_address import InvalidEmailError, normal_email
from healthingest_service.identity.model import NewAccount
from healthingest_service.identity.registration import admit_password
from healthingest_service.main.admin_database import open_admin_database as _database
from healthingest_service.main.janitor import open_inventory
from healthingest_service.main.runtime import (
    LOCAL_BUCKET,
    open_runtime,
    open_store,
    utc_now,
)
from healthingest_service.settings import Settings
from healthingest_service.uploads.model import UploadId
from healthingest_service.uploads.rebuild import RebuildUploads, Rebuilt
from healthingest_service.uploads.relay_ports import ReplaySelection
from healthingest_service.uploads.repair import RepairUploads
from healthingest_service.uploads.replay import Replay, Replayed

_MAX_SHOWN: Final = 20


class NothingFoundError(Exception):
    """An account or upload does not exist; the message says which."""


def read_password() -> str:
    """Read a password from standard input; on a terminal with a prompt and without echo."""
    if sys.stdin.isatty():
        return getpass.getpass()
    return sys.stdin.readline().rstrip("\r\n")


async def create_account(
    settings: Settings, given: Mapping[str, str | None], password: str
) -> Mapping[str, object]:
    """Create a verified account under any registration policy, and return it."""
    read = Registering.model_validate({**given, "password": password})
    new = NewAccount(read.email, read.password, read.first_name, read.last_name, is_verified=True)
    admit_password(new)
    async with (
        _database(settings) as engine,
        open_password_pool(threads=1, queue_limit=1) as passwords,
    ):
        account = await DatabaseAccounts(
            engine, passwords, timeout_seconds=settings.database.timeout_seconds
        ).add(new)
    return {
        "id": str(account.id),
        "email": account.email,
        "created_at": rfc3339(account.created_at),
    }


async def deactivate_account(settings: Settings, email: str) -> Mapping[str, object]:
    """
    Deactivate an account, and return its id.

    Raises:
        NothingFoundError: no account has this e-mail address.
    """
    async with (
        _database(settings) as engine,
        open_password_pool(threads=1, queue_limit=1) as passwords,
    ):
        accounts = DatabaseAccounts(
            engine, passwords, timeout_seconds=settings.database.timeout_seconds
        )
        try:
            account_id = await accounts.deactivate(normal_email(email))
        except InvalidEmailError:
            account_id = None
    if account_id is None:
        message = "no account has this e-mail address"
        raise NothingFoundError(message)
    return {"id": str(account_id), "is_active": False}


async def backlog(settings: Settings) -> Mapping[str, object]:
    """Return counts of the waiting messages, and the oldest deferred ones."""
    async with _database(settings) as engine:
        outbox = DatabaseOutbox(engine, timeout_seconds=settings.database.timeout_seconds)
        waiting = await outbox.backlog()
        counts = await outbox.deferred_counts()
        first = await outbox.deferred(limit=_MAX_SHOWN)
    return {
        "messages": waiting.count,
        "oldest_age_seconds": round(waiting.oldest_age_seconds, 3),
        "deferred": {reason.value: count for reason, count in sorted(counts.items())},
        "oldest_deferred": [
            {
                "upload_id": None if one.upload_id is None else str(one.upload_id),
                "routing_key": one.routing_key,
                "reason": one.reason.value,
                "attempts": one.attempts,
                "created_at": rfc3339(one.created_at),
                "next_attempt_at": rfc3339(one.due_at),
            }
            for one in first
        ],
    }


async def replay(
    settings: Settings, selection: ReplaySelection, per_second: float, *, dry: bool
) -> Mapping[str, object]:
    """
    Announce uploads again whose objects the store has.

    Raises:
        NothingFoundError: an upload or an object is missing. The others were announced.
    """
    done = Replayed()

    def note(so_far: Replayed) -> None:
        nonlocal done
        done = so_far

    try:
        async with _database(settings) as engine, AsyncExitStack() as stack:
            store = await open_store(await open_runtime(settings, stack), stack)
            replays = DatabaseReplays(engine, timeout_seconds=settings.database.timeout_seconds)
            bucket = settings.store.bucket or LOCAL_BUCKET
            again = Replay(replays, store.port, bucket=bucket, clock=utc_now)
            await again(selection, per_second=per_second, dry=dry, progress=note)
    finally:
        if sys.exception() is not None and done.put:
            sys.stderr.write(f"healthingest-admin: ended early: {done.put} messages were put\n")
    _refuse_missing(selection, done)
    return {
        "uploads": done.selected,
        "put": done.put,
        "waiting_already": 0 if dry else done.waiting_already,
    }


def _refuse_missing(selection: ReplaySelection, done: Replayed) -> None:
    """Raise `NothingFoundError` if an upload of *selection* or the object of one is missing."""
    absent = len(selection.ids) - done.selected if selection.ids else 0
    if absent:
        message = f"{done.put} messages were put; {absent} of the uploads are not there"
        raise NothingFoundError(message)
    if not done.selected:
        message = "there is no such upload"
        raise NothingFoundError(message)
    if done.missing:
        message = (
            f"{done.put} messages were put; {done.missing} objects are not in the store:"
            " run `healthingest-admin uploads repair`"
        )
        raise NothingFoundError(message)


async def repair_uploads(
    settings: Settings, upload_ids: Collection[UploadId]
) -> Mapping[str, object]:
    """
    Check the objects of *upload_ids*, or of all uploads if it is empty, and return the counts.

    Raises:
        NothingFoundError: one of the ids is not that of a stored upload.
    """
    async with _database(settings) as engine, AsyncExitStack() as stack:
        store = await open_store(await open_runtime(settings, stack), stack)
        uploads = DatabaseKeptUploads(engine, timeout_seconds=settings.database.timeout_seconds)
        done = await RepairUploads(uploads, store.port, clock=utc_now)(upload_ids)
    if done.checked < len(upload_ids):
        message = f"{len(upload_ids) - done.checked} of the uploads do not exist"
        raise NothingFoundError(message)
    return asdict(done)


async def forget_uploads(
    settings: Settings, upload_ids: Collection[UploadId]
) -> Mapping[str, object]:
    """
    Remove lost uploads from the database, and return their number.

    Raises:
        NothingFoundError: one of the ids is not that of a lost upload; the others are removed.
    """
    async with _database(settings) as engine:
        uploads = DatabaseKeptUploads(engine, timeout_seconds=settings.database.timeout_seconds)
        forgotten = [await uploads.forget(upload_id) for upload_id in upload_ids]
    if not all(forgotten):
        missing = f"{forgotten.count(False)} of the uploads do not exist or are not lost"
        message = f"{missing}; {sum(forgotten)} were removed"
        raise NothingFoundError(message)
    return {"forgotten": len(forgotten)}


async def rebuild_ledger(settings: Settings, *, dry: bool) -> Mapping[str, object]:
    """
    Add the uploads of the bucket that the database lacks, and return the counts.

    Raises:
        NothingFoundError: some objects of uploads do not describe them. The others were added.
    """
    done = Rebuilt()

    def note(so_far: Rebuilt) -> None:
        nonlocal done
        done = so_far

    try:
        async with _database(settings) as engine, AsyncExitStack() as stack:
            runtime = await open_runtime(settings, stack)
            store = await open_store(runtime, stack)
            uploads = DatabaseKeptUploads(
                engine,
                timeout_seconds=settings.database.timeout_seconds,
                key_hash=runtime.keys_of_erasure.key_hash,
            )
            rebuild = RebuildUploads(
                await open_inventory(runtime, stack),
                store.port,
                uploads,
                bucket=store.bucket,
                clock=utc_now,
            )
            await rebuild(dry=dry, progress=note)
    finally:
        if sys.exception() is not None and done.rebuilt and not dry:
            sys.stderr.write(
                f"healthingest-admin: ended early: {done.rebuilt} uploads were added\n"
            )
    if done.unreadable:
        message = (
            f"{done.rebuilt} uploads were added; {done.unreadable} objects have the key of an"
            " upload, but not its metadata: a folder keeps none, and copies can lack it"
        )
        raise NothingFoundError(message)
    return asdict(done)
