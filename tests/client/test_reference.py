"""The reference of the command is written from its parser."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from healthingest_client.arguments import EXIT_CODES, PROGRAM, parser
from healthingest_client.commands import COMMANDS
from healthingest_client.main import _OFFLINE
from support.written_parts import assert_written

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
BEGIN = "<!-- commands: `make goldens` writes this part -->\n"


def commands(
    of: argparse.ArgumentParser, before: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield each command with its whole name; those of an alias are left out."""
    (found,) = [one for one in of._actions if isinstance(one, argparse._SubParsersAction)]
    for choice in found._choices_actions:
        name = choice.dest
        command = found.choices[name]
        whole = f"{before}{name}"
        if any(isinstance(one, argparse._SubParsersAction) for one in command._actions):
            yield from commands(command, f"{whole} ")
        else:
            yield whole, command


def rows(command: argparse.ArgumentParser) -> Iterator[str]:
    """Yield a row for each argument."""
    for action in command._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        names = ", ".join(f"`{name}`" for name in action.option_strings)
        value = str(action.metavar or action.dest.upper())
        if not action.option_strings:
            shown = f"`{value}`" + ("…" if action.nargs == "+" else "")
        elif action.nargs == 0:
            shown = names
        elif action.choices:
            shown = f"{names} " + " or ".join(f"`{choice}`" for choice in action.choices)
        else:
            shown = f"{names} `{value}`"
        yield f"| {shown} | {action.help} |"


def part() -> str:
    """Return the commands with their options, and the exit codes."""
    built = parser()
    lines = ["\n## Options of all commands\n", "| argument | meaning |", "| --- | --- |"]
    lines += rows(built)
    lines += ["\n## Exit codes\n", "| code | meaning |", "| --- | --- |"]
    lines += [f"| {code} | {text} |" for code, text in EXIT_CODES.items()]
    lines += ["\n## Commands"]
    for name, command in commands(built):
        lines += [f"\n### {name}\n", f"{command.description}"]
        found = list(rows(command))
        if found:
            lines += ["\n| argument | meaning |", "| --- | --- |", *found]
        if command.epilog:
            examples = [line.strip() for line in command.epilog.splitlines()[1:]]
            lines += ["\n```console", *(f"$ {line}" for line in examples), "```"]
    return "\n".join(lines) + "\n\n"


def test_the_page_is_that_of_the_program() -> None:
    """`make goldens` writes commands, options and exit codes."""
    assert_written(PAGE, {BEGIN: part()})


def test_each_command_is_carried_out() -> None:
    """By a function, and each function has a command."""
    names = {name for name, _ in commands(parser())}
    assert names == {*COMMANDS, *_OFFLINE}
    assert PROGRAM == "healthingest"
