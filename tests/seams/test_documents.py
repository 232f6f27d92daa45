"""Documents agree with the repository."""

import html
import re
import subprocess
from pathlib import Path

import yaml

from healthingest_operator.settings import Settings as OperatorSettings
from healthingest_service import settings

ROOT = Path(__file__).resolve().parents[2]
OTHER_VARIABLES = {
    "HEALTHINGEST_PASSWORD": "client/healthingest_client/arguments.py",
    "HEALTHINGEST_TOKEN": "client/healthingest_client/arguments.py",
    "HEALTHINGEST_URL": "client/healthingest_client/arguments.py",
    "HEALTHINGEST_PORT": "compose.yaml",
    "HEALTHINGEST_PURE": "hatch_build.py",
}
"""Variables that are not settings, and the program that reads each."""
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
    """Every top-level folder and every package of operator and service is on the page."""
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
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


def test_documents_name_only_variables_that_exist() -> None:
    """Each is a setting of service or operator, or is read by the named program."""
    known = settings.known_names() | {
        f"HEALTHINGEST_OPERATOR_{name.upper()}" for name in OperatorSettings.model_fields
    }
    pages = [path for path in _tracked() if path.suffix == ".md"]
    named = {
        (name, str(page))
        for page in pages
        for name in re.findall(r"\bHEALTHINGEST_\w*[A-Z0-9]\b", (ROOT / page).read_text())
    }
    assert len(named) > 100
    assert {
        (name, page) for name, page in named if name not in known | set(OTHER_VARIABLES)
    } == set()
    for name, program in OTHER_VARIABLES.items():
        assert name in (ROOT / program).read_text(), program


def test_no_package_shadows_the_standard_library() -> None:
    """An `operator/__init__.py` would replace the standard library's `operator`."""
    folders = ("operator", "service", "tests/operator", "tests/service", "tests")
    assert [folder for folder in folders if (ROOT / folder / "__init__.py").exists()] == []


def test_each_diagram_is_drawn_from_its_source() -> None:
    """`make diagrams` draws the SVG file, which has every node and edge of its source."""
    for source in (ROOT / "docs" / "diagrams").glob("*.dot"):
        drawn = source.with_suffix(".svg").read_text(encoding="utf-8")
        titles = set(re.findall(r"<title>(.*?)</title>", drawn))
        text = source.read_text(encoding="utf-8")
        nodes = set(re.findall(r"^  (\w+) \[label", text, re.MULTILINE))
        labels = {
            line for label in re.findall(r'label="([^"]+)"', text) for line in label.split("\\n")
        }
        assert nodes - titles == set(), source.name
        shown = html.unescape(drawn)
        assert [line for line in labels if f">{line}</text>" not in shown] == [], source.name


def test_each_decision_is_in_the_index() -> None:
    """The index has its number and title."""
    folder = ROOT / "docs" / "decisions"
    index = (folder / "index.md").read_text(encoding="utf-8")
    pages = [path for path in folder.glob("*.md") if path.name != "index.md"]
    assert [path.name for path in pages if f"[{path.name[:4]}]({path.name})" not in index] == []


def test_make_targets_that_are_named_exist() -> None:
    """In the pages, and in the workflows, which only call `make` and `.ci/run`."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))
    files = [
        path for path in _tracked() if path.suffix in {".md", ".yml"} and (ROOT / path).exists()
    ]
    named = {
        target
        for path in files
        for target in re.findall(
            r"(?:`|run: |^\s*\$ |^)make ([a-z][a-z0-9-]*)",
            (ROOT / path).read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    }
    assert len(named) > 20
    assert named - targets == set()


def test_the_comparison_has_measured_figures_only() -> None:
    """Every number of the comparison in the README is on the page of measurements."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    compared = readme.partition("## Compared with")[2].partition("\n## ")[0]
    measured = (ROOT / "docs" / "reference" / "measurements.md").read_text(encoding="utf-8")
    numbers = set(re.findall(r"\d+(?:,\d{3})*", compared))
    assert len(numbers) >= 10
    assert numbers - set(re.findall(r"\d+(?:,\d{3})*", measured)) == set()
