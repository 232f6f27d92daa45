"""The report of disclosures: who received the data of a subject."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from healthingest_service.audit.model import StoredEvent
from healthingest_service.audit.ports import AuditReader, EventSelection
from healthingest_service.studies.model import Subject
from healthingest_service.uploads.model import UploadId
from healthingest_service.uploads.study_uploads import Announcement, StudyUploads


class DisclosureKind(StrEnum):
    """How data was disclosed; in the order of equal times."""

    ANNOUNCEMENT = "announcement"
    """The broker has a message about the upload; consumers of its queue may have fetched it."""
    DOWNLOAD = "download"


@dataclass(frozen=True, slots=True, order=True)
class DisclosureKey:
    """The order of disclosures: `number` is that of an event, or of the upload id."""

    at: datetime
    kind: DisclosureKind
    number: int


@dataclass(frozen=True, slots=True)
class Disclosure:
    """
    A disclosure of an upload about a subject.

    `account_id` and `token_id` are those of a download; an announcement has the `record_type`.
    """

    key: DisclosureKey
    upload_id: str | None
    correlation_id: str | None
    account_id: UUID | None = None
    token_id: str | None = None
    record_type: str | None = None


@dataclass(frozen=True, slots=True)
class DisclosurePage:
    """Disclosures, newest first; `next_before` is None on the last page."""

    disclosures: tuple[Disclosure, ...]
    next_before: DisclosureKey | None


class ListDisclosures:
    """Lists the disclosures of a subject: downloads of the log, and announcements of uploads."""

    def __init__(self, log: AuditReader, uploads: StudyUploads) -> None:
        self._log = log
        self._uploads = uploads

    async def __call__(
        self,
        subject: Subject,
        subject_hash: str,
        *,
        limit: int,
        before: DisclosureKey | None = None,
    ) -> DisclosurePage:
        """
        Return a page, at most *limit* disclosures before the key *before*.

        Raises:
            AuditUnavailableError, LedgerUnavailableError: the database cannot be read.
        """
        downloads = await self._log.newest(
            EventSelection(study=subject.study, subject_hash=subject_hash, downloads_only=True),
            limit=limit + 1,
            before=position(DisclosureKind.DOWNLOAD, before),
        )
        at = position(DisclosureKind.ANNOUNCEMENT, before)
        announcements = await self._uploads.announcements(
            subject.study,
            subject.pseudonym,
            limit=limit + 1,
            before=None if at is None else (at[0], UploadId(UUID(int=max(at[1], 0)))),
        )
        return merged(downloads, announcements, limit=limit)


_AFTER_ALL = 2**63 - 1
"""More than the number of any event."""


def position(kind: DisclosureKind, before: DisclosureKey | None) -> tuple[datetime, int] | None:
    """Return time and number before which the disclosures of *kind* come; None: all of them."""
    if before is None:
        return None
    if kind is before.kind:
        return before.at, before.number
    if kind > before.kind:  # those of this time came before in the list
        return before.at, 0
    return before.at, _AFTER_ALL if kind is DisclosureKind.DOWNLOAD else 2**128 - 1


def merged(
    downloads: Iterable[StoredEvent], announcements: Iterable[Announcement], *, limit: int
) -> DisclosurePage:
    """Return a page of both, newest first."""
    both = [*map(_download, downloads), *map(_announcement, announcements)]
    both.sort(key=lambda one: one.key, reverse=True)
    page = tuple(both[:limit])
    return DisclosurePage(page, page[-1].key if len(both) > limit else None)


def _download(stored: StoredEvent) -> Disclosure:
    event = stored.event
    return Disclosure(
        DisclosureKey(event.occurred_at, DisclosureKind.DOWNLOAD, stored.number),
        upload_id=event.object_id,
        correlation_id=event.correlation_id,
        account_id=event.account_id,
        token_id=event.token_id,
    )


def _announcement(one: Announcement) -> Disclosure:
    return Disclosure(
        DisclosureKey(one.announced_at, DisclosureKind.ANNOUNCEMENT, one.upload_id.int),
        upload_id=str(one.upload_id),
        correlation_id=one.correlation_id,
        record_type=one.record_type,
    )
