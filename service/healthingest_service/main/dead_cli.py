"""The words of `healthingest-admin` for dead letters."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any, Final

from healthingest_service.main import dead_commands
from healthingest_service.main.dead_commands import NoDeadLetterError, NotRedrivenError
from healthingest_service.settings import Settings
from healthingest_service.uploads.dead_letters import (
    BrokerFailedError,
    DeadLetterSelection,
    NotPermittedError,
    QueueNotFoundError,
)

_NOT_DONE: Final = 1
_MAX_LIMIT: Final = 65_535
"""The largest prefetch of AMQP 0-9-1."""
_SHOWN: Final = 100
_SETTLED: Final = 10_000
_MAX_URL_CHARACTERS: Final = 4096
_NO_QUEUE: Final = (
    "the broker has no such queue of dead letters, or no longer the exchange that they came from"
)
_NOT_PERMITTED: Final = (
    "the broker user may not read the queue, or not publish to the exchange: give the address of a"
    " consumer with --read-url-from-input"
)
_NO_BROKER: Final = (
    "the broker cannot be reached, or gave no answer in time; another reader may have the letters"
)
DEAD_MESSAGES: Final[dict[type[BaseException], tuple[str, int]]] = {
    QueueNotFoundError: (_NO_QUEUE, _NOT_DONE),
    NotPermittedError: (_NOT_PERMITTED, _NOT_DONE),
    BrokerFailedError: (_NO_BROKER, _NOT_DONE),
    NoDeadLetterError: ("there is no such dead letter", _NOT_DONE),
    NotRedrivenError: ("{}", _NOT_DONE),
}
"""Message and exit code for each known error of dead letters."""


# ANN401: the type of argparse is private
def add_dead_letters(commands: Any) -> None:  # noqa: ANN401
    """Add `dead`."""
    dead = commands.add_parser("dead", help="manage dead letters").add_subparsers(required=True)
    listing = dead.add_parser("list", help="list the oldest dead letters of a queue")
    listing.add_argument("--reason", help="only those that came for this reason")
    listing.set_defaults(command="dead list", run=_list)
    show = dead.add_parser("show", help="show headers and history of a dead letter")
    show.add_argument("--id", required=True, help="the id of the message")
    show.set_defaults(command="dead show", run=_show)
    redrive = dead.add_parser(
        "redrive", help="publish dead letters again where they came from, and remove them"
    )
    redrive.set_defaults(command="dead redrive", run=_redrive)
    drop = dead.add_parser("drop", help="remove dead letters for ever")
    drop.set_defaults(command="dead drop", run=_drop)
    for one in (redrive, drop):
        _add_selection(one)
    for one in (listing, show, redrive, drop):
        _add_queue(one, limit=_SHOWN if one is listing else _SETTLED)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--id", nargs="+", default=[], help="the messages with these ids")
    which.add_argument("--all", action="store_true", help="every dead letter")
    parser.add_argument("--reason", help="only those that came for this reason")


def _add_queue(parser: argparse.ArgumentParser, *, limit: int) -> None:
    parser.add_argument("--queue", required=True, help="the queue, without the ending .dead")
    parser.add_argument(
        "--limit", type=_limit, default=limit, help="look at the oldest so many (%(default)d)"
    )
    parser.add_argument(
        "--read-url-from-input",
        action="store_true",
        help="read the address of a broker user that may read the queue from standard input",
    )


def _limit(text: str) -> int:
    read = int(text)
    if not 0 < read <= _MAX_LIMIT:
        raise ValueError
    return read


def _reader_url(options: argparse.Namespace) -> str | None:
    if not options.read_url_from_input:
        return None
    return sys.stdin.read(_MAX_URL_CHARACTERS).strip()


async def _list(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    selection = DeadLetterSelection(reason=options.reason)
    letters = dead_commands.open_dead_letters(settings, options.queue, _reader_url(options))
    return await dead_commands.list_letters(letters, selection, limit=options.limit)


async def _show(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    letters = dead_commands.open_dead_letters(settings, options.queue, _reader_url(options))
    return await dead_commands.show_letter(letters, options.id, limit=options.limit)


def _selection(options: argparse.Namespace) -> DeadLetterSelection:
    return DeadLetterSelection(frozenset(options.id), options.reason)


async def _redrive(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    letters = dead_commands.open_dead_letters(settings, options.queue, _reader_url(options))
    return await dead_commands.redrive(letters, _selection(options), limit=options.limit)


async def _drop(options: argparse.Namespace, settings: Settings) -> Mapping[str, object]:
    letters = dead_commands.open_dead_letters(settings, options.queue, _reader_url(options))
    return await dead_commands.drop(letters, _selection(options), limit=options.limit)
