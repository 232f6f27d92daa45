"""Converts rows of studies and subjects to values of the core, and back."""

from typing import Any

from sqlalchemy import Row

from healthingest_service.studies.model import (
    Consent,
    Enrolment,
    Policy,
    Pseudonym,
    Study,
    StudySlug,
    StudyState,
    Subject,
    SubjectId,
    SubjectState,
)


def study(row: Row[Any]) -> Study:
    """Convert a row with the columns of `study`."""
    types = None if row.record_types is None else frozenset(row.record_types)
    policy = Policy(
        enrolment=Enrolment(row.enrolment),
        consent_required=row.consent_required,
        retention_days=row.retention_days,
        record_types=types,
        erasure_hold_seconds=row.erasure_hold_seconds,
        uploads_rate=row.uploads_rate,
        max_file_bytes=row.max_file_bytes,
        bytes_per_day=row.bytes_per_day,
    )
    return Study(
        StudySlug(row.slug),
        row.name,
        StudyState(row.state),
        policy,
        row.created_at,
        is_erased=row.erasure_id is not None,
    )


def study_values(new: Study) -> dict[str, Any]:
    """Return the columns of a study."""
    policy = new.policy
    types = None if policy.record_types is None else sorted(policy.record_types)
    return {
        "slug": new.slug,
        "name": new.name,
        "state": new.state.value,
        "enrolment": policy.enrolment.value,
        "consent_required": policy.consent_required,
        "retention_days": policy.retention_days,
        "record_types": types,
        "erasure_hold_seconds": policy.erasure_hold_seconds,
        "uploads_rate": policy.uploads_rate,
        "max_file_bytes": policy.max_file_bytes,
        "bytes_per_day": policy.bytes_per_day,
        "created_at": new.created_at,
    }


def subject(row: Row[Any]) -> Subject:
    """Convert a complete row of `subject`."""
    return _subject({name: getattr(row, name) for name in _SUBJECT})


def joined_subject(row: Row[Any]) -> Subject | None:
    """Convert a row with the columns of `subject`, prefixed `subject_`; None: all are NULL."""
    if row.subject_id is None:
        return None
    return _subject({name: getattr(row, f"subject_{name}") for name in _SUBJECT})


_SUBJECT = (
    "id",
    "study",
    "pseudonym",
    "state",
    "consent_version",
    "consent_given_at",
    "consent_withdrawn_at",
    "enrolled_at",
    "changed_at",
)


def _subject(values: dict[str, Any]) -> Subject:
    version = values["consent_version"]
    given_at = values["consent_given_at"]
    withdrawn_at = values["consent_withdrawn_at"]
    return Subject(
        id=SubjectId(values["id"]),
        study=StudySlug(values["study"]),
        pseudonym=Pseudonym(values["pseudonym"]),
        state=SubjectState(values["state"]),
        consent=None if version is None else Consent(version, given_at, withdrawn_at),
        enrolled_at=values["enrolled_at"],
        changed_at=values["changed_at"],
    )


def subject_values(new: Subject) -> dict[str, Any]:
    """Return the columns of a subject."""
    consent = new.consent
    return {
        "study": new.study,
        "pseudonym": new.pseudonym,
        "id": new.id,
        "state": new.state.value,
        "consent_version": None if consent is None else consent.version,
        "consent_given_at": None if consent is None else consent.given_at,
        "consent_withdrawn_at": None if consent is None else consent.withdrawn_at,
        "enrolled_at": new.enrolled_at,
        "changed_at": new.changed_at,
    }
