"""Commands of how-to pages are found, filled in and run as a reader would."""

import re
from pathlib import Path

import pytest

from support import pages

RUN_BY = {
    name: (pages.ROOT / path).read_text(encoding="utf-8")
    for name, path in (
        ("API server", "tests/cluster/test_pages.py"),
        ("cluster", "e2e/test_9_written_commands.py"),
        ("service", "tests/client/test_written_commands.py"),
        ("studies", "tests/ports/test_written_commands.py"),
    )
}

INSTALLATION = ("install", "install-air-gapped", "upgrade", "uninstall", "limit-namespaces")


@pytest.fixture(name="page")
def _page(tmp_path: Path) -> Path:
    return tmp_path / "page.md"


def test_commands_and_marks_of_a_page_are_found(page: Path) -> None:
    """Also in lists; output, comments and other languages are left out."""
    page.write_text(
        "# Page\n\n<!-- run: one -->\n```console\n$ first --a \\\n    --b\noutput\n$ second\n```\n"
        "1. Item:\n\n   <!-- not run: too slow -->\n   ```sh\n   # comment\n   third | fourth\n"
        "   ```\n\n```yaml\n$ no: command\n```\n\n```console\n$ bare\n```\n",
        encoding="utf-8",
    )
    assert pages.blocks(page) == [
        pages.Block("page.md", 4, ("first --a --b", "second"), story="one"),
        pages.Block("page.md", 13, ("third | fourth",), reason="too slow"),
        pages.Block("page.md", 22, ("bare",)),
    ]


def test_a_block_without_a_command_is_refused(page: Path) -> None:
    """A forgotten prompt would make it a block that nobody runs."""
    page.write_text("text\n\n```console\nkubectl get pods\n```\n", encoding="utf-8")
    with pytest.raises(pages.PageError, match=r"page\.md:3: a block without a command"):
        pages.blocks(page)


def test_placeholders_are_filled_in() -> None:
    """A longer one is not cut by a shorter one."""
    table = {"NAME": "clinic", "NAMESPACE": "demo", "$REGISTRY": "registry.example"}
    assert pages.filled("do NAME -n NAMESPACE $REGISTRY/x", table) == (
        "do clinic -n demo registry.example/x"
    )


def test_the_shell_keeps_exports_and_sees_every_failure(tmp_path: Path) -> None:
    """A variable that is not set, and the first program of a pipe, fail a command."""
    shell = pages.Shell(tmp_path, {"GIVEN": "a"})
    results = list(
        shell.run_all(["export WORD=b", "echo $GIVEN $WORD", "echo 'CALL {x}' >f; cat f"], {})
    )
    assert [result.output for result in results] == ["", "a b\n", "CALL {x}\n"]
    assert (tmp_path / "f").exists()
    for wrong in ("echo $NOT_SET", "false | cat", "exit 3"):
        assert shell.run(wrong).code != 0


def test_a_failing_command_ends_the_story_with_its_output(tmp_path: Path) -> None:
    """Commands that are left out are not run."""
    shell = pages.Shell(tmp_path, {})
    left_out = ("skip",)
    results = shell.run_all(
        ["skip it", "echo A", "echo why; exit 4", "touch f"], {"A": "b"}, left_out
    )
    assert next(results).output == "b\n"
    with pytest.raises(pages.PageError, match=r"exit code 4: echo why; exit 4\nwhy"):
        next(results)
    assert not (tmp_path / "f").exists()


def test_each_command_of_the_pages_is_run_or_has_a_reason() -> None:
    """Each story is run by a test: on the cluster, a private API server or a service."""
    found = [block for page in pages.PAGES for block in pages.blocks(page)]
    assert len(found) > 15
    unmarked = [
        f"{block.page}:{block.line}" for block in found if not (block.story or block.reason)
    ]
    assert unmarked == []
    stories = {block.story for block in found if block.story}
    run = {name for text in RUN_BY.values() for name in re.findall(r'story\("([a-z-]+)"\)', text)}
    assert stories == run


def test_the_readme_installs_as_the_page_does() -> None:
    """Its commands are the first of the story, which tests run."""
    first = pages.blocks(pages.ROOT / "README.md")[0]
    assert len(first.commands) == 3
    assert list(first.commands) == pages.story("install")[:3]


def test_no_command_hides_in_the_text() -> None:
    """A command with arguments in a sentence of an installation page would not be run."""
    allowed = re.compile(
        r"kubectl (delete healthingest|describe hi clinic)|helm (template|upgrade)"
    )
    for name in INSTALLATION:
        page = pages.HOW_TO / f"{name}.md"
        text = re.sub(
            r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
        )
        hidden = [
            code
            for code in re.findall(r"`((?:kubectl|helm) [^`]*)`", text)
            if not allowed.fullmatch(code)
        ]
        assert hidden == [], page.name
