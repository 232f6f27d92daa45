"""The enrolment of a subject by its first upload."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from uuid import uuid4

from healthingest_service.studies import decisions
from healthingest_service.studies.errors import StudyNotFoundError
from healthingest_service.studies.model import Intake, Subject, SubjectId
from healthingest_service.studies.ports import Studies

Enrol = Callable[[Intake], Awaitable[Subject]]
"""A function that returns the subject of an admitted upload, and enrols it if it is unknown."""


async def enrol_nobody(_intake: Intake) -> Subject:
    """Refuse each study: for a service without studies."""
    raise StudyNotFoundError


class EnrolSubject:
    """Returns the subject of an admitted upload, and enrols it if it is unknown."""

    def __init__(self, studies: Studies, *, clock: Callable[[], datetime]) -> None:
        self._studies = studies
        self._clock = clock

    async def __call__(self, intake: Intake) -> Subject:
        """
        Return the subject. A subject that the admission has found costs no further request.

        Raises:
            SubjectWithdrawnError, SubjectErasedError: it was enrolled and has left meanwhile.
            StudiesUnavailableError: the database gave no clear answer.
        """
        if intake.subject is not None:
            return intake.subject
        new = decisions.new_subject(
            intake.study,
            intake.pseudonym,
            subject_id=SubjectId(uuid4()),
            consent=None,
            at=self._clock(),
        )
        return await self._studies.change_subject(
            intake.study, intake.pseudonym, partial(decisions.enrolled, new)
        )
