"""The hashes of subjects."""

from uuid import UUID, uuid4

from healthingest_service.audit.model import salted_hash
from healthingest_service.audit.subjects import (
    CACHE_SECONDS,
    CACHED_SALTS,
    SubjectHashes,
    subject_salt_name,
)
from support.audit import MemorySalts

SUBJECT = UUID(int=1)


async def test_a_subject_has_one_hash() -> None:
    """Its own salt, whose name has its random id only; the database is asked once a minute."""
    salts = MemorySalts()
    now = [0.0]
    hashes = SubjectHashes(salts, monotonic=lambda: now[0])
    found = [await hashes.of(SUBJECT, "P-1") for _ in range(3)]
    assert set(found) == {salted_hash(salts.salts[subject_salt_name(SUBJECT)], "P-1")}
    assert salts.calls == 1
    now[0] = CACHE_SECONDS
    assert await hashes.of(SUBJECT, "P-1") == found[0]
    assert salts.calls == 2
    assert await hashes.of(uuid4(), "P-1") != found[0]


async def test_remembers_a_limited_number_of_salts() -> None:
    """The oldest are read again."""
    salts = MemorySalts()
    hashes = SubjectHashes(salts)
    for number in range(CACHED_SALTS + 1):
        await hashes.of(UUID(int=number), "P")
    await hashes.of(UUID(int=CACHED_SALTS), "P")
    assert salts.calls == CACHED_SALTS + 1
    await hashes.of(UUID(int=0), "P")
    assert salts.calls == CACHED_SALTS + 2
