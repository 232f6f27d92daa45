"""The command line: `docs/reference/cli.md` is written from this parser."""

import argparse
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, TypeAlias

from healthingest_client.folder_upload import AT_ONCE, PATTERN

PROGRAM: Final = "healthingest"
SERVER_VARIABLE: Final = "HEALTHINGEST_URL"
PASSWORD_VARIABLE: Final = "HEALTHINGEST_PASSWORD"  # noqa: S105 - a variable's name
TOKEN_VARIABLE: Final = "HEALTHINGEST_TOKEN"  # noqa: S105 - a variable's name
_DEFAULT_SERVER: Final = "http://127.0.0.1:8000"
_MOST_AT_ONCE: Final = 32
_MOST_DIGITS: Final = 9
SHELLS: Final = ("bash", "zsh", "fish")
SCOPES: Final = ("upload:write", "upload:read", "outcome:write")
STATES: Final = ("storing", "stored", "announced", "lost")
EXIT_CODES: Final = {
    0: "done",
    1: "refused, not valid, or not logged in: the message says why",
    2: "wrong arguments, or a file cannot be read or written",
    3: "no clear answer in time: run the same command again, which is safe",
    130: "interrupted",
}
EXAMPLES: Final = {
    "": (
        "healthingest --server https://ingest.example login ada@clinic.example",
        "healthingest --server https://ingest.example upload measurements/",
    ),
    "register": ("healthingest register ada@clinic.example --first-name Ada",),
    "login": (
        "healthingest login ada@clinic.example",
        "healthingest login --device-code",
        "healthingest login --token < token.txt",
    ),
    "enrol": ("healthingest enrol 7ZQ4M-2K9PD-W3XYT-5H8RC --name 'wrist band 12'",),
    "upload": (
        "healthingest upload night.avro",
        "healthingest upload --study sleep --subject P-7K2M measurements/",
        "healthingest upload --json measurements/ | jq 'select(.status == \"refused\")'",
    ),
    "list": ("healthingest list --record-type SleepRecord --limit 10",),
    "watch": ("healthingest watch --timeout 60 01a223ee-3c31-7ec8-bcb4-ccf9c092a777",),
    "download": ("healthingest download --output copies/ 01a223ee-3c31-7ec8-bcb4-ccf9c092a777",),
    "validate": ("healthingest validate --schemas schemas/ measurements/*.avro",),
    "schemas check": ("healthingest schemas check released/ changed/",),
    "tokens create": ("healthingest tokens create 'kitchen tablet' --days 180",),
    "study consent": (
        "healthingest study consent sleep P-7K2M --version 2 --given-at 2026-11-20T09:30:00+01:00",
    ),
    "study coverage": ("healthingest study coverage sleep --first-day 2026-11-01",),
    "study code": ("healthingest study code sleep --subject P-7K2M --minutes 60",),
    "study erase": ("healthingest study erase sleep --subject P-7K2M --yes",),
    "completion": ('eval "$(healthingest completion bash)"',),
}
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    built = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Upload health records as Avro files, and look after them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(_examples("") or "")
        + "\n\nexit codes:\n"
        + "\n".join(f"  {code:<4} {text}" for code, text in EXIT_CODES.items()),
    )
    server = os.environ.get(SERVER_VARIABLE, _DEFAULT_SERVER)
    built.add_argument(
        "--server",
        default=server,
        metavar="URL",
        help=f"address of the service; default ${SERVER_VARIABLE}, else {_DEFAULT_SERVER}",
    )
    built.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file of the tokens, which only you can read; default: the keyring of the system,"
        " if there is one, else ~/.config/healthingest/tokens.json",
    )
    built.add_argument(
        "--patience",
        type=not_negative,
        default=300,
        metavar="SECONDS",
        help="how long to try again when the service gives no clear answer; default 300",
    )
    commands = built.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _accounts(commands)
    _uploads(commands)
    _files(commands)
    _tokens(commands)
    _studies(commands)
    completion = _add(
        commands, "completion", "print a script that completes the command in your shell"
    )
    completion.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")
    return built


def number_at_once(text: str) -> int:
    """Return a number of files."""
    number = positive(text)
    if number > _MOST_AT_ONCE:
        message = f"{text!r} is greater than {_MOST_AT_ONCE}"
        raise argparse.ArgumentTypeError(message)
    return number


def not_negative(text: str) -> int:
    """Return a whole number."""
    if not text.isascii() or not text.isdecimal() or len(text) > _MOST_DIGITS:
        message = f"{text!r} is no whole number"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def positive(text: str) -> int:
    """Return a whole number greater than 0."""
    number = not_negative(text)
    if not number:
        message = f"{text!r} is not greater than 0"
        raise argparse.ArgumentTypeError(message)
    return number


def day(text: str) -> date:
    """Return a day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no day such as 2026-11-20"
        raise argparse.ArgumentTypeError(message) from None


def point_in_time(text: str) -> datetime:
    """Return a time; one without a time zone is local."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no time such as 2026-11-20T09:30:00+01:00"
        raise argparse.ArgumentTypeError(message) from None
    return found.astimezone() if found.tzinfo is None else found.astimezone(UTC)


def _accounts(commands: _Commands) -> None:
    register = _add(commands, "register", "create an account, where the installation allows it")
    _email(register)
    register.add_argument("--first-name", metavar="NAME", help="your first name")
    register.add_argument("--last-name", metavar="NAME", help="your last name")
    login = _add(
        commands,
        "login",
        "log in, and store the tokens",
        "Log in with a password, at an identity provider (--device-code), or with a token that you"
        " have (--token).",
    )
    _email(login, optional=True)
    way = login.add_mutually_exclusive_group()
    way.add_argument(
        "--device-code",
        action="store_true",
        help="sign in at an identity provider: prints a code and the address to type it in",
    )
    way.add_argument(
        "--token",
        action="store_true",
        help=f"store a token, which is read from ${TOKEN_VARIABLE} or standard input",
    )
    login.add_argument(
        "--issuer", metavar="URL", help="identity provider; default: the one that the server names"
    )
    login.add_argument(
        "--client-id", metavar="ID", help="client at the provider; default: as the server names it"
    )
    login.add_argument(
        "--scope", metavar="SCOPES", help="scopes to ask for; default: as the server names them"
    )
    enrol = _add(commands, "enrol", "exchange an enrolment code for a device token, and store it")
    enrol.add_argument("code", metavar="CODE", help="the code that a study gave you")
    enrol.add_argument(
        "--name", default="device", metavar="NAME", help="name of this device; default: device"
    )
    _add(commands, "logout", "end the session, and remove its tokens")


def _uploads(commands: _Commands) -> None:
    upload = _add(
        commands,
        "upload",
        "upload files and folders",
        "Upload files and folders. A journal beside a folder remembers what was uploaded: the same"
        " command goes on where an earlier one ended, and sends each file once. Waits for rate"
        " limits.",
    )
    upload.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="file or folder")
    upload.add_argument("--study", metavar="STUDY", help="study of the files; default: none")
    upload.add_argument("--subject", metavar="PSEUDONYM", help="person that the files are about")
    upload.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object a line for each file; so without it, if the output is no"
        " terminal",
    )
    upload.add_argument(
        "--parallel",
        type=number_at_once,
        default=AT_ONCE,
        metavar="N",
        help=f"files at the same time, 1 to {_MOST_AT_ONCE}; default {AT_ONCE}",
    )
    upload.add_argument(
        "--pattern",
        default=PATTERN,
        metavar="PATTERN",
        help=f"files of folders to upload; default {PATTERN}",
    )
    upload.add_argument(
        "--journal",
        type=Path,
        metavar="FILE",
        help="journal for all files; default: one beside each folder, and none for other files",
    )
    status = _add(commands, "status", "show uploads with their state, one JSON object a line")
    _ids(status)
    listing = _add(
        commands,
        "list",
        "list your uploads or those of a study, newest first, one JSON object a line",
        aliases=("uploads",),
    )
    listing.add_argument("--study", metavar="STUDY", help="uploads of all accounts into this study")
    listing.add_argument("--subject", metavar="PSEUDONYM", help="with --study: about this person")
    listing.add_argument("--day", type=day, metavar="DAY", help="with --study: of this day in UTC")
    listing.add_argument("--record-type", metavar="TYPE", help="uploads of this record type")
    listing.add_argument(
        "--state",
        choices=STATES,
        help="without --study: uploads in this state",
    )
    listing.add_argument("--limit", type=positive, metavar="N", help="at most N; default: all")
    watch = _add(
        commands,
        "watch",
        "wait until uploads are announced; print each change of state",
    )
    _ids(watch)
    watch.add_argument(
        "--timeout",
        type=positive,
        default=3600,
        metavar="SECONDS",
        help="longest wait for each; default 3600",
    )
    download = _add(
        commands,
        "download",
        "download files of uploads",
        "Download files of uploads. A cut goes on with the next byte, also in another command. The"
        " digest is compared before a file gets its name.",
    )
    _ids(download)
    download.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(),
        metavar="PATH",
        help="folder, or the new file of a single upload; default: this folder",
    )
    erase = _add(commands, "erase", "erase uploads for ever")
    _ids(erase)
    _yes(erase)


def _files(commands: _Commands) -> None:
    check = _add(
        commands,
        "validate",
        "validate files offline, as the service would",
        "Validate files offline, as the service would. Exit codes: 0 all files are valid, 1 a file"
        " is refused, 2 a file cannot be read.",
    )
    check.add_argument("--json", action="store_true", help="print one JSON object per line")
    check.add_argument(
        "--schemas",
        type=Path,
        metavar="FOLDER",
        help="folder of the allowed schemas (*.avsc); by default any schema is allowed",
    )
    check.add_argument("files", nargs="+", metavar="FILE", help="file; - reads standard input")
    schemas = _add(commands, "schemas", "compare schemas offline")
    actions = _actions(schemas)
    compare = _add(
        actions,
        "check",
        "check that readers with new schemas can read data of the old ones",
        "Check that readers with the new schemas can read data that was written with the old ones."
        " Exit codes: 0 they can, 1 they cannot, 2 a file cannot be read.",
        of="schemas",
    )
    compare.add_argument("old", type=Path, metavar="OLD", help="schema (.avsc), or folder of them")
    compare.add_argument("new", type=Path, metavar="NEW", help="the same, after the change")


def _tokens(commands: _Commands) -> None:
    actions = _actions(_add(commands, "tokens", "list, create and revoke your device tokens"))
    _add(actions, "list", "list tokens, one JSON object a line", of="tokens")
    create = _add(
        actions,
        "create",
        "create a token; its text is shown only once",
        of="tokens",
    )
    create.add_argument("name", metavar="NAME", help="name of the device")
    create.add_argument(
        "--scope",
        action="append",
        choices=SCOPES,
        help="what it may do; can be repeated; default upload:write",
    )
    days = create.add_mutually_exclusive_group()
    days.add_argument(
        "--days", type=positive, default=365, metavar="N", help="valid for N days; default 365"
    )
    days.add_argument("--never-expires", action="store_true", help="valid until it is revoked")
    create.add_argument("--study", metavar="STUDY", help="it uploads into this study only")
    create.add_argument("--subject", metavar="PSEUDONYM", help="and about this person only")
    revoke = _add(actions, "revoke", "revoke tokens", of="tokens")
    _ids(revoke, "ID", "id of a token")


def _studies(commands: _Commands) -> None:
    actions = _actions(_add(commands, "study", "see and change studies in which you have a role"))
    _add(actions, "list", "list your studies, one JSON object a line", of="study")
    for name, text in (
        ("show", "show a study and your roles in it"),
        ("members", "list members and their roles"),
        ("subjects", "list subjects and their consent"),
        ("tokens", "list device tokens of a study"),
    ):
        _study(_add(actions, name, text, of="study"))
    for name, text in (
        ("subject", "show a subject and its consent"),
        ("enrol", "enrol a subject"),
        ("withdraw", "record that a subject has left: no upload about it succeeds any more"),
    ):
        _subject(_add(actions, name, text, of="study"))
    consent = _add(actions, "consent", "record the consent of a subject", of="study")
    _subject(consent)
    consent.add_argument(
        "--version", required=True, metavar="VERSION", help="version of the study's information"
    )
    consent.add_argument(
        "--given-at",
        required=True,
        type=point_in_time,
        metavar="TIME",
        help="when the person has signed, such as 2026-11-20T09:30:00+01:00",
    )
    for name, text in (
        ("coverage", "count uploads by day, subject and record type"),
        ("gaps", "list days without uploads"),
    ):
        rows = _add(actions, name, f"{text}, one JSON object a line", of="study")
        _study(rows)
        rows.add_argument("--first-day", type=day, metavar="DAY", help="default: 30 days ago")
        rows.add_argument("--last-day", type=day, metavar="DAY", help="at most 366 days later")
        rows.add_argument("--subject", metavar="PSEUDONYM", help="about this person only")
        rows.add_argument("--record-type", metavar="TYPE", help="of this record type only")
    code = _add(actions, "code", "create an enrolment code; it is shown only once", of="study")
    _study(code)
    code.add_argument("--subject", metavar="PSEUDONYM", help="a device of this person")
    code.add_argument(
        "--minutes", type=positive, default=1440, metavar="N", help="valid for N; default 1440"
    )
    revoke = _add(actions, "revoke-token", "revoke a device token of a study", of="study")
    _study(revoke)
    revoke.add_argument("token", metavar="ID", help="id of the token")
    erase = _add(actions, "erase", "erase a study, or a subject of it, for ever", of="study")
    _study(erase)
    erase.add_argument("--subject", metavar="PSEUDONYM", help="only the data of this person")
    _yes(erase)
    erasure = _add(actions, "erasure", "show an erasure and its certificate", of="study")
    erasure.add_argument("erasure", metavar="ID", help="id of the erasure")


def _add(  # noqa: PLR0913 - the parts of a command
    commands: _Commands,
    name: str,
    text: str,
    description: str | None = None,
    *,
    of: str = "",
    aliases: tuple[str, ...] = (),
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=text,
        description=description or f"{text[0].upper()}{text[1:]}.",
        aliases=aliases,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_examples(f"{of} {name}".strip()),
    )
    command.set_defaults(run=f"{of} {name}".strip())
    return command


def _actions(command: argparse.ArgumentParser) -> _Commands:
    return command.add_subparsers(dest="action", required=True, metavar="ACTION")


def _examples(name: str) -> str | None:
    found = EXAMPLES.get(name)
    return None if found is None else "examples:\n" + "\n".join(f"  {line}" for line in found)


def _email(command: argparse.ArgumentParser, *, optional: bool = False) -> None:
    command.add_argument(
        "email",
        nargs="?" if optional else None,
        metavar="EMAIL",
        help=f"e-mail address; the password is read from ${PASSWORD_VARIABLE} or prompted",
    )


def _ids(
    command: argparse.ArgumentParser, name: str = "UPLOAD", text: str = "id of an upload"
) -> None:
    command.add_argument("ids", nargs="+", metavar=name, help=text)


def _study(command: argparse.ArgumentParser) -> None:
    command.add_argument("study", metavar="STUDY", help="short name of the study")


def _subject(command: argparse.ArgumentParser) -> None:
    _study(command)
    command.add_argument("subject", metavar="PSEUDONYM", help="pseudonym of the person")


def _yes(command: argparse.ArgumentParser) -> None:
    command.add_argument("--yes", action="store_true", help="do not ask whether you are sure")
