"""
Erasure of files that have not come whole: nothing of them stays, and none is accepted afterwards.

On SQLite with a folder, and on PostgreSQL with an S3 server that keeps versions.
"""

import pytest

from healthingest_service.erasure.erase import Outcome
from healthingest_service.erasure.model import ErasureState
from healthingest_service.studies.errors import SubjectErasedError
from healthingest_service.studies.model import Subject
from healthingest_service.uploads.model import NewObject
from healthingest_service.uploads.resumable import (
    Part,
    Resumable,
    ResumableEndedError,
    ResumableNotFoundError,
)
from support.erasures import LEASE_SECONDS, PSEUDONYM, ErasureWorld
from support.resumables import part, resumable
from support.studies import SLUG
from support.uploads import owner, sha256

CONTENT = b"marker-of-a-part"


async def begun(world: ErasureWorld, about: Subject | None, **options: object) -> Resumable:
    """Return one with a stored part, whose request is still there."""
    new = resumable(about=about, at=world.clock.now, **options)  # type: ignore[arg-type]
    await world.resumable.create(new, limit=10)
    taken = await world.resumable.take(new.id, lease_seconds=LEASE_SECONDS, force=False)
    assert taken is not None
    await put(world, taken, 0)
    return taken


async def put(world: ErasureWorld, taken: Resumable, first_byte: int) -> Part:
    """Store a part as a request does."""
    added = part(taken, first_byte, len(CONTENT))
    await world.resumable.begin_part(taken.id, taken.writer, added, lease_seconds=LEASE_SECONDS)
    path = world.folder / "part"
    path.write_bytes(CONTENT)
    await world.store.put(NewObject(added.key, path, len(CONTENT), sha256(CONTENT)))
    await world.resumable.add_part(taken.id, taken.writer, added)
    return added


async def test_a_subject_is_erased_with_its_parts(world: ErasureWorld) -> None:
    """Objects, rows and metadata are gone; those of another subject stay."""
    about, other = await world.enrol(PSEUDONYM), await world.enrol("other")
    gone, kept = await begun(world, about), await begun(world, other)
    for one in (gone, kept):
        await world.resumable.release(one.id, one.writer)
    erasure = await world.erasures.request_subject(SLUG, PSEUDONYM, by=None)
    done = await world.finish(erasure)
    assert done.state is ErasureState.DONE
    assert await world.store.remains(part(gone, 0, 0).key) == 0
    with pytest.raises(ResumableNotFoundError):
        await world.resumable.find(gone.id, gone.owner)
    assert await world.store.remains(part(kept, 0, 0).key) == 1
    assert (await world.resumable.find(kept.id, kept.owner)).received_bytes == len(CONTENT)


async def test_a_request_in_progress_adds_nothing_after_the_answer(world: ErasureWorld) -> None:
    """Its next part is refused, and no new one begins; the erasure waits for the object."""
    about = await world.enrol(PSEUDONYM)
    taken = await begun(world, about)
    erasure = await world.erasures.request_subject(SLUG, PSEUDONYM, by=None)
    with pytest.raises(ResumableEndedError):
        await put(world, taken, len(CONTENT))
    with pytest.raises(SubjectErasedError):
        await world.resumable.create(resumable(about=about), limit=10)
    assert await world.erase().erase_next() is Outcome.DELAYED
    world.clock.move(LEASE_SECONDS + 1)
    assert (await world.finish(erasure)).state is ErasureState.DONE
    assert await world.store.remains(part(taken, 0, 0).key) == 0


async def test_an_erased_upload_takes_along_how_it_came(world: ErasureWorld) -> None:
    """Its resumable upload has the name that the client gave the file."""
    account = owner()
    upload = await world.upload(b"0", of=account)
    came = await begun(world, None, of=account)
    await world.resumable.finish(came.id, upload.receipt)
    unrelated = await begun(world, None, of=account)
    await world.resumable.release(unrelated.id, unrelated.writer)
    erasure = await world.erasures.request_upload(upload.id, by=account)
    assert (await world.finish(erasure)).state is ErasureState.DONE
    with pytest.raises(ResumableNotFoundError):
        await world.resumable.find(came.id, account)
    assert await world.store.remains(part(came, 0, 0).key) == 0
    assert await world.resumable.find(unrelated.id, account)


async def test_an_account_is_erased_with_its_parts(world: ErasureWorld) -> None:
    """Those in a study are about a subject, and stay."""
    account = owner()
    about = await world.enrol(PSEUDONYM)
    own, of_study = await begun(world, None, of=account), await begun(world, about, of=account)
    for one in (own, of_study):
        await world.resumable.release(one.id, one.writer)
    erasure = await world.erasures.request_account(account, by=None)
    assert (await world.finish(erasure)).state is ErasureState.DONE
    with pytest.raises(ResumableNotFoundError):
        await world.resumable.find(own.id, account)
    assert await world.resumable.find(of_study.id, account)
    with pytest.raises(SubjectErasedError):
        await world.resumable.create(resumable(of=account), limit=10)


async def test_a_study_is_erased_with_its_parts(world: ErasureWorld) -> None:
    """Of all its subjects."""
    found = [await begun(world, await world.enrol(name)) for name in ("a", "b")]
    for one in found:
        await world.resumable.release(one.id, one.writer)
    erasure = await world.erasures.request_study(SLUG, by=None)
    assert (await world.finish(erasure)).state is ErasureState.DONE
    for one in found:
        assert await world.store.remains(part(one, 0, 0).key) == 0
