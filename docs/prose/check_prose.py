"""
Checks the prose of documents, docstrings and comments against words.toml; `make lint` calls it.

It prints each finding as `file:line: text`, and exits with 1 when there is one.
"""

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
RULES: Final = Path(__file__).with_name("words.toml")
_FENCE: Final = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)
_NOT_PROSE: Final = re.compile(r"`[^`]*`|\]\([^)]*\)|<!--.*?-->|https?://\S+", re.DOTALL)
_BREAK: Final = re.compile(r"\n\s*\n|\n\s*(?:[-*#|>]|\d+\.)\s|\||(?<=[.!?:;])[\"')]*\s")
_WORD: Final = re.compile(r"[A-Za-z][\w'-]*")

Text = tuple[int, str]
"""A line number, and the prose that begins there."""


def main() -> int:
    """Print all findings; returns the exit code."""
    rules = tomllib.loads(RULES.read_text(encoding="utf-8"))
    found = [finding for path in files(rules) for finding in check(path, rules)]
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


def files(rules: dict[str, Any]) -> list[Path]:
    """Return the files to check: those named, without the exempt ones."""
    left_out = {path for glob in rules["exempt"] for path in ROOT.glob(glob)}
    named = {path for glob in (*rules["documents"], *rules["sources"]) for path in ROOT.glob(glob)}
    return sorted(path for path in named - left_out if not path.is_dir())


def check(path: Path, rules: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each finding in *path*."""
    text = path.read_text(encoding="utf-8")
    texts = [(1, text)] if path.suffix == ".md" else python_texts(text)
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    for first, prose in texts:
        for line, message in findings(prose, rules):
            yield f"{name}:{first + line}: {message}"


def findings(prose: str, rules: dict[str, Any]) -> Iterator[Text]:
    """Yield the line within *prose*, and what is wrong, for each old word and long sentence."""
    plain = _NOT_PROSE.sub(_blank, _FENCE.sub(_blank, prose))
    for pattern, instead in rules["words"].items():
        for match in re.finditer(rf"\b(?:{pattern})\b", plain, re.IGNORECASE):
            yield plain.count("\n", 0, match.start()), f"'{match[0]}': write '{instead}'"
    start = 0
    for end in [*(match.end() for match in _BREAK.finditer(plain)), len(plain)]:
        words = len(_WORD.findall(plain[start:end]))
        if words > rules["max_words_in_a_sentence"]:
            begin = plain[start:end].strip().partition("\n")[0]
            yield plain.count("\n", 0, start), f"{words} words in one sentence: '{begin[:40]}…'"
        start = end


def python_texts(source: str) -> list[Text]:
    """Return docstrings (also those of attributes) and comments, with their lines before."""
    texts = [
        (node.lineno - 1, node.value.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    texts += [
        (token.start[0] - 1, token.string) for token in tokens if token.type == tokenize.COMMENT
    ]
    return [(line + 1, text) for line, text in sorted(texts)]


def _blank(match: re.Match[str]) -> str:
    """Keep the lines, so that numbers stay right; a code span counts as one word."""
    return " x " + "\n" * match[0].count("\n")


if __name__ == "__main__":
    sys.exit(main())
