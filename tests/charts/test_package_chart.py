"""The chart's package is reproducible, and Helm renders it like the folder."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

from support import helm
from support.scripts import load_script

SCRIPT = helm.CHART.parent / "package_chart.py"


@pytest.fixture(scope="module", name="packer")
def _packer() -> ModuleType:
    """Load the script as a module."""
    return load_script(SCRIPT)


@pytest.fixture(name="copy")
def _copy(tmp_path: Path) -> Path:
    """A copy of the chart, with other times and modes of its files."""
    copy = tmp_path / "copy"
    shutil.copytree(helm.CHART, copy, copy_function=shutil.copyfile)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    return copy


def test_the_same_files_give_the_same_bytes(packer: ModuleType, copy: Path) -> None:
    """Their times, modes and folder do not matter; another content does."""
    name, content = packer.package(helm.CHART)
    assert packer.package(copy) == (name, content)
    values = copy / "values.yaml"
    values.write_text(values.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    other = packer.package(copy)[1]
    assert hashlib.sha256(other).digest() != hashlib.sha256(content).digest()


def test_the_package_has_the_files_that_are_not_ignored(packer: ModuleType, copy: Path) -> None:
    """Below a folder with the chart's name, as Helm reads it."""
    (copy / "notes.md").write_text("x", encoding="utf-8")
    (copy / ".cache").write_text("x", encoding="utf-8")
    name, content = packer.package(copy)
    path = copy.parent / name
    path.write_bytes(content)
    with tarfile.open(path) as archive:
        names = archive.getnames()
    files = [found for found in helm.CHART.rglob("*") if found.is_file()]
    expected = {f"healthingest-operator/{found.relative_to(helm.CHART)}" for found in files}
    assert set(names) == expected
    assert names == sorted(names, key=lambda found: Path(found).parts)


def test_versions_that_differ_are_refused(packer: ModuleType, copy: Path) -> None:
    """The chart names the images by its appVersion."""
    about = copy / "Chart.yaml"
    text = about.read_text(encoding="utf-8")
    about.write_text(text.replace("\nversion: ", "\nversion: 9"), encoding="utf-8")
    with pytest.raises(ValueError, match="version and appVersion differ"):
        packer.package(copy)


def test_helm_renders_the_package_like_the_folder(packer: ModuleType, tmp_path: Path) -> None:
    """With all parts on; and it finds no fault in the package."""
    name, content = packer.package(helm.CHART)
    package = tmp_path / name
    package.write_bytes(content)
    parts = ("serviceMonitor", "podMonitor", "alerts", "dashboard")
    more = [word for part in parts for word in ("--set", f"monitoring.{part}.enabled=true")]

    def run(*words: str) -> str:
        command = [helm.program(), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    text = run("template", "release", str(package), *more)
    assert "kind: PrometheusRule" in text
    assert text == run("template", "release", str(helm.CHART), *more)
    run("lint", "--strict", str(package))
