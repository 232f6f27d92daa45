"""The words of `healthingest-admin` for administrators, studies and subjects."""

import argparse
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final

from healthingest_service.main import study_commands
from healthingest_service.settings import Settings
from healthingest_service.studies.errors import (
    ConsentOutdatedError,
    DefaultStudyError,
    RetentionBelowLockError,
    StudiesUnavailableError,
    StudyErasedError,
    StudyExistsError,
    StudyNotFoundError,
    SubjectErasedError,
    SubjectNotFoundError,
    SubjectWithdrawnError,
)
from healthingest_service.studies.model import (
    PSEUDONYM_PATTERN,
    SLUG_PATTERN,
    Enrolment,
    Role,
    StudyState,
)

Run = Callable[[argparse.Namespace, Settings], Awaitable[Mapping[str, object]]]
_NOT_DONE: Final = 1
_WRONG: Final = 2
_POLICY: Final = (
    "enrolment",
    "consent_required",
    "retention_days",
    "record_types",
    "uploads_rate",
    "max_file_bytes",
    "bytes_per_day",
)
STUDY_MESSAGES: Final[dict[type[BaseException], tuple[str, int]]] = {
    study_commands.InvalidArgumentError: (
        "--{}: out of its range; see the table of policies in docs/reference/api.md",
        _WRONG,
    ),
    StudyExistsError: ("a study with this slug and other values exists", _NOT_DONE),
    RetentionBelowLockError: (
        "--retention-days: {} (spec.objectStore.objectLock); give at least as many, or none",
        _WRONG,
    ),
    StudyNotFoundError: ("there is no such study", _NOT_DONE),
    StudyErasedError: ("the study was erased", _NOT_DONE),
    DefaultStudyError: ("the study default cannot be changed", _WRONG),
    SubjectNotFoundError: ("the study has no such subject", _NOT_DONE),
    SubjectWithdrawnError: (
        "the subject has withdrawn; a manager records its new consent with the API",
        _NOT_DONE,
    ),
    SubjectErasedError: ("the data of the subject was erased", _NOT_DONE),
    ConsentOutdatedError: ("the consent is older than the erasure", _NOT_DONE),
    StudiesUnavailableError: (
        "the database cannot be reached, or its schema is not that of this version",
        _NOT_DONE,
    ),
}
"""Message and exit code for each known error of studies."""


# ANN401: the type of argparse is private
def add_admin(accounts: Any) -> None:  # noqa: ANN401
    """Add `account admin`."""
    admin = accounts.add_parser("admin", help="make an account an administrator")
    admin.add_argument("--email", required=True)
    admin.add_argument("--revoke", action="store_true", help="make it an ordinary account")
    admin.set_defaults(command="account admin", run=_set_admin)


def add_studies(commands: Any) -> None:  # noqa: ANN401
    """Add `study …` and `subject …`."""
    studies = commands.add_parser("study", help="manage studies").add_subparsers(required=True)
    _add_create(studies)
    for word, run, text in (
        ("show", _show_study, "show a study"),
        ("open", _open, "accept uploads"),
        ("close", _close, "accept no more uploads; nothing is removed"),
    ):
        one = studies.add_parser(word, help=text)
        one.add_argument("--study", type=slug_argument, required=True)
        one.set_defaults(command=f"study {word}", run=run)
    member = studies.add_parser("member", help="set the roles of an account in a study")
    member.add_argument("--study", type=slug_argument, required=True)
    member.add_argument("--email", required=True)
    member.add_argument(
        "--roles", nargs="*", choices=[role.value for role in Role], required=True, help="or none"
    )
    member.set_defaults(command="study member", run=_set_member)
    _add_subjects(commands.add_parser("subject", help="manage subjects"))


def _add_create(studies: Any) -> None:  # noqa: ANN401
    create = studies.add_parser("create", help="create a study")
    create.add_argument("--study", type=slug_argument, required=True)
    create.add_argument("--name", required=True)
    create.add_argument("--enrolment", choices=[one.value for one in Enrolment])
    create.add_argument("--consent-required", action="store_true", default=None)
    create.add_argument("--retention-days", type=int)
    create.add_argument("--record-types", nargs="+")
    create.add_argument("--uploads-rate", help="of an account, such as 10/minute")
    create.add_argument("--max-file-bytes", type=int)
    create.add_argument("--bytes-per-day", type=int, help="of an account, in 24 hours")
    create.set_defaults(command="study create", run=_create)


def _add_subjects(parser: argparse.ArgumentParser) -> None:
    subjects = parser.add_subparsers(required=True)
    for word, run, text in (
        ("show", _show_subject, "show a subject and its consent"),
        ("enrol", _enrol, "enrol a subject"),
        ("withdraw", _withdraw, "refuse uploads about a subject from now on"),
    ):
        one = subjects.add_parser(word, help=text)
        add_study_option(one)
        add_subject_option(one)
        one.set_defaults(command=f"subject {word}", run=run, fail=one.error)
        if word == "enrol":
            one.add_argument("--consent-version")
            one.add_argument("--consent-given-at", type=_time, help="RFC 3339 with time zone")


def add_study_option(parser: argparse.ArgumentParser) -> None:
    """Add `--study`."""
    parser.add_argument("--study", type=slug_argument, required=True)


def add_subject_option(parser: argparse.ArgumentParser) -> None:
    """Add `--subject`."""
    parser.add_argument("--subject", type=pseudonym_argument, required=True)


def slug_argument(text: str) -> str:
    """Return the slug of an argument; raises `ArgumentTypeError`."""
    return _matching(SLUG_PATTERN, text)


def pseudonym_argument(text: str) -> str:
    """Return the pseudonym of an argument; raises `ArgumentTypeError`."""
    return _matching(PSEUDONYM_PATTERN, text)


def _matching(pattern: str, text: str) -> str:
    if re.fullmatch(pattern, text) is None:
        message = f"must match {pattern}"
        raise argparse.ArgumentTypeError(message)
    return text


def _time(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    if read.tzinfo is None:
        raise ValueError
    return read


async def _set_admin(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    return await study_commands.set_admin(settings, options.email, is_admin=not options.revoke)


async def _create(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    given = {name: getattr(options, name) for name in _POLICY}
    policy = {name: value for name, value in given.items() if value is not None}
    return await study_commands.create_study(settings, options.study, options.name, policy)


async def _show_study(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    return await study_commands.show_study(settings, options.study)


async def _open(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    return await study_commands.set_state(settings, options.study, StudyState.OPEN)


async def _close(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    return await study_commands.set_state(settings, options.study, StudyState.CLOSED)


async def _set_member(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    roles = frozenset(map(Role, options.roles))
    return await study_commands.set_member(settings, options.study, options.email, roles)


async def _show_subject(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    return await study_commands.show_subject(settings, options.study, options.subject)


async def _enrol(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    given = (options.consent_version, options.consent_given_at)
    if (given[0] is None) != (given[1] is None):
        options.fail("give both --consent-version and --consent-given-at, or none")
    consent = None if given[0] is None else given
    return await study_commands.enrol_subject(settings, options.study, options.subject, consent)


async def _withdraw(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    return await study_commands.withdraw_subject(settings, options.study, options.subject)
