"""The port of studies."""

from collections.abc import Callable
from typing import Protocol

from healthingest_service.identity.model import AccountId
from healthingest_service.studies.model import (
    IntakeFacts,
    Member,
    MemberPage,
    Pseudonym,
    Study,
    StudyAccess,
    StudyPage,
    StudySlug,
    Subject,
    SubjectPage,
)


class Studies(Protocol):
    """
    Studies, their members and their subjects.

    Every method is one transaction. It raises `StudiesUnavailableError` if the database gives no
    clear answer; repeating is safe. Pages are sorted by slug, account id or pseudonym; *cursor* is
    `next_cursor` of the previous page, None for the first one.
    """

    async def access(self, account_id: AccountId, study: StudySlug) -> StudyAccess | None:
        """Return the study and the account's standing in it; None: it does not exist."""
        ...

    async def is_admin(self, account_id: AccountId) -> bool:
        """Return whether the account is an administrator of the installation, and active."""
        ...

    async def intake(
        self, account_id: AccountId, study: StudySlug, pseudonym: Pseudonym | None
    ) -> IntakeFacts:
        """Return everything that decides on an upload, with one statement."""
        ...

    async def page(
        self, account_id: AccountId, *, limit: int, cursor: str | None = None
    ) -> StudyPage:
        """Return the studies in which the account has a role; an administrator gets all."""
        ...

    async def create(self, new: Study) -> bool:
        """Store a new study; returns whether it was new. An existing one stays unchanged."""
        ...

    async def change(self, study: StudySlug, change: Callable[[Study], Study]) -> Study:
        """
        Replace a study by the result of *change*, and return it. Concurrent changes wait.

        Raises:
            StudyNotFoundError: the study does not exist.
        """
        ...

    async def members(
        self, study: StudySlug, *, limit: int, cursor: str | None = None
    ) -> MemberPage:
        """Return the accounts that have a role in the study."""
        ...

    async def put_member(self, study: StudySlug, member: Member) -> Member:
        """
        Give an account exactly these `roles`; those of groups stay. Calling twice is safe.

        Returns the member with all its roles.

        Raises:
            AccountNotFoundError: the account does not exist.
        """
        ...

    async def remove_member(self, study: StudySlug, account_id: AccountId) -> None:
        """Remove all roles of an account but those of groups; it is no error if it has none."""
        ...

    async def subject(self, study: StudySlug, pseudonym: Pseudonym) -> Subject | None:
        """Return a subject, or None if the study has no such subject."""
        ...

    async def subjects(
        self, study: StudySlug, *, limit: int, cursor: str | None = None
    ) -> SubjectPage:
        """Return the subjects of the study."""
        ...

    async def change_subject(
        self,
        study: StudySlug,
        pseudonym: Pseudonym,
        change: Callable[[Subject | None], Subject],
    ) -> Subject:
        """
        Replace a subject by the result of *change*, and return it.

        *change* gets None if the subject is unknown, and may be called twice; its errors propagate,
        and then nothing has changed. Once this method has returned, no upload completes for which
        the subject's new state is not `active`.
        """
        ...
