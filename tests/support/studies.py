"""Values of studies with defaults for what a test does not need."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from healthingest_service.studies.decisions import new_subject
from healthingest_service.studies.model import (
    Consent,
    Policy,
    Pseudonym,
    Study,
    StudySlug,
    StudyState,
    Subject,
    SubjectId,
)
from support.uploads import NOON

SLUG = StudySlug("sleep-2026")
SUBJECT = Pseudonym("P-0001")
CONSENT = Consent("v1", NOON)


# ANN401: the values of a policy
def study(
    slug: str = SLUG,
    *,
    state: StudyState = StudyState.OPEN,
    name: str = "Sleep",
    **policy: Any,  # noqa: ANN401
) -> Study:
    """Return a study with these values of its policy."""
    return Study(StudySlug(slug), name, state, Policy(**policy), NOON)


def subject(
    pseudonym: str = SUBJECT,
    *,
    of: str = SLUG,
    consent: Consent | None = None,
    at: datetime = NOON,
) -> Subject:
    """Return an active subject."""
    return new_subject(
        StudySlug(of), Pseudonym(pseudonym), subject_id=SubjectId(uuid4()), consent=consent, at=at
    )
