"""The command `healthingest`."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from healthingest_client.client import Client, Json
from healthingest_client.credentials import TokenFile, default_path
from healthingest_client.errors import ClientError
from healthingest_client.validation import UNREADABLE, policy_of, validate

SERVER_VARIABLE: Final = "HEALTHINGEST_URL"
PASSWORD_VARIABLE: Final = "HEALTHINGEST_PASSWORD"  # noqa: S105 - a variable's name
_DEFAULT_SERVER: Final = "http://127.0.0.1:8000"


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command; returns the exit code: 0 success, 1 refused or unreachable.

    `validate` has its own exit codes, see `healthingest_client.validation`.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.command == "validate":
            policy = policy_of(options.schemas)
            return validate(
                options.files, policy, as_json=options.json, out=sys.stdout, errors=sys.stderr
            )
        with Client(options.server, TokenFile(options.token_file)) as client:
            _run(client, options)
    except (ClientError, OSError) as error:
        sys.stderr.write(f"healthingest: {error}\n")
        return UNREADABLE if options.command == "validate" else 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healthingest", description="Upload health records as Avro files."
    )
    server = os.environ.get(SERVER_VARIABLE, _DEFAULT_SERVER)
    parser.add_argument(
        "--server",
        default=server,
        help=f"address of the service (default: ${SERVER_VARIABLE}, here %(default)s)",
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        default=default_path(),
        help="file of the tokens (default: %(default)s)",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    register = commands.add_parser("register", help="create an account")
    login = commands.add_parser(
        "login", help="log in, and store the tokens in a file that only you can read"
    )
    for command in (register, login):
        command.add_argument(
            "email",
            help=f"e-mail address; the password is read from ${PASSWORD_VARIABLE} or prompted",
        )
    register.add_argument("--first-name")
    register.add_argument("--last-name")
    commands.add_parser("logout", help="end the session")
    upload = commands.add_parser("upload", help="upload files, and print one receipt per line")
    upload.add_argument("files", nargs="+", type=Path)
    uploads = commands.add_parser("uploads", help="list your uploads, newest first, one per line")
    uploads.add_argument("--record-type")
    uploads.add_argument("--state", choices=("storing", "stored", "announced"))
    check = commands.add_parser(
        "validate", help="validate files offline, as the service would; exit status 0, 1 or 2"
    )
    check.add_argument("--json", action="store_true", help="print one JSON object per line")
    check.add_argument(
        "--schemas",
        type=Path,
        help="folder of the allowed schemas (*.avsc); by default any schema is allowed",
    )
    check.add_argument("files", nargs="+", help="- reads standard input")
    return parser


def _run(client: Client, options: argparse.Namespace) -> None:
    if options.command == "register":
        _print(client.register(options.email, _password(), options.first_name, options.last_name))
    elif options.command == "login":
        client.login(options.email, _password())
    elif options.command == "logout":
        client.logout()
    elif options.command == "upload":
        for path in options.files:
            _print(client.upload(path))
    else:
        wanted = {"record_type": options.record_type, "state": options.state}
        for upload in client.uploads(
            **{name: value for name, value in wanted.items() if value is not None}
        ):
            _print(upload)


def _password() -> str:
    # Not an argument, because every user of the machine can read arguments of processes.
    return os.environ.get(PASSWORD_VARIABLE) or getpass.getpass()


def _print(value: Json) -> None:
    sys.stdout.write(json.dumps(value, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
