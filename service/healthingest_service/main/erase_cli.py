"""The words of `healthingest-admin` for erasures."""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from healthingest_service.erasure.errors import ErasureNotFoundError, InvalidCertificateError
from healthingest_service.main import erase_commands, study_cli
from healthingest_service.settings import Settings
from healthingest_service.uploads.errors import UploadNotFoundError

_NOT_DONE: Final = 1
_MAX_CHARACTERS: Final = 65_536
ERASE_MESSAGES: Final[dict[type[BaseException], tuple[str, int]]] = {
    ErasureNotFoundError: ("there is no such erasure", _NOT_DONE),
    UploadNotFoundError: ("there is no such upload", _NOT_DONE),
    InvalidCertificateError: (
        "the certificate is not one of this installation, or was changed",
        _NOT_DONE,
    ),
}
"""Message and exit code for each known error of erasures."""


# ANN401: the type of argparse is private
def add_erasures(commands: Any) -> None:  # noqa: ANN401
    """Add `erase` and `erasure-key`."""
    erase = commands.add_parser("erase", help="erase data for ever").add_subparsers(required=True)
    subject = _command(erase, "subject", _subject, "erase all data of a subject")
    study_cli.add_study_option(subject)
    study_cli.add_subject_option(subject)
    upload = _command(erase, "upload", _upload, "erase an upload")
    upload.add_argument("--id", type=UUID, required=True)
    account = _command(
        erase, "account", _account, "erase the uploads of an account in the study default"
    )
    account.add_argument("--id", type=UUID, required=True)
    study = _command(erase, "study", _study, "close a study for ever, and erase all its data")
    study_cli.add_study_option(study)
    status = _command(erase, "status", _status, "show an erasure and its certificate")
    status.add_argument(
        "--id",
        type=UUID,
        help=f"without it, the {erase_commands.MOST_LISTED} oldest that are not done are shown",
    )
    verify = _command(erase, "verify", _verify, "verify a certificate, and show its content")
    verify.add_argument("file", type=Path, help="file with the certificate, or - for the input")
    key = commands.add_parser("erasure-key", help="manage the erasure key")
    words = key.add_subparsers(required=True)
    _command(words, "export", _export, "print the erasure key, for a second copy", "erasure-key")


def _command(
    commands: Any,  # noqa: ANN401 - the type of argparse is private
    word: str,
    run: study_cli.Run,
    text: str,
    group: str = "erase",
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(word, help=text)
    parser.set_defaults(command=f"{group} {word}", run=run)
    return parser


async def _subject(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    return await erase_commands.erase_subject(settings, options.study, options.subject)


async def _upload(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    return await erase_commands.erase_upload(settings, options.id)


async def _account(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    return await erase_commands.erase_account(settings, options.id)


async def _study(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    return await erase_commands.erase_study(settings, options.study)


async def _status(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    if options.id is None:
        return await erase_commands.list_open_erasures(settings)
    return await erase_commands.show_erasure(settings, options.id)


async def _verify(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    try:
        text = await asyncio.to_thread(_read, options.file)
    except (OSError, UnicodeDecodeError):
        raise InvalidCertificateError from None
    return await erase_commands.verify_certificate(settings, text)


def _read(path: Path) -> str:
    if str(path) == "-":
        return sys.stdin.read(_MAX_CHARACTERS)
    with path.open(encoding="utf-8") as file:
        return file.read(_MAX_CHARACTERS)


async def _export(_options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    return await erase_commands.export_key(settings)
