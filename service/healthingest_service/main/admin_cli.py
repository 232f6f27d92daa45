"""
The command `healthingest-admin`, for administrators of the service.

It manages accounts, studies, devices, erasures, lost uploads, the outbox and dead letters. It runs
where the service runs (`kubectl exec deploy/NAME-api -- healthingest-admin …`) and needs the
settings of the database; `uploads repair` also those of the object store, `dead …` those of the
broker. It prints JSON, and reads passwords from standard input only.
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

from healthingest_contract.pod_identity import PodIdentityError
from healthingest_contract.topology import RECORD_TYPE_MESSAGE, RECORD_TYPE_REMEDY, is_record_type
from healthingest_service.audit.errors import AuditUnavailableError
from healthingest_service.audit.model import Outcome
from healthingest_service.identity.errors import (
    AccountExistsError,
    IdentityUnavailableError,
    UnacceptablePasswordError,
)
from healthingest_service.main import (
    admin_commands,
    audit_commands,
    dead_cli,
    erase_cli,
    settings_checks,
    study_cli,
    token_cli,
)
from healthingest_service.main.admin_commands import NothingFoundError
from healthingest_service.main.audit_commands import CommandObject
from healthingest_service.settings import InvalidSettingsError, Settings, load
from healthingest_service.studies.errors import StudyError
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
_NO_DATABASE: Final = "the database cannot be reached, or its schema is not that of this version"
_NO_DATABASE_OR_STORE: Final = (
    "the audit log: the database or the object store cannot be reached, or the schema of the"
    " database is not that of this version"
)
_NO_STORE: Final = "the object store cannot be reached, or refuses the request"
_NO_KEYS: Final = "the token service gives no keys for the object store: {}"
_MESSAGES: Final[dict[type[BaseException], tuple[str, int]]] = {
    InvalidSettingsError: ("{}", _WRONG),
    UnacceptablePasswordError: ("the password is {}", _WRONG),
    ValidationError: (
        "--email must be an e-mail address, and a name at most 100 printable characters",
        _WRONG,
    ),
    AccountExistsError: ("an account with this e-mail address exists", _NOT_DONE),
    NothingFoundError: ("{}", _NOT_DONE),
    StoreUnavailableError: (_NO_STORE, _NOT_DONE),
    StoreRefusedError: (_NO_STORE, _NOT_DONE),
    PodIdentityError: (_NO_KEYS, _NOT_DONE),
    AuditUnavailableError: (_NO_DATABASE_OR_STORE, _NOT_DONE),
    LedgerUnavailableError: (_NO_DATABASE, _NOT_DONE),
    IdentityUnavailableError: (_NO_DATABASE, _NOT_DONE),
    **study_cli.STUDY_MESSAGES,
    **token_cli.TOKEN_MESSAGES,
    **erase_cli.ERASE_MESSAGES,
    **dead_cli.DEAD_MESSAGES,
}
"""Message and exit code for each known error."""
_FAILED: Final[tuple[type[BaseException], ...]] = (
    NothingFoundError,
    AccountExistsError,
    StudyError,
    *token_cli.TOKEN_MESSAGES,
    *dead_cli.DEAD_MESSAGES,
)
"""Errors of a command that was understood, and could not be done; the audit log has it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 success, 1 failure, 2 invalid arguments."""
    options = _parser().parse_args(arguments)
    try:
        settings = load()
        settings_checks.check_required_secrets(settings, "admin")
        configure_logging(sys.stderr, level="WARNING")
        answer = asyncio.run(_recorded(options, settings))
    except tuple(_MESSAGES) as error:
        text, code = next(_MESSAGES[kind] for kind in type(error).__mro__ if kind in _MESSAGES)
        sys.stderr.write(f"healthingest-admin: {text.format(error)}\n")
        return code
    # An export has written its lines to standard output already.
    output = sys.stderr if options.command == "audit export" else sys.stdout
    output.write(json.dumps(answer, indent=2) + "\n")
    return 0 if answer.get("intact", True) else _NOT_DONE


async def _dispatched(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    if "run" in options:
        run: study_cli.Run = options.run
        return await run(options, settings)
    if options.command.startswith("account "):
        return await _account(options, settings)
    if options.command.startswith("audit "):
        return await _audit(options, settings)
    return await _command(options, settings)


async def _recorded(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    """Run a command, and record in the audit log that it was done or has failed."""
    action = audit_commands.COMMAND_ACTIONS[options.command]
    if action is None:
        return await _dispatched(options, settings)
    study = getattr(options, "study", None)
    subject = getattr(options, "subject", None)
    try:
        answer = await _dispatched(options, settings)
    except _FAILED:
        await audit_commands.record(settings, action, Outcome.FAILED, CommandObject())
        raise
    object_id = answer.get("id", answer.get("account_id"))
    acted_on = CommandObject(None if object_id is None else str(object_id), study, subject)
    await audit_commands.record(settings, action, Outcome.DONE, acted_on)
    return answer


async def _command(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    match options.command:
        case "uploads repair":
            return await admin_commands.repair_uploads(
                settings, frozenset(map(UploadId, options.id))
            )
        case "uploads forget":
            return await admin_commands.forget_uploads(
                settings, frozenset(map(UploadId, options.id))
            )
        case "ledger rebuild":
            return await admin_commands.rebuild_ledger(settings, dry=options.dry_run)
        case "backlog":
            return await admin_commands.backlog(settings)
        case _:
            return await admin_commands.replay(
                settings, _selection(options), options.rate, dry=options.dry_run
            )


async def _account(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    if options.command == "account deactivate":
        return await admin_commands.deactivate_account(settings, options.email)
    given = {
        "email": options.email,
        "first_name": options.first_name,
        "last_name": options.last_name,
    }
    return await admin_commands.create_account(settings, given, admin_commands.read_password())


async def _audit(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    if options.command == "audit export":
        return await audit_commands.export(settings, options.format, after=options.after)
    return await audit_commands.verify(settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healthingest-admin", description="Administer the service."
    )
    commands = parser.add_subparsers(required=True)
    accounts = commands.add_parser("account", help="manage accounts").add_subparsers(required=True)
    create = accounts.add_parser(
        "create", help="create an account; the password is read from standard input"
    )
    create.add_argument("--email", required=True)
    create.add_argument("--first-name")
    create.add_argument("--last-name")
    create.set_defaults(command="account create")
    deactivate = accounts.add_parser(
        "deactivate", help="deactivate an account; its uploads are kept"
    )
    deactivate.add_argument("--email", required=True)
    deactivate.set_defaults(command="account deactivate")
    study_cli.add_admin(accounts)
    study_cli.add_studies(commands)
    token_cli.add_tokens(commands)
    erase_cli.add_erasures(commands)
    dead_cli.add_dead_letters(commands)
    backlog = commands.add_parser("backlog", help="show number, age and state of waiting messages")
    backlog.set_defaults(command="backlog")
    uploads = commands.add_parser("uploads", help="manage lost uploads").add_subparsers(
        required=True
    )
    repair = uploads.add_parser(
        "repair", help="check the object of each upload, and mark uploads as lost or found"
    )
    repair.add_argument("--id", nargs="+", type=UUID, default=[], help="check these uploads only")
    repair.set_defaults(command="uploads repair")
    forget = uploads.add_parser("forget", help="remove lost uploads from the database")
    forget.add_argument("--id", nargs="+", type=UUID, required=True, help="these uploads")
    forget.set_defaults(command="uploads forget")
    ledger = commands.add_parser("ledger", help="manage the database").add_subparsers(required=True)
    rebuild = ledger.add_parser(
        "rebuild", help="add the uploads that the database lacks, and announce them again"
    )
    rebuild.add_argument(
        "--from-bucket", action="store_true", required=True, help="from the objects in the bucket"
    )
    rebuild.add_argument("--dry-run", action="store_true", help="only count the uploads")
    rebuild.set_defaults(command="ledger rebuild")
    _add_audit(commands.add_parser("audit", help="verify and export the audit log"))
    replay = commands.add_parser(
        "replay", help="announce uploads again; consumers recognise them by idempotency_key"
    )
    _add_replay(replay)
    return parser


def _add_audit(audit: argparse.ArgumentParser) -> None:
    commands = audit.add_subparsers(required=True)
    verify = commands.add_parser("verify", help="find changed, missing, swapped and inserted rows")
    verify.set_defaults(command="audit verify")
    export = commands.add_parser("export", help="write the events to standard output, one a line")
    export.add_argument("--format", choices=audit_commands.FORMATS, default="json")
    export.add_argument(
        "--after", type=int, default=0, metavar="POSITION", help="only later events (%(default)s)"
    )
    export.set_defaults(command="audit export")


def _add_replay(replay: argparse.ArgumentParser) -> None:
    replay.set_defaults(command="replay", fail=replay.error)
    replay.add_argument("--id", nargs="+", type=UUID, default=[], help="these uploads")
    time = "RFC 3339 with time zone, such as 2026-03-01T12:00:00Z"
    replay.add_argument(
        "--from", type=_time, dest="received_from", help=f"received at this time or later; {time}"
    )
    replay.add_argument("--to", type=_time, dest="received_before", help="received before this")
    replay.add_argument("--type", dest="record_type", help="only uploads of this record type")
    replay.add_argument("--dry-run", action="store_true", help="only count the uploads")
    replay.add_argument(
        "--rate", type=_rate, default=_REPLAYS_PER_SECOND, help="messages a second (%(default)g)"
    )


def _time(text: str) -> datetime:
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
        options.fail(f"--type: {RECORD_TYPE_MESSAGE} {RECORD_TYPE_REMEDY}")
    return ReplaySelection(
        ids=frozenset(UploadId(one) for one in options.id),
        received_from=options.received_from,
        received_before=options.received_before,
        record_type=options.record_type,
    )


if __name__ == "__main__":
    sys.exit(main())
