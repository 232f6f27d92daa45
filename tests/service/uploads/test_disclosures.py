"""The pages of disclosures."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from healthingest_service.audit.model import Action
from healthingest_service.studies.model import Pseudonym, StudySlug
from healthingest_service.uploads.coverage_gaps import GapKey, GapPage, GapSelection
from healthingest_service.uploads.disclosures import (
    Disclosure,
    DisclosureKey,
    DisclosureKind,
    ListDisclosures,
)
from healthingest_service.uploads.model import HistoryPage, UploadId
from healthingest_service.uploads.study_uploads import (
    Announcement,
    CoverageKey,
    CoveragePage,
    StudySelection,
    StudyUploads,
)
from support.audit import MemoryAudit, event
from support.studies import subject
from support.uploads import NOON

HASH = "1" * 64
SUBJECT = subject()


@dataclass
class MemoryAnnouncements(StudyUploads):
    """The announcements about one subject."""

    all: list[Announcement]

    @override
    async def page(
        self, selection: StudySelection, *, limit: int, cursor: str | None = None
    ) -> HistoryPage:
        raise NotImplementedError

    @override
    async def coverage(
        self, selection: StudySelection, *, limit: int, after: CoverageKey | None = None
    ) -> CoveragePage:
        raise NotImplementedError

    @override
    async def gaps(
        self, selection: GapSelection, *, limit: int, after: GapKey | None = None
    ) -> GapPage:
        raise NotImplementedError

    @override
    async def announcements(
        self,
        study: StudySlug,
        subject: Pseudonym,
        *,
        limit: int,
        before: tuple[datetime, UploadId] | None = None,
    ) -> Sequence[Announcement]:
        found = sorted(self.all, key=lambda one: (one.announced_at, one.upload_id), reverse=True)
        return [
            one for one in found if before is None or (one.announced_at, one.upload_id) < before
        ][:limit]


SECONDS = st.lists(st.integers(0, 3), max_size=8)


@given(SECONDS, SECONDS, st.integers(1, 4))
def test_pages_have_each_disclosure_once(
    downloads: list[int], announcements: list[int], limit: int
) -> None:
    """Newest first, also where downloads and announcements have the same time."""

    async def work() -> list[Disclosure]:
        log = MemoryAudit()
        for second in downloads:
            at = NOON + timedelta(seconds=second)
            one = replace(event(), study=SUBJECT.study, subject_hash=HASH, occurred_at=at)
            await log.record(replace(one, action=Action.DOWNLOAD))
        uploads = MemoryAnnouncements(
            [
                Announcement(UploadId(UUID(int=n)), "T", "c", NOON + timedelta(seconds=second))
                for n, second in enumerate(announcements)
            ]
        )
        listing = ListDisclosures(log, uploads)
        found: list[Disclosure] = []
        before: DisclosureKey | None = None
        while True:
            page = await listing(SUBJECT, HASH, limit=limit, before=before)
            assert len(page.disclosures) <= limit
            found += page.disclosures
            before = page.next_before
            if before is None:
                return found

    found = asyncio.run(work())
    keys = [one.key for one in found]
    assert keys == sorted(set(keys), reverse=True)
    kinds = [one.key.kind for one in found]
    assert kinds.count(DisclosureKind.DOWNLOAD) == len(downloads)
    assert kinds.count(DisclosureKind.ANNOUNCEMENT) == len(announcements)
