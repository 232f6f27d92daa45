"""The words of `healthingest-admin` for enrolment codes and the device tokens of a study."""

import argparse
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from healthingest_service.identity.errors import DeviceTokenNotFoundError, TooManyCodesError
from healthingest_service.main import token_commands
from healthingest_service.main.study_cli import pseudonym_argument, slug_argument
from healthingest_service.settings import Settings
from healthingest_service.studies.errors import (
    StudyClosedError,
    SubjectNotEnrolledError,
)

_NOT_DONE: Final = 1
_MAX_MINUTES: Final = 30 * 24 * 60
TOKEN_MESSAGES: Final[dict[type[BaseException], tuple[str, int]]] = {
    DeviceTokenNotFoundError: ("the study has no such device token", _NOT_DONE),
    TooManyCodesError: ("the study has too many open enrolment codes", _NOT_DONE),
    StudyClosedError: ("the study is closed", _NOT_DONE),
    SubjectNotEnrolledError: ("enrol the subject first", _NOT_DONE),
}
"""Message and exit code for each known error of tokens."""


# ANN401: the type of argparse is private
def add_tokens(commands: Any) -> None:  # noqa: ANN401
    """Add `token …`."""
    tokens = commands.add_parser("token", help="manage the devices of a study").add_subparsers(
        required=True
    )
    enrol = tokens.add_parser("enrol", help="create a code that a device exchanges for its token")
    enrol.add_argument("--subject", type=pseudonym_argument, help="default: each subject")
    enrol.add_argument("--minutes", type=_minutes, default=24 * 60, help="valid for (%(default)d)")
    enrol.set_defaults(command="token enrol", run=_enrol)
    listing = tokens.add_parser("list", help="list the valid device tokens of a study")
    listing.add_argument("--subject", type=pseudonym_argument, help="default: each subject")
    listing.add_argument("--cursor", type=UUID, help="next_cursor of the previous page")
    listing.set_defaults(command="token list", run=_list)
    revoke = tokens.add_parser("revoke", help="revoke a device token of a study")
    revoke.add_argument("--id", type=UUID, required=True)
    revoke.set_defaults(command="token revoke", run=_revoke)
    for one in (enrol, listing, revoke):
        one.add_argument("--study", type=slug_argument, required=True)


def _minutes(text: str) -> int:
    read = int(text)
    if not 0 < read <= _MAX_MINUTES:
        raise ValueError
    return read


async def _enrol(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    return await token_commands.enrol_device(
        settings, options.study, options.subject, minutes=options.minutes
    )


async def _list(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    return await token_commands.list_tokens(
        settings, options.study, options.subject, cursor=options.cursor
    )


async def _revoke(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    return await token_commands.revoke_token(settings, options.study, options.id)
