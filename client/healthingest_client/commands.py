"""The commands of `healthingest` that talk to the service."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from healthingest_client.arguments import PASSWORD_VARIABLE, TOKEN_VARIABLE
from healthingest_client.async_client import AsyncClient
from healthingest_client.errors import ArgumentsError
from healthingest_client.file_upload import About
from healthingest_client.folder_upload import FolderUpload, find_files
from healthingest_client.upload_display import Pauses, UploadDisplay
from healthingest_client.upload_journal import Destination

DONE: Final = 0
_LOST: Final = 1


@dataclass(frozen=True)
class Command:
    """A command with its client and its output. *pauses* is what the client waits with."""

    client: AsyncClient
    options: argparse.Namespace
    pauses: Pauses
    out: TextIO
    errors: TextIO

    def print(self, document: Mapping[str, Any]) -> None:
        """Print a document as a JSON object in a line."""
        self.out.write(json.dumps(document, sort_keys=True) + "\n")
        self.out.flush()

    def tell(self, text: str) -> None:
        """Print a line for people."""
        self.errors.write(f"{text}\n")
        self.errors.flush()

    async def print_all(
        self, documents: AsyncGenerator[Any, None], limit: int | None = None
    ) -> int:
        """Print documents, at most *limit*; returns the exit code."""
        count = 0
        async with aclosing(documents):
            async for document in documents:
                self.print(document)
                count += 1
                if count == limit:
                    break
        return DONE

    def confirm(self, what: str) -> None:
        """
        Ask whether something shall be erased.

        Raises:
            ArgumentsError: it shall not, or nobody can be asked.
        """
        if self.options.yes:
            return
        if sys.stdin.isatty():
            self.errors.write(f"{what} will be erased for ever. Continue? [y/N] ")
            self.errors.flush()
            if sys.stdin.readline().strip().lower() == "y":
                return
        message = "nothing was erased; confirm with --yes"
        raise ArgumentsError(message)


async def _register(command: Command) -> int:
    options = command.options
    account = await command.client.register(
        options.email, _password(), options.first_name, options.last_name
    )
    command.print(account)
    return DONE


async def _login(command: Command) -> int:
    options = command.options
    if options.device_code:
        await command.client.login_with_device_code(
            lambda code: command.tell(code.instruction),
            issuer=options.issuer,
            client_id=options.client_id,
            scope=options.scope,
        )
    elif options.token:
        await command.client.login_with_token(_token())
    elif options.email is None:
        message = "name your e-mail address, or use --device-code or --token"
        raise ArgumentsError(message)
    else:
        await command.client.login(options.email, _password())
    return DONE


async def _enrol(command: Command) -> int:
    command.print(await command.client.enrol(command.options.code, name=command.options.name))
    return DONE


async def _logout(command: Command) -> int:
    await command.client.logout()
    return DONE


async def _upload(command: Command) -> int:
    options = command.options
    with ExitStack() as stack:
        found = find_files(
            options.paths, pattern=options.pattern, journal=options.journal, stack=stack
        )
        files = list(found)
        display = stack.enter_context(
            UploadDisplay(files, as_json=options.json, out=command.out, errors=command.errors)
        )
        command.pauses.show = display.show_wait
        uploading = FolderUpload(
            command.client,
            Destination(command.client.server, About(options.study, options.subject)),
            show=display.show,
            advance=display.advance,
        )
        await uploading.run(files, at_once=options.parallel)
    return display.exit_code


async def _status(command: Command) -> int:
    for upload_id in command.options.ids:
        command.print(await command.client.get_upload(upload_id))
    return DONE


async def _list(command: Command) -> int:
    options = command.options
    common = {"record_type": options.record_type}
    if options.study is None:
        if options.subject is not None or options.day is not None:
            message = "--subject and --day need --study"
            raise ArgumentsError(message)
        uploads = command.client.uploads(state=options.state, **common)
    elif options.state is not None:
        message = "--state and --study cannot be combined"
        raise ArgumentsError(message)
    else:
        day = None if options.day is None else options.day.isoformat()
        uploads = command.client.study_uploads(
            options.study, subject=options.subject, day=day, **common
        )
    return await command.print_all(uploads, options.limit)


async def _watch(command: Command) -> int:
    code = DONE
    for upload_id in command.options.ids:
        states = command.client.watch(upload_id, timeout_seconds=command.options.timeout)
        async with aclosing(states):
            async for upload in states:
                command.print(upload)
                code = _LOST if upload["state"] == "lost" else code
    return code


async def _download(command: Command) -> int:
    options = command.options
    if len(options.ids) > 1:
        _require_folder(options.output)
    for upload_id in options.ids:
        path = await command.client.download(upload_id, options.output)
        command.print({"file": str(path), "upload_id": upload_id})
    return DONE


def _require_folder(path: Path) -> None:
    if not path.is_dir():
        message = f"{path}: choose a folder that exists, for several uploads"
        raise ArgumentsError(message)


async def _erase(command: Command) -> int:
    ids = command.options.ids
    command.confirm(f"The files of {len(ids)} uploads")
    for upload_id in ids:
        command.print(await command.client.erase_upload(upload_id))
    return DONE


async def _list_tokens(command: Command) -> int:
    for token in await command.client.list_tokens():
        command.print(token)
    return DONE


async def _create_token(command: Command) -> int:
    options = command.options
    token = await command.client.create_token(
        options.name,
        scopes=options.scope or ("upload:write",),
        expires_in_days=None if options.never_expires else options.days,
        study=options.study,
        subject=options.subject,
    )
    command.print(token)
    command.tell("the text of the token is shown only once")
    return DONE


async def _revoke_tokens(command: Command) -> int:
    for token_id in command.options.ids:
        await command.client.revoke_token(token_id)
    return DONE


async def _list_studies(command: Command) -> int:
    return await command.print_all(command.client.studies())


async def _show_study(command: Command) -> int:
    command.print(await command.client.get_study(command.options.study))
    return DONE


async def _list_members(command: Command) -> int:
    return await command.print_all(command.client.members(command.options.study))


async def _list_subjects(command: Command) -> int:
    return await command.print_all(command.client.subjects(command.options.study))


async def _list_study_tokens(command: Command) -> int:
    return await command.print_all(command.client.study_tokens(command.options.study))


async def _show_subject(command: Command) -> int:
    options = command.options
    command.print(await command.client.get_subject(options.study, options.subject))
    return DONE


async def _enrol_subject(command: Command) -> int:
    options = command.options
    command.print(await command.client.enrol_subject(options.study, options.subject))
    return DONE


async def _withdraw_subject(command: Command) -> int:
    options = command.options
    command.print(await command.client.withdraw_subject(options.study, options.subject))
    return DONE


async def _give_consent(command: Command) -> int:
    options = command.options
    subject = await command.client.give_consent(
        options.study, options.subject, version=options.version, given_at=options.given_at
    )
    command.print(subject)
    return DONE


def _row_filters(options: argparse.Namespace) -> dict[str, Any]:
    names = ("first_day", "last_day", "subject", "record_type")
    return {name: getattr(options, name) for name in names}


async def _coverage(command: Command) -> int:
    options = command.options
    return await command.print_all(command.client.coverage(options.study, **_row_filters(options)))


async def _gaps(command: Command) -> int:
    options = command.options
    return await command.print_all(command.client.gaps(options.study, **_row_filters(options)))


async def _create_enrolment(command: Command) -> int:
    options = command.options
    enrolment = await command.client.create_enrolment(
        options.study, subject=options.subject, valid_minutes=options.minutes
    )
    command.print(enrolment)
    return DONE


async def _revoke_study_token(command: Command) -> int:
    options = command.options
    await command.client.revoke_study_token(options.study, options.token)
    return DONE


async def _erase_study(command: Command) -> int:
    options = command.options
    if options.subject is None:
        command.confirm(f"All data of the study {options.study}")
        command.print(await command.client.erase_study(options.study))
    else:
        command.confirm(f"All data of {options.subject} in the study {options.study}")
        command.print(await command.client.erase_subject(options.study, options.subject))
    return DONE


async def _show_erasure(command: Command) -> int:
    command.print(await command.client.get_erasure(command.options.erasure))
    return DONE


COMMANDS: Final[Mapping[str, Callable[[Command], Awaitable[int]]]] = {
    "register": _register,
    "login": _login,
    "enrol": _enrol,
    "logout": _logout,
    "upload": _upload,
    "status": _status,
    "list": _list,
    "watch": _watch,
    "download": _download,
    "erase": _erase,
    "tokens list": _list_tokens,
    "tokens create": _create_token,
    "tokens revoke": _revoke_tokens,
    "study list": _list_studies,
    "study show": _show_study,
    "study members": _list_members,
    "study subjects": _list_subjects,
    "study tokens": _list_study_tokens,
    "study subject": _show_subject,
    "study enrol": _enrol_subject,
    "study withdraw": _withdraw_subject,
    "study consent": _give_consent,
    "study coverage": _coverage,
    "study gaps": _gaps,
    "study code": _create_enrolment,
    "study revoke-token": _revoke_study_token,
    "study erase": _erase_study,
    "study erasure": _show_erasure,
}
"""Each command that needs a server, by its name; it returns the exit code."""


# Secrets are no arguments, because every user of the machine can read arguments of processes.


def _password() -> str:
    return os.environ.get(PASSWORD_VARIABLE) or getpass.getpass()


def _token() -> str:
    given = os.environ.get(TOKEN_VARIABLE)
    if not given:
        given = getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not given.strip():
        message = f"there is no token in ${TOKEN_VARIABLE} or on standard input"
        raise ArgumentsError(message)
    return given.strip()
