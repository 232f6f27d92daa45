"""
The errors of studies.

`api/problems.py` maps them to HTTP status and problem code. No error contains a pseudonym or
another value of a request.
"""


class StudyError(Exception):
    """The base class of all errors of studies."""


class StudyNotFoundError(StudyError):
    """The study does not exist, or the caller has no role in it; the error does not say which."""


class StudyExistsError(StudyError):
    """A study with this slug and another name or policy exists."""


class StudyClosedError(StudyError):
    """The study is closed, and accepts no uploads."""


class StudyErasedError(StudyError):
    """The study was erased, or is being erased; it accepts nothing any more."""


class DefaultStudyError(StudyError):
    """The study `default` has no members, subjects or policy of its own."""


class RoleMissingError(StudyError):
    """The caller has a role in the study, but not one that this action needs."""


class AdminRequiredError(StudyError):
    """Only an administrator of the installation may do this."""


class AccountNotFoundError(StudyError):
    """The account does not exist."""


class SubjectNotFoundError(StudyError):
    """The study has no such subject."""


class SubjectMissingError(StudyError):
    """The upload names a study, but no subject."""


class SubjectNotEnrolledError(StudyError):
    """The subject is unknown, and an upload does not enrol it."""


class ConsentMissingError(StudyError):
    """The study needs a consent that the subject has not given."""


class ConsentOutdatedError(StudyError):
    """The consent was given before the subject withdrew or was erased."""


class SubjectWithdrawnError(StudyError):
    """The subject has withdrawn from the study."""


class SubjectErasedError(StudyError):
    """The data of the subject was erased, or is being erased."""


class RecordTypeNotPermittedError(StudyError):
    """The study does not accept files of this record type."""


class RetentionBelowLockError(StudyError):
    """A study would keep data for fewer days than the object store locks each file."""

    def __init__(self, lock_days: int) -> None:
        super().__init__(
            f"less than the {lock_days} days for which the object store locks each file"
        )
        self.lock_days = lock_days


class StudiesUnavailableError(StudyError):
    """The database gave no clear answer; repeating later is safe."""
