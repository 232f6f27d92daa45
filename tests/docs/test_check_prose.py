"""The checker of prose finds what its rules name, and nothing in code."""

import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support.scripts import load_script

SCRIPT = Path(__file__).parents[2] / "docs" / "prose" / "check_prose.py"


@pytest.fixture
def checker() -> ModuleType:
    """Load the script as a module."""
    return load_script(SCRIPT)


@pytest.fixture
def rules() -> dict[str, Any]:
    """Parse the committed rules."""
    return tomllib.loads(SCRIPT.with_name("words.toml").read_text(encoding="utf-8"))


def _found(checker: ModuleType, rules: dict[str, Any], prose: str) -> list[int]:
    return [line for line, _ in checker.findings(prose, rules)]


@pytest.mark.parametrize(
    "prose",
    ["A glance at it.", "The worker judges.", "A process and his socket.", "A port that is none."],
)
def test_old_words_are_found(checker: ModuleType, rules: dict[str, Any], prose: str) -> None:
    """With the line they stand in."""
    assert _found(checker, rules, f"Fine.\n\n{prose}") == [2]


@pytest.mark.parametrize(
    "prose",
    [
        "The class `Glance`.",
        "The audit log.",
        "Where there is none.",
        "x is None",
        "```\nglance\n```",
    ],
)
def test_code_and_other_senses_are_not(
    checker: ModuleType, rules: dict[str, Any], prose: str
) -> None:
    """Code spans, blocks of code, and standard terms pass."""
    assert _found(checker, rules, prose) == []


def test_a_long_sentence_is_found(checker: ModuleType, rules: dict[str, Any]) -> None:
    """Its words are counted from one full stop, list item or table cell to the next."""
    assert _found(checker, rules, "Short. " + "word " * 31 + "end.") == [0]
    assert _found(checker, rules, "word " * 30 + ".") == []
    assert _found(checker, rules, "| " + "word " * 20 + "| " + "word " * 20 + "|") == []


def test_docstrings_and_comments_are_read(
    checker: ModuleType, rules: dict[str, Any], tmp_path: Path
) -> None:
    """Texts that a program prints are not: goldens and tests hold those."""
    module = tmp_path / "module.py"
    module.write_text('"""A glance."""\nx = "glance"  # a bell\n', encoding="utf-8")
    lines = [finding.split(":")[1] for finding in checker.check(module, rules)]
    assert lines == ["1", "2"]
