"""Who may act in a study, which uploads are admitted, and how subjects change."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest

from healthingest_service.studies import decisions
from healthingest_service.studies.errors import (
    ConsentMissingError,
    ConsentOutdatedError,
    DefaultStudyError,
    RecordTypeNotPermittedError,
    RetentionBelowLockError,
    RoleMissingError,
    StudyClosedError,
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
    IntakeFacts,
    Policy,
    Pseudonym,
    Role,
    Standing,
    Study,
    StudyAccess,
    StudyChange,
    StudyState,
    Subject,
    SubjectState,
    pseudonym_warnings,
)
from support.studies import CONSENT, SLUG, SUBJECT, study, subject
from support.uploads import NOON

LATER = NOON + timedelta(days=1)
UPLOADER = Standing(frozenset({Role.UPLOADER}))
MANAGER = Standing(frozenset({Role.MANAGER}))
ADMIN = Standing(is_admin=True)
LISTED = study(enrolment=Enrolment.LISTED)
CONSENTED = study(consent_required=True)
WITHDRAWN = decisions.withdrawn(subject(consent=CONSENT), at=LATER)
ERASED = replace(subject(), state=SubjectState.ERASED, changed_at=LATER)


def facts(
    of: Study | None, standing: Standing = UPLOADER, about: Subject | None = None
) -> IntakeFacts:
    """Return the facts of an upload."""
    return IntakeFacts(of, standing, about)


@pytest.mark.parametrize(
    ("known", "error"),
    [
        (facts(None), StudyNotFoundError),
        (facts(study(), Standing()), StudyNotFoundError),
        (facts(study(), MANAGER), RoleMissingError),
        (facts(study(), ADMIN), RoleMissingError),
        (facts(study(state=StudyState.CLOSED)), StudyClosedError),
        (facts(LISTED), SubjectNotEnrolledError),
        (facts(CONSENTED), ConsentMissingError),
        (facts(CONSENTED, about=subject()), ConsentMissingError),
        (
            facts(CONSENTED, about=subject(consent=replace(CONSENT, withdrawn_at=NOON))),
            ConsentMissingError,
        ),
        (facts(study(), about=WITHDRAWN), SubjectWithdrawnError),
        (facts(CONSENTED, about=WITHDRAWN), SubjectWithdrawnError),
        (facts(study(), about=replace(ERASED, state=SubjectState.ERASING)), SubjectErasedError),
        (facts(study(), about=ERASED), SubjectErasedError),
    ],
)
def test_an_upload_is_refused(known: IntakeFacts, error: type[StudyError]) -> None:
    """The first reason is given, in the order study, role, state, subject, consent."""
    with pytest.raises(error):
        decisions.admit_upload(known, SUBJECT)


@pytest.mark.parametrize(
    "known",
    [
        facts(study()),
        facts(study(), about=subject()),
        facts(LISTED, about=subject()),
        facts(CONSENTED, about=subject(consent=CONSENT)),
        facts(study(), Standing(frozenset(Role), is_admin=True)),
    ],
)
def test_an_upload_is_admitted(known: IntakeFacts) -> None:
    """With the subject if it is enrolled, else without."""
    intake = decisions.admit_upload(known, SUBJECT)
    assert (intake.study, intake.pseudonym) == (SLUG, SUBJECT)
    assert intake.subject == known.subject


def test_an_upload_into_a_study_names_its_subject() -> None:
    """Only the study `default` knows the subject without a name."""
    with pytest.raises(SubjectMissingError):
        decisions.admit_upload(facts(study()), None)


def test_a_policy_lists_record_types() -> None:
    """Without a list every type is permitted."""
    policy = Policy(record_types=frozenset({"HeartRateRecord"}))
    decisions.admit_record_type(policy, "HeartRateRecord")
    decisions.admit_record_type(Policy(), "SleepRecord")
    with pytest.raises(RecordTypeNotPermittedError):
        decisions.admit_record_type(policy, "SleepRecord")


def test_a_study_without_a_role_answers_like_an_unknown_one() -> None:
    """A caller with another role is told so, an administrator passes where it is allowed."""
    for none in (None, StudyAccess(study(), Standing())):
        with pytest.raises(StudyNotFoundError):
            decisions.require_role(none, {Role.MANAGER}, admin=True)
    with pytest.raises(RoleMissingError):
        decisions.require_role(StudyAccess(study(), UPLOADER), {Role.MANAGER}, admin=True)
    with pytest.raises(RoleMissingError):
        decisions.require_role(StudyAccess(study(), ADMIN), {Role.MANAGER})
    access = StudyAccess(study(), ADMIN)
    assert decisions.require_role(access, {Role.MANAGER}, admin=True) is access


def test_the_default_study_cannot_be_changed() -> None:
    """Other studies can."""
    decisions.require_no_default(SLUG)
    with pytest.raises(DefaultStudyError):
        decisions.require_no_default(DEFAULT_STUDY)


def test_creating_a_study_can_be_repeated() -> None:
    """An existing one is kept, also in another state; another policy is a conflict."""
    closed = study(state=StudyState.CLOSED)
    assert decisions.created(study(), None) == study()
    assert decisions.created(study(), closed) == closed
    with pytest.raises(StudyExistsError):
        decisions.created(study(retention_days=1), closed)


def test_a_change_keeps_other_values() -> None:
    """Name and state stay unless given, and so do the other values of the policy."""
    before = study(retention_days=30)
    after = decisions.changed(before, StudyChange(policy={"consent_required": True}))
    assert after == study(retention_days=30, consent_required=True)
    after = decisions.changed(before, StudyChange(name="New", state=StudyState.CLOSED))
    assert after == study(retention_days=30, name="New", state=StudyState.CLOSED)


def test_enrolling_can_be_repeated() -> None:
    """The second time changes nothing, and adds a consent if there was none."""
    first = subject()
    assert decisions.enrolled(first, None) == first
    assert decisions.enrolled(subject(), first) == first
    assert decisions.enrolled(subject(consent=CONSENT), first) == replace(first, consent=CONSENT)


def test_enrolling_does_not_undo_a_withdrawal_or_an_erasure() -> None:
    """An erased subject is enrolled anew only with a consent that is newer than the erasure."""
    with pytest.raises(SubjectWithdrawnError):
        decisions.enrolled(subject(consent=Consent("v2", LATER)), WITHDRAWN)
    with pytest.raises(SubjectErasedError):
        decisions.enrolled(subject(), ERASED)
    with pytest.raises(SubjectErasedError):
        decisions.enrolled(
            subject(consent=Consent("v2", LATER + timedelta(1))),
            replace(ERASED, state=SubjectState.ERASING),
        )
    with pytest.raises(ConsentOutdatedError):
        decisions.enrolled(subject(consent=CONSENT), ERASED)
    anew = subject(consent=Consent("v2", LATER + timedelta(seconds=1)))
    assert decisions.enrolled(anew, ERASED) == anew


def test_a_withdrawal_ends_consent_and_can_be_repeated() -> None:
    """The first time counts."""
    assert WITHDRAWN.state is SubjectState.WITHDRAWN
    assert WITHDRAWN.consent == replace(CONSENT, withdrawn_at=LATER)
    assert decisions.withdrawn(WITHDRAWN, at=LATER + timedelta(1)) == WITHDRAWN
    with pytest.raises(SubjectNotFoundError):
        decisions.withdrawn(None, at=NOON)
    with pytest.raises(SubjectErasedError):
        decisions.withdrawn(ERASED, at=NOON)


def test_a_newer_consent_makes_a_withdrawn_subject_active() -> None:
    """The repetition of the consent before the withdrawal does not."""
    with pytest.raises(ConsentOutdatedError):
        decisions.consented(WITHDRAWN, CONSENT, at=LATER + timedelta(1))
    newer = Consent("v2", LATER + timedelta(seconds=1))
    back = decisions.consented(WITHDRAWN, newer, at=LATER + timedelta(1))
    assert (back.state, back.consent) == (SubjectState.ACTIVE, newer)


def test_an_older_consent_changes_nothing() -> None:
    """So a delayed repetition is safe; a newer one replaces it."""
    newer = Consent("v2", LATER)
    holding = subject(consent=newer)
    assert decisions.consented(holding, CONSENT, at=NOON) == holding
    assert decisions.consented(subject(consent=CONSENT), newer, at=LATER).consent == newer
    with pytest.raises(SubjectNotFoundError):
        decisions.consented(None, newer, at=NOON)
    with pytest.raises(SubjectErasedError):
        decisions.consented(ERASED, newer, at=NOON)


@pytest.mark.parametrize(
    ("pseudonym", "codes"),
    [
        ("P-0001", ()),
        ("2026-11-24.1", ()),
        ("8d1f0a", ()),
        ("0170-1234567", ("looks-like-a-phone-number",)),
        ("004917012345678", ("looks-like-a-phone-number",)),
        ("ada.lovelace_clinic.org", ("looks-like-an-email-address",)),
        ("ada-clinic.DE", ("looks-like-an-email-address",)),
    ],
)
def test_an_identifying_pseudonym_is_noticed(pseudonym: str, codes: tuple[str, ...]) -> None:
    """Telephone numbers and e-mail addresses, as far as the characters of a pseudonym allow."""
    assert pseudonym_warnings(Pseudonym(pseudonym)) == codes


@pytest.mark.parametrize(
    ("retention_days", "lock_days", "is_refused"),
    [(29, 30, True), (30, 30, False), (None, 30, False), (1, 0, False)],
)
def test_a_retention_lasts_as_long_as_the_lock(
    retention_days: int | None, lock_days: int, *, is_refused: bool
) -> None:
    """No retention, and no lock, contradict nothing."""
    with pytest.raises(RetentionBelowLockError) if is_refused else nullcontext():
        decisions.require_retention(retention_days, lock_days=lock_days)
