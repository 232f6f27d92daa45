"""
The decisions of studies, as pure functions.

They decide who may act, whether an upload is admitted, and how a subject changes.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from healthingest_service.studies.errors import (
    ConsentMissingError,
    ConsentOutdatedError,
    DefaultStudyError,
    RecordTypeNotPermittedError,
    RetentionBelowLockError,
    RoleMissingError,
    StudyClosedError,
    StudyErasedError,
    StudyError,
    StudyExistsError,
    StudyNotFoundError,
    SubjectErasedError,
    SubjectMissingError,
    SubjectNotEnrolledError,
    SubjectNotFoundError,
    SubjectWithdrawnError,
)
from healthingest_service.studies.model import (
    DEFAULT_STUDY,
    Consent,
    Enrolment,
    Intake,
    IntakeFacts,
    Policy,
    Pseudonym,
    Role,
    Standing,
    Study,
    StudyAccess,
    StudyChange,
    StudySlug,
    StudyState,
    Subject,
    SubjectId,
    SubjectState,
)


def require_role(
    access: StudyAccess | None, roles: Collection[Role], *, admin: bool = False
) -> StudyAccess:
    """
    Return *access* if it has one of *roles*; *admin* admits an administrator, too.

    Raises:
        StudyNotFoundError: the study does not exist, or the caller has no role in it.
        RoleMissingError: the caller has another role only.
    """
    if access is None or access.standing == Standing():
        raise StudyNotFoundError
    if access.standing.roles.isdisjoint(roles) and not (admin and access.standing.is_admin):
        raise RoleMissingError
    return access


def require_no_default(study: StudySlug) -> None:
    """
    Refuse the study `default`.

    Raises:
        DefaultStudyError: *study* is `default`.
    """
    if study == DEFAULT_STUDY:
        raise DefaultStudyError


def require_retention(retention_days: object, *, lock_days: int) -> None:
    """
    Refuse a retention that the object store does not permit; 0 *lock_days* permit each one.

    None means that the policy has no retention, or that a change leaves it as it is.

    Raises:
        RetentionBelowLockError: files would be due before the end of their lock.
    """
    if isinstance(retention_days, int) and retention_days < lock_days:
        raise RetentionBelowLockError(lock_days)


def admit_upload(facts: IntakeFacts, pseudonym: Pseudonym | None) -> Intake:
    """
    Decide whether an upload about *pseudonym* is admitted into a study other than `default`.

    Raises:
        StudyNotFoundError, RoleMissingError: the caller is no uploader of the study.
        StudyClosedError, StudyErasedError: the study is closed.
        SubjectMissingError: *pseudonym* is None.
        SubjectNotEnrolledError, ConsentMissingError, SubjectWithdrawnError, SubjectErasedError: the
            subject's data is not accepted.
    """
    access = None if facts.study is None else StudyAccess(facts.study, facts.standing)
    study = require_role(access, {Role.UPLOADER}).study
    if study.is_erased:
        raise StudyErasedError
    if study.state is StudyState.CLOSED:
        raise StudyClosedError
    if pseudonym is None:
        raise SubjectMissingError
    _admit_subject(study.policy, facts.subject)
    return Intake(study.slug, pseudonym, facts.subject, study.policy)


def _admit_subject(policy: Policy, subject: Subject | None) -> None:
    if subject is None and policy.enrolment is Enrolment.LISTED:
        raise SubjectNotEnrolledError
    refusal = None if subject is None else refusal_of(subject.state)
    if refusal is not None:
        raise refusal
    consent = None if subject is None else subject.consent
    has_consent = consent is not None and consent.withdrawn_at is None
    if policy.consent_required and not has_consent:
        raise ConsentMissingError


def admit_enrolment(study: Study, subject: Subject | None, pseudonym: Pseudonym | None) -> None:
    """
    Decide whether a device may be enrolled for *study*, and for the subject *pseudonym* if given.

    Its consent is not asked for yet: each upload is checked again.

    Raises:
        DefaultStudyError: the study `default` has no subjects to enrol devices for.
        StudyClosedError: the study is closed.
        SubjectNotEnrolledError, SubjectWithdrawnError, SubjectErasedError: the subject's data would
            be refused.
    """
    require_no_default(study.slug)
    if study.state is StudyState.CLOSED:
        raise StudyClosedError
    if pseudonym is None or (subject is None and study.policy.enrolment is Enrolment.OPEN):
        return
    refusal = refusal_of(None if subject is None else subject.state)
    if refusal is not None:
        raise refusal


def refusal_of(state: SubjectState | None) -> StudyError | None:
    """Return why data about a subject in *state* is refused; None: it is accepted."""
    match state:
        case SubjectState.ACTIVE:
            return None
        case SubjectState.WITHDRAWN:
            return SubjectWithdrawnError()
        case SubjectState.ERASING | SubjectState.ERASED:
            return SubjectErasedError()
        case None:
            return SubjectNotEnrolledError()


def admit_record_type(policy: Policy, record_type: str) -> None:
    """
    Admit a validated file into a study with *policy*.

    Raises:
        RecordTypeNotPermittedError: the policy does not list *record_type*.
    """
    if policy.record_types is not None and record_type not in policy.record_types:
        raise RecordTypeNotPermittedError


def created(new: Study, existing: Study | None) -> Study:
    """
    Return the study that a repeatable creation of *new* leaves.

    Raises:
        StudyExistsError: *existing* has another name or policy.
    """
    if existing is None:
        return new
    if (existing.name, existing.policy) != (new.name, new.policy):
        raise StudyExistsError
    return existing


def changed(study: Study, change: StudyChange) -> Study:
    """
    Return *study* with the values of *change*.

    Raises:
        StudyErasedError: an erased study cannot be changed.
    """
    if study.is_erased:
        raise StudyErasedError
    return replace(
        study,
        name=study.name if change.name is None else change.name,
        state=study.state if change.state is None else change.state,
        # mypy: the edge has parsed the values
        policy=replace(study.policy, **change.policy),  # type: ignore[arg-type]
    )


def enrolled(new: Subject, existing: Subject | None) -> Subject:
    """
    Return the subject after it was enrolled as *new*. Repeating changes nothing.

    An active subject without consent gets that of *new*. An erased subject is enrolled anew, with a
    new id, if *new* has a consent that was given after the erasure.

    Raises:
        SubjectWithdrawnError: the subject has withdrawn; a new consent makes it active.
        SubjectErasedError: its data is being erased, or *new* has no consent.
        ConsentOutdatedError: the consent was given before the erasure.
    """
    if existing is None:
        return new
    if existing.state is SubjectState.ERASED and new.consent is not None:
        _require_later(new.consent, existing.changed_at)
        return new
    refusal = refusal_of(existing.state)
    if refusal is not None:
        raise refusal
    if new.consent is None:
        return existing
    return consented(existing, new.consent, at=new.changed_at)


def consented(subject: Subject | None, consent: Consent, *, at: datetime) -> Subject:
    """
    Return the subject with *consent*; a withdrawn subject becomes active again.

    A consent that is older than the present one changes nothing, so a delayed repetition is safe.

    Raises:
        SubjectNotFoundError: the subject is not enrolled.
        SubjectErasedError: its data was erased, or is being erased.
        ConsentOutdatedError: the consent was given before the subject withdrew.
    """
    if subject is None:
        raise SubjectNotFoundError
    if subject.state in {SubjectState.ERASING, SubjectState.ERASED}:
        raise SubjectErasedError
    if subject.state is SubjectState.WITHDRAWN:
        _require_later(consent, subject.changed_at)
        return replace(subject, state=SubjectState.ACTIVE, consent=consent, changed_at=at)
    if subject.consent is not None and subject.consent.given_at >= consent.given_at:
        return subject
    return replace(subject, consent=consent)


def withdrawn(subject: Subject | None, *, at: datetime) -> Subject:
    """
    Return the subject after its withdrawal. Repeating changes nothing.

    Raises:
        SubjectNotFoundError: the subject is not enrolled.
        SubjectErasedError: its data was erased, or is being erased.
    """
    if subject is None:
        raise SubjectNotFoundError
    if subject.state in {SubjectState.ERASING, SubjectState.ERASED}:
        raise SubjectErasedError
    if subject.state is SubjectState.WITHDRAWN:
        return subject
    consent = None if subject.consent is None else replace(subject.consent, withdrawn_at=at)
    return replace(subject, state=SubjectState.WITHDRAWN, consent=consent, changed_at=at)


def new_subject(
    study: StudySlug,
    pseudonym: Pseudonym,
    *,
    subject_id: SubjectId,
    consent: Consent | None,
    at: datetime,
) -> Subject:
    """Return an active subject that is enrolled at *at*."""
    return Subject(subject_id, study, pseudonym, SubjectState.ACTIVE, consent, at, at)


def _require_later(consent: Consent, at: datetime) -> None:
    if consent.given_at <= at:
        raise ConsentOutdatedError
