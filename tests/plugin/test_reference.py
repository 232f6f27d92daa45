"""The reference of the plugin is written from its command line and its table of faults."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from healthingest_plugin.arguments import EXIT_CODES, parser
from healthingest_plugin.faults import FAULTS
from support.written_parts import assert_written

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "kubectl-plugin.md"
COMMANDS = "<!-- commands: `make goldens` writes this part -->\n"
REASONS = "<!-- faults: `make goldens` writes this table -->\n"


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    (found,) = (
        action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    return dict(found.choices)


def rows(command: argparse.ArgumentParser, *, common: bool) -> Iterator[str]:
    """Yield a row for each argument; those of group `cluster` are the same for all commands."""
    for group in command._action_groups:
        if (group.title == "cluster") is not common:
            continue
        for action in group._group_actions:
            if isinstance(action, argparse._HelpAction):
                continue
            names = ", ".join(f"`{name}`" for name in action.option_strings)
            value = action.metavar or action.dest.upper()
            takes = action.nargs != 0 and action.option_strings
            shown = f"{names} `{value}`" if takes else names or f"`{value}`"
            if action.choices and takes:
                shown = f"{names} " + " or ".join(f"`{choice}`" for choice in action.choices)
            yield f"| {shown} | {action.help} |"


def command_part() -> str:
    """Return the commands with their options."""
    lines: list[str] = []
    for name, command in commands().items():
        lines += [f"\n## {name}\n", f"{command.description}\n"]
        lines += ["| argument | meaning |", "| --- | --- |", *rows(command, common=False)]
    lines += ["\n## Options of all commands\n", "| argument | meaning |", "| --- | --- |"]
    lines += rows(next(iter(commands().values())), common=True)
    lines += ["\n## Exit codes\n", "| code | meaning |", "| --- | --- |"]
    lines += [f"| {code} | {text} |" for code, text in EXIT_CODES.items()]
    return "\n".join(lines) + "\n\n"


def fault_part() -> str:
    """Return the table of faults."""
    lines = ["\n| reason | message | remedy |", "| --- | --- | --- |"]
    lines += [
        f"| `{fault.reason}` | {fault.message} | {fault.remedy} |"
        for fault in sorted(FAULTS, key=lambda fault: fault.reason)
    ]
    return "\n".join(lines) + "\n\n"


def test_the_page_is_that_of_the_program() -> None:
    """`make goldens` writes commands, options, exit codes and faults."""
    assert_written(PAGE, {COMMANDS: command_part(), REASONS: fault_part()})


def test_each_command_has_the_common_options() -> None:
    """Whoever knows them for one command knows them for all."""
    common = {name: list(rows(command, common=True)) for name, command in commands().items()}
    first = next(iter(common.values()))
    assert len(first) >= 5
    assert [name for name, found in common.items() if found != first] == []
