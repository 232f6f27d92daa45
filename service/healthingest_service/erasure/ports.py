"""
The ports of erasure.

Every method of a port with the database is one or two transactions; it raises
`LedgerUnavailableError` if the database gives no clear answer. Repeating is safe.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from healthingest_service.erasure.documents import ErasureDocument
from healthingest_service.erasure.model import (
    Erasure,
    ErasureBatch,
    ErasureId,
    Forgetting,
    Forgotten,
    KnownSubject,
    Tombstone,
    Totals,
)
from healthingest_service.identity.model import AccountId
from healthingest_service.studies.model import Pseudonym, StudySlug
from healthingest_service.uploads.model import UploadId
from healthingest_service.uploads.resumable import ResumableId


class Erasures(Protocol):
    """
    Requests erasures, and finds them.

    When a method that requests one has returned, no upload of the scope completes any more. A
    second request returns the first erasure.
    """

    async def request_upload(self, upload_id: UploadId, *, by: AccountId | None) -> Erasure:
        """
        Request the erasure of an upload.

        Raises:
            UploadNotFoundError: there is neither such an upload nor an erasure of it.
        """
        ...

    async def request_subject(
        self, study: StudySlug, pseudonym: Pseudonym, *, by: AccountId | None
    ) -> Erasure:
        """
        Request the erasure of a subject, which becomes `erasing`.

        Raises:
            SubjectNotFoundError: the study has no such subject.
        """
        ...

    async def request_account(self, account_id: AccountId, *, by: AccountId | None) -> Erasure:
        """Request the erasure of the uploads of an account in the study `default`."""
        ...

    async def request_study(self, study: StudySlug, *, by: AccountId | None) -> Erasure:
        """
        Request the erasure of a study: it is closed for ever, and its subjects become `erasing`.

        Raises:
            StudyNotFoundError: there is no such study.
            DefaultStudyError: it is the study `default`.
        """
        ...

    async def find(self, erasure_id: ErasureId) -> Erasure | None:
        """Return an erasure, or None."""
        ...

    async def oldest_open(self, *, limit: int) -> Sequence[Erasure]:
        """Return up to *limit* erasures that are not done, the oldest request first."""
        ...

    async def of_upload(self, upload_id: UploadId) -> Erasure | None:
        """Return the erasure that has erased, or erases, this upload; None: there is none."""
        ...


class ErasureWork(Protocol):
    """The steps of an erasure in the database."""

    async def unlogged(self, *, limit: int) -> Sequence[Erasure]:
        """Return open erasures of which no object in the bucket is recorded yet."""
        ...

    async def take(self, *, lease_seconds: float) -> Erasure | None:
        """
        Take the oldest erasure that is due and that no other process works on; it is `running`.

        The caller has a lease on it of *lease_seconds*, which `renew` extends.
        """
        ...

    async def renew(self, erasure_id: ErasureId, *, lease_seconds: float) -> None:
        """Extend the lease."""
        ...

    async def release(self, erasure_id: ErasureId, *, until: datetime) -> None:
        """Give the lease back; nobody takes the erasure before *until*."""
        ...

    async def block(self, erasure_id: ErasureId, *, until: datetime) -> None:
        """Mark the erasure as `blocked`, and release it."""
        ...

    async def batch(self, erasure: Erasure, *, limit: int) -> ErasureBatch:
        """
        Return up to *limit* uploads of the scope, and mark them, so that none completes.

        An upload in state `storing` is not returned before its lease has ended.
        """
        ...

    async def record(
        self, erasure: Erasure, name: str, tombstones: Sequence[Tombstone], keys: Sequence[str]
    ) -> None:
        """
        Insert the tombstones of the object *name* in the bucket, with their object keys.

        From now on the same bytes are refused.
        """
        ...

    async def forget(
        self, erasure: Erasure, forgetting: Sequence[Forgetting], *, versions: int
    ) -> Forgotten:
        """
        Remove the rows of uploads, and put the messages that tell it, in one commit.

        Removed are the upload, its idempotency keys and its messages in the outbox. An upload whose
        message a relay is publishing keeps its row. *versions* is added to the counts.
        """
        ...

    async def subjects(self, erasure: Erasure) -> Sequence[KnownSubject]:
        """Return up to 100 subjects of the scope that are not `erased`."""
        ...

    async def close_subjects(self, erasure: Erasure, subjects: Sequence[KnownSubject]) -> int:
        """
        Make subjects `erased`: replace their pseudonyms, and remove their consents.

        A subject that still has an upload stays as it is. Returns the number of changed subjects.
        """
        ...

    async def end_resumable(self, erasure: Erasure, *, limit: int) -> Sequence[ResumableId]:
        """
        End the resumable uploads of the scope, and those that became its uploads.

        Returns up to *limit* of those whose parts are not removed yet.
        """
        ...

    async def keys(self, erasure: Erasure, *, after: str, limit: int) -> Sequence[str]:
        """Return object keys of the tombstones greater than *after*, in the order of bytes."""
        ...

    async def leftovers(self, erasure: Erasure) -> int:
        """Return the number of rows, in any table, that still name the scope or its uploads."""
        ...

    async def finish(self, erasure: Erasure) -> None:
        """Store the state, the time and the certificate of *erasure*, and forget its keys."""
        ...

    async def find(self, erasure_id: ErasureId) -> Erasure | None:
        """Return an erasure, or None."""
        ...

    async def waiting_messages(self, *, limit: int) -> int:
        """Return the number of messages in the outbox, at most *limit*."""
        ...

    async def totals(self) -> Totals:
        """Return the number of erasures by state."""
        ...


class ErasureRestore(Protocol):
    """Applies what the objects in the bucket know and the database does not."""

    async def unknown(self, names: Collection[str]) -> frozenset[str]:
        """Return those of *names* whose object was neither recorded nor applied."""
        ...

    async def apply(self, name: str, document: ErasureDocument) -> None:
        """
        Insert what is missing of an erasure, its tombstones and its subjects.

        If something was missing, the erasure is `requested` and due at once. A subject of which
        there is no row gets one that is `erased`.
        """
        ...


class Retention(Protocol):
    """Requests erasures of uploads that are older than their study keeps them."""

    async def request_due(self, now: datetime, *, slot: timedelta) -> int:
        """
        Request one erasure for each study with an upload that is too old.

        Its limit of age is rounded down to a multiple of *slot*, so that several processes request
        the same erasure. Returns the number of requested erasures.
        """
        ...

    async def below(self, days: int, *, limit: int) -> Sequence[StudySlug]:
        """Return up to *limit* studies that keep data for fewer than *days*, by slug."""
        ...


class ErasureLog(Protocol):
    """
    Objects below `erasures/` in the bucket, which survive the loss of the database.

    Every method raises the errors of `ObjectStore.head`.
    """

    async def put(self, name: str, content: bytes) -> None:
        """Store an object; the same name and content again change nothing."""
        ...

    async def read(self, name: str) -> bytes:
        """Return the content of an object."""
        ...

    async def names(self, *, after: str, limit: int) -> Sequence[str]:
        """Return names greater than *after*, in the order of bytes; fewer than *limit*: the end."""
        ...
