"""What is written about the tree is true of the tree."""

import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
QUIET = {"__pycache__", "migrations"}


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(line) for line in listed.stdout.splitlines()]


def test_the_architecture_names_every_folder_and_no_other() -> None:
    """
    Every top-level folder, and every folder of a package, has its place on the page.

    None there is made up.
    """
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = {name.rstrip("/") for name in re.findall(r"`([\w./-]+/)`", page)}
    tracked = _tracked()
    top = {
        path.parts[0]
        for path in tracked
        if len(path.parts) > 1 and not path.parts[0].startswith(".")
    }
    rooms = {
        "/".join(path.parts[:3])
        for path in tracked
        if len(path.parts) > 3
        and path.parts[0] in {"service", "operator"}
        and path.parts[2] not in QUIET
    }
    assert top - named == set()
    assert rooms - named == set()
    assert {name for name in named if not (ROOT / name).is_dir()} == set()


def test_links_between_pages_lead_somewhere() -> None:
    """Relative links of the Markdown pages."""
    pages = [path for path in _tracked() if path.suffix == ".md"]
    links = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text())
    ]
    broken = [
        f"{page}: {target}" for page, target in links if not (ROOT / page.parent / target).exists()
    ]
    assert broken == []


def test_the_manifest_of_the_readme_is_the_smallest_example() -> None:
    """The README shows examples/01-minimal.yaml."""
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert yaml.safe_load(block) == yaml.safe_load(
        (ROOT / "examples" / "01-minimal.yaml").read_text()
    )


def test_no_package_shadows_the_standard_library() -> None:
    """`operator/__init__.py` would replace the standard library's `operator` for everything started from the root."""
    folders = ("operator", "service", "tests/operator", "tests/service", "tests")
    assert [folder for folder in folders if (ROOT / folder / "__init__.py").exists()] == []
