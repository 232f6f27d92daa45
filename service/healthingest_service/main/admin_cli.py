"""
The command `healthingest-admin`, for those who run the service.

Accounts, the outbox, messages once more.

Runs where the service runs (`kubectl exec deploy/NAME-api -- healthingest-admin …`) and needs of
its settings the database alone. Prints JSON; a password is read from standard input, never from the
command line.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import ValidationError

from healthingest_contract.topology import is_record_type
from healthingest_service.identity.errors import (
    AccountExistsError,
    IdentityUnavailableError,
    UnacceptablePasswordError,
)
from healthingest_service.main import admin_commands, settings_checks
from healthingest_service.main.admin_commands import NothingFoundError
from healthingest_service.settings import InvalidSettingsError, Settings, load
from healthingest_service.telemetry.logs import configure_logging
from healthingest_service.uploads.errors import (
    LedgerUnavailableError,
    StoreRefusedError,
    StoreUnavailableError,
)
from healthingest_service.uploads.model import UploadId
from healthingest_service.uploads.relay_ports import ReplaySelection

_REPLAYS_PER_SECOND: Final = 500.0
_WRONG: Final = 2
_NOT_DONE: Final = 1
_NO_DATABASE: Final = "the database cannot be reached, or has not the shape that this version needs"
_NO_STORE: Final = "the object store cannot be reached, or refuses"
_COMPLAINTS: Final[dict[type[BaseException], tuple[str, int]]] = {
    InvalidSettingsError: ("{}", _WRONG),
    UnacceptablePasswordError: ("the password is {}", _WRONG),
    ValidationError: (
        "no e-mail address, or a name that is not printable or longer than 100 characters",
        _WRONG,
    ),
    AccountExistsError: ("an account with this e-mail address exists", _NOT_DONE),
    NothingFoundError: ("{}", _NOT_DONE),
    StoreUnavailableError: (_NO_STORE, _NOT_DONE),
    StoreRefusedError: (_NO_STORE, _NOT_DONE),
    LedgerUnavailableError: (_NO_DATABASE, _NOT_DONE),
    IdentityUnavailableError: (_NO_DATABASE, _NOT_DONE),
}
"""What is said of each foreseen error, and the exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 not done, 2 asked wrongly."""
    options = _parser().parse_args(arguments)
    try:
        settings = load()
        settings_checks.check_required_secrets(settings, "admin")
        configure_logging(sys.stderr, level="WARNING")
        answer = asyncio.run(_command(options, settings))
    except tuple(_COMPLAINTS) as error:
        text, code = next(_COMPLAINTS[kind] for kind in type(error).__mro__ if kind in _COMPLAINTS)
        return _say(text.format(error), code)
    sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    return 0


def _say(text: str, code: int) -> int:
    sys.stderr.write(f"healthingest-admin: {text}\n")
    return code


async def _command(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    match options.command:
        case "account create":
            given = {
                "email": options.email,
                "first_name": options.first_name,
                "last_name": options.last_name,
            }
            return await admin_commands.create_account(
                settings, given, admin_commands.read_password()
            )
        case "account deactivate":
            return await admin_commands.deactivate_account(settings, options.email)
        case "uploads repair":
            return await admin_commands.repair_uploads(
                settings, frozenset(map(UploadId, options.id))
            )
        case "uploads forget":
            return await admin_commands.forget_uploads(
                settings, frozenset(map(UploadId, options.id))
            )
        case "backlog":
            return await admin_commands.backlog(settings)
        case _:
            return await admin_commands.replay(
                settings, _selection(options), options.rate, dry=options.dry_run
            )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healthingest-admin", description="For those who run the service."
    )
    commands = parser.add_subparsers(required=True)
    accounts = commands.add_parser("account", help="make accounts, close accounts").add_subparsers(
        required=True
    )
    create = accounts.add_parser(
        "create", help="make an account; the password is read from standard input"
    )
    create.add_argument("--email", required=True)
    create.add_argument("--first-name")
    create.add_argument("--last-name")
    create.set_defaults(command="account create")
    deactivate = accounts.add_parser(
        "deactivate", help="let an account in no more; what it uploaded stays"
    )
    deactivate.add_argument("--email", required=True)
    deactivate.set_defaults(command="account deactivate")
    backlog = commands.add_parser("backlog", help="how many messages wait, since when, and why")
    backlog.set_defaults(command="backlog")
    uploads = commands.add_parser("uploads", help="the ledger and the object store").add_subparsers(
        required=True
    )
    repair = uploads.add_parser(
        "repair", help="look for the object of each upload, and mark the lost and the found"
    )
    repair.add_argument("--id", nargs="+", type=UUID, default=[], help="of these uploads only")
    repair.set_defaults(command="uploads repair")
    forget = uploads.add_parser("forget", help="remove lost uploads from the ledger")
    forget.add_argument("--id", nargs="+", type=UUID, required=True, help="these uploads")
    forget.set_defaults(command="uploads forget")
    replay = commands.add_parser(
        "replay", help="announce uploads once more; consumers know them by idempotency_key"
    )
    _add_replay(replay)
    return parser


def _add_replay(replay: argparse.ArgumentParser) -> None:
    replay.set_defaults(command="replay", fail=replay.error)
    replay.add_argument("--id", nargs="+", type=UUID, default=[], help="these uploads")
    time = "RFC 3339, with a zone, e.g. 2026-03-01T12:00:00Z"
    replay.add_argument(
        "--from", type=_moment, dest="received_from", help=f"received from then on; {time}"
    )
    replay.add_argument("--to", type=_moment, dest="received_before", help="and before then")
    replay.add_argument("--type", dest="record_type", help="of this record type only")
    replay.add_argument("--dry-run", action="store_true", help="count and put nothing")
    replay.add_argument(
        "--rate", type=_rate, default=_REPLAYS_PER_SECOND, help="messages a second (%(default)g)"
    )


def _moment(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    if read.tzinfo is None:
        raise ValueError
    return read


def _rate(text: str) -> float:
    read = float(text)
    if not read > 0:
        raise ValueError
    return read


def _selection(options: argparse.Namespace) -> ReplaySelection:
    by_time = (options.received_from, options.received_before)
    if bool(options.id) == any(by_time) or any(by_time) != all(by_time):
        options.fail("give either --id, or both --from and --to")
    if options.record_type is not None and not is_record_type(options.record_type):
        options.fail("--type: not a record type")
    return ReplaySelection(
        ids=frozenset(UploadId(one) for one in options.id),
        received_from=options.received_from,
        received_before=options.received_before,
        record_type=options.record_type,
    )


if __name__ == "__main__":
    sys.exit(main())
