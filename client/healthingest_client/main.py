"""The command `healthingest`: composition root."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Final

import argcomplete
from argcomplete.shell_integration import shellcode

from healthingest_client import schema_check
from healthingest_client.arguments import PROGRAM, TOKEN_VARIABLE, parser
from healthingest_client.async_client import AsyncClient
from healthingest_client.commands import COMMANDS, Command
from healthingest_client.credentials import MemoryTokens, Tokens, TokenStore, open_tokens
from healthingest_client.errors import (
    ArgumentsError,
    ClientError,
    ProblemError,
    StillWaitingError,
    UnreachableError,
)
from healthingest_client.retries import RetryPolicy
from healthingest_client.upload_display import Pauses, problem_lines
from healthingest_client.validation import UNREADABLE, policy_of, validate

REFUSED: Final = 1
WRONG: Final = 2
NO_ANSWER: Final = 3
INTERRUPTED: Final = 130
"""As a shell reports SIGINT."""
_STORING: Final = frozenset({"login", "logout", "enrol"})
"""Commands about the stored tokens, whatever the variable has."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (`arguments.EXIT_CODES`)."""
    built = parser()
    argcomplete.autocomplete(built)
    options = built.parse_args(arguments)
    offline = _OFFLINE.get(options.run)
    try:
        return asyncio.run(_run(options)) if offline is None else offline(options)
    except (ClientError, OSError) as error:
        sys.stderr.write(f"{PROGRAM}: {_text(error)}\n")
        return UNREADABLE if offline is not None else exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED


def exit_code(error: ClientError | OSError) -> int:
    """Return the exit code of a command that ended with an error."""
    if isinstance(error, UnreachableError | StillWaitingError):
        return NO_ANSWER
    if isinstance(error, ProblemError):
        return NO_ANSWER if error.is_temporary else REFUSED
    return WRONG if isinstance(error, OSError | ArgumentsError) else REFUSED


async def _run(options: argparse.Namespace) -> int:
    pauses = Pauses()
    policy = RetryPolicy(patience_seconds=options.patience)
    opening = AsyncClient(options.server, _tokens(options), policy=policy, sleep=pauses)
    async with opening as client:
        command = Command(client, options, pauses, sys.stdout, sys.stderr)
        return await COMMANDS[options.run](command)


def _tokens(options: argparse.Namespace) -> TokenStore:
    given = os.environ.get(TOKEN_VARIABLE)
    if given and options.run not in _STORING:
        return MemoryTokens(Tokens(given))
    return open_tokens(options.token_file)


def _validate(options: argparse.Namespace) -> int:
    policy = policy_of(options.schemas)
    return validate(options.files, policy, as_json=options.json, out=sys.stdout, errors=sys.stderr)


def _check_schemas(options: argparse.Namespace) -> int:
    return schema_check.check(options.old, options.new, sys.stdout)


def _complete(options: argparse.Namespace) -> int:
    defaults = True
    sys.stdout.write(shellcode([PROGRAM], defaults, options.shell))
    return 0


_OFFLINE: Final = {
    "validate": _validate,
    "schemas check": _check_schemas,
    "completion": _complete,
}
"""The commands that need no server."""


def _text(error: ClientError | OSError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, ProblemError) and error.problem.get("findings"):
        return "\n".join([str(error), *problem_lines(error)])
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
