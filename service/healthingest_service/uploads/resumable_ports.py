"""The port of resumable uploads in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from healthingest_service.identity.model import AccountId
from healthingest_service.uploads.model import Finding, Receipt
from healthingest_service.uploads.resumable import Part, Resumable, ResumableId


@dataclass(frozen=True, slots=True)
class Ended:
    """
    A resumable upload whose time is over, and the keys of its parts.

    `is_kept` means that the row stays, so that its client still learns the result.
    """

    id: ResumableId
    keys: Sequence[str]
    is_kept: bool


class ResumableUploads(Protocol):
    """
    The resumable uploads in the database. Every method is one transaction.

    Every method raises `LedgerUnavailableError` if the database gives no clear answer; repeating is
    safe. Methods with *writer* raise `ReplacedError` if a newer request has the upload, and
    `ResumableEndedError` if it is not `receiving` any more.
    """

    async def create(self, new: Resumable, *, limit: int) -> None:
        """
        Insert *new*, in state `receiving`.

        Raises:
            TooManyResumableError: its owner has *limit* of them.
            SubjectWithdrawnError, SubjectErasedError: the subject has left the study.
        """
        ...

    async def find(self, resumable_id: ResumableId, owner: AccountId) -> Resumable:
        """
        Return a resumable upload of *owner*.

        Raises:
            ResumableNotFoundError: there is none.
        """
        ...

    async def take(
        self, resumable_id: ResumableId, *, lease_seconds: float, force: bool
    ) -> Resumable | None:
        """
        Take the upload for one request; returns it with its new writer.

        Returns None while another request has it. With *force* that request loses it, unless it is
        storing a part, or its lease still runs after it ended in doing so.

        Raises:
            ResumableEndedError: it is not `receiving`.
        """
        ...

    async def release(self, resumable_id: ResumableId, writer: int) -> None:
        """Give the upload up, so that another request need not wait. Repeating is safe."""
        ...

    async def set_size(self, resumable_id: ResumableId, writer: int, size_bytes: int) -> None:
        """Record the size of the file."""
        ...

    async def begin_part(
        self, resumable_id: ResumableId, writer: int, part: Part, *, lease_seconds: float
    ) -> None:
        """
        Record that the object of *part* is about to be stored, and renew the lease.

        Raises:
            TooManyPartsError: the upload has 10,000 parts.
        """
        ...

    async def renew(self, resumable_id: ResumableId, writer: int, *, lease_seconds: float) -> None:
        """Renew the lease while a part is being stored."""
        ...

    async def add_part(self, resumable_id: ResumableId, writer: int, part: Part) -> None:
        """Record that *part* is stored: its bytes count as received."""
        ...

    async def stored_parts(self, resumable_id: ResumableId) -> Sequence[Part]:
        """Return the stored parts, in the order of their bytes."""
        ...

    async def finish(self, resumable_id: ResumableId, receipt: Receipt) -> None:
        """Record that the whole file was accepted with *receipt*. Repeating is safe."""
        ...

    async def refuse(self, resumable_id: ResumableId, findings: Sequence[Finding]) -> None:
        """Record that the file was refused. Repeating is safe."""
        ...

    async def end(self, resumable_id: ResumableId) -> None:
        """Terminate it: no byte is added any more, and its row goes. Repeating is safe."""
        ...

    async def take_ended(
        self, *, lease_seconds: float, only: ResumableId | None = None
    ) -> Ended | None:
        """
        Take one whose parts are to be removed, for *lease_seconds*; None: there is none.

        One that has expired is ended first. None is taken while a request may still store a part.
        """
        ...

    async def postpone(self, resumable_id: ResumableId, *, until: datetime | None) -> None:
        """Let the removal of parts wait *until* their lock ends; None: for a day."""
        ...

    async def forget(self, ended: Ended) -> None:
        """Remove the rows of parts whose objects are removed, and the upload unless it is kept."""
        ...

    async def existing(self, ids: Sequence[ResumableId]) -> frozenset[ResumableId]:
        """Return those of *ids* that exist."""
        ...
