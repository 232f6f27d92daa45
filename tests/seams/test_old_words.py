"""Names and words that were replaced do not come back; `docs/prose/words.toml` has the table."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULES: dict[str, Any] = tomllib.loads((ROOT / "docs/prose/words.toml").read_text("utf-8"))[
    "identifiers"
]
CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
RECORD = re.compile(r"\b00\d\d-[a-z0-9-]+")
"""The name of a decision record, which keeps its old words."""
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def old_words(text: str, table: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Yield the line and the message of each old word that is a whole part of a name, or a word."""
    plain = CAMEL_CASE.sub("_", RECORD.sub("", text))
    for pattern, instead in table.items():
        for match in re.finditer(rf"(?<![a-z])(?:{pattern})(?![a-z])", plain, re.IGNORECASE):
            line = plain.count("\n", 0, match.start()) + 1
            yield line, f"'{match[0]}': write '{instead}'"


def old_definitions(path: Path) -> Iterator[str]:
    """Yield a message for each module, class and function of *path* that has an old name."""
    names = [(1, path.stem)]
    names += [
        (node.lineno, node.name)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, Definition)
    ]
    for line, name in names:
        for pattern, instead in RULES["definitions"].items():
            if re.fullmatch(pattern, name.strip("_"), re.IGNORECASE):
                yield f"{path}:{line}: '{name}': write '{instead}'"


def tracked(*patterns: str) -> list[Path]:
    """Return the files of the repository that match *patterns* and are not exempt."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    names = [name for name in listing.split("\0") if name and (ROOT / name).is_file()]
    return [
        ROOT / name
        for name in names
        if not any(fnmatchcase(name, glob) for glob in RULES["exempt"])
    ]


def test_no_file_has_an_old_word() -> None:
    """Neither a name in code, a file name, a metric, an alert nor a document."""
    found: list[str] = []
    for path in tracked():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:  # an Avro sample
            continue
        name = path.relative_to(ROOT).as_posix()
        found += [
            f"{name}:{line}: {message}"
            for line, message in [
                *old_words(name, RULES["anywhere"]),
                *old_words(text, RULES["anywhere"]),
            ]
        ]
    assert found == []


def test_no_definition_of_the_product_has_an_old_name() -> None:
    """Words with a plain meaning are refused only as names of modules, classes and functions."""
    sources = tracked(*(f"{half}/*.py" for half in RULES["product"]))
    assert len(sources) > 100
    assert [message for path in sources for message in old_definitions(path)] == []


@pytest.mark.parametrize(
    "text",
    ["glance", "GLANCE_SECONDS", "last_glance", "LastGlance", "put off", "put_off", "PutOff"],
)
def test_a_part_of_a_name_is_found(text: str) -> None:
    """In snake case, camel case, capitals and prose."""
    assert list(old_words(f"a\n{text}", RULES["anywhere"])) != []


@pytest.mark.parametrize("text", ["adjudge", "prejudging", "0016-the-judge-reads-the-spool"])
def test_another_word_is_not_found(text: str) -> None:
    """A longer word is another word, and a decision record keeps its name."""
    assert list(old_words(text, RULES["anywhere"])) == []


def test_a_definition_is_found_at_its_line(tmp_path: Path) -> None:
    """Local variables are free."""
    module = tmp_path / "marks.py"
    module.write_text("def wish():\n    ground = 1\n\n\nclass _Rhythm:\n    known = 2\n", "utf-8")
    lines = [message.split(":")[1] for message in old_definitions(module)]
    assert lines == ["1", "1", "5"]
