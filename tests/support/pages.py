"""
The commands of how-to pages: extracted, filled in, and run line by line.

A fenced `console` or `sh` block stands below a comment: `<!-- run: STORY -->`, or
`<!-- not run: REASON -->`. In a `console` block a command begins with `$ `. A line that ends with a
backslash continues on the next one.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
HOW_TO: Final = ROOT / "docs" / "how-to"
PAGES: Final = tuple(sorted(HOW_TO.glob("*.md")))
SECRETS: Final = "examples/00-secrets.yaml"

_BLOCK: Final = re.compile(
    r"(?:^[ ]*<!-- (?P<mark>run|not run): (?P<text>[^>]*?) -->\n)?"
    r"^(?P<indent>[ ]*)```(?P<language>console|sh)\n(?P<body>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_EXPORT: Final = re.compile(r"export ([A-Z_]+)=(\S+)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its place, its commands, and its story or the reason to run none."""

    page: str
    line: int
    commands: tuple[str, ...]
    story: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Result:
    """A command as it was run, with its exit code and all of its output."""

    command: str
    code: int
    output: str


class PageError(Exception):
    """A page has a block that cannot be read, or one of its commands failed."""


def blocks(page: Path) -> list[Block]:
    """
    Return the blocks of a page with commands.

    Raises:
        PageError: a `console` block has no command.
    """
    text = page.read_text(encoding="utf-8")
    return [_block(page.name, text, found) for found in _BLOCK.finditer(text)]


def story(name: str) -> list[str]:
    """Return the commands of a story, in the order of its page."""
    found = [block for page in PAGES for block in blocks(page)]
    return [command for block in found if block.story == name for command in block.commands]


def filled(command: str, table: Mapping[str, str]) -> str:
    """Return *command* with each placeholder of *table* replaced, the longest one first."""
    for placeholder in sorted(table, key=len, reverse=True):
        command = command.replace(placeholder, table[placeholder])
    return command


@dataclass
class Shell:
    """
    Runs commands one by one in bash, in one folder with one environment.

    An `export` of one command holds for the later ones. A failure of any part of a pipe counts.
    """

    folder: Path
    environment: Mapping[str, str]
    seconds: float = 120.0
    exported: dict[str, str] = field(default_factory=dict)

    def run(self, command: str) -> Result:
        """Run a command; its output goes to the result, not to this process."""
        export = _EXPORT.fullmatch(command)
        if export is not None:
            self.exported[export[1]] = export[2]
            return Result(command, 0, "")
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-o", "nounset", "-c", command],
            cwd=self.folder,
            env={**os.environ, **self.environment, **self.exported},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=self.seconds,
            check=False,
        )
        return Result(command, done.returncode, done.stdout)

    def run_all(
        self, commands: Sequence[str], table: Mapping[str, str], left_out: Sequence[str] = ()
    ) -> Iterator[Result]:
        """
        Run commands with *table* filled in; one that begins with a text of *left_out* is not run.

        Raises:
            PageError: a command failed.
        """
        for command in commands:
            if command.startswith(tuple(left_out)):
                continue
            result = self.run(filled(command, table))
            if result.code:
                message = f"exit code {result.code}: {result.command}\n{result.output}"
                raise PageError(message)
            yield result


def filled_secrets(folder: Path, words: Mapping[str, str]) -> str:
    """Return the path of a copy of the example of Secrets with *words* replaced, in *folder*."""
    copy = folder / Path(SECRETS).name
    text = (ROOT / SECRETS).read_text(encoding="utf-8")
    copy.write_text(filled(text, words), encoding="utf-8")
    return str(copy)


def _block(page: str, text: str, found: re.Match[str]) -> Block:
    line = text.count("\n", 0, found.start("indent")) + 1
    commands = tuple(_commands(found["body"], prompt=found["language"] == "console"))
    if not commands:
        message = f"{page}:{line}: a block without a command; begin each command with '$ '"
        raise PageError(message)
    texts = {"run": ("story", found["text"]), "not run": ("reason", found["text"])}
    more = dict([texts[found["mark"]]]) if found["mark"] else {}
    return Block(page, line, commands, **more)


def _commands(body: str, *, prompt: bool) -> Iterator[str]:
    """Yield the commands of a block; lines that continue one are joined, output is left out."""
    rest: list[str] = []
    for line in body.splitlines():
        text = line.strip()
        starts = text.startswith("$ ") if prompt else bool(text) and not text.startswith("#")
        if not rest and not starts:
            continue
        part = text.removeprefix("$ ") if prompt and not rest else text
        rest.append(part.removesuffix("\\").strip())
        if not part.endswith("\\"):
            yield " ".join(rest)
            rest = []
