"""The plugin can be installed by itself."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = {"healthingest"}
LOAD = """
import importlib.abc, json, pkgutil, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(name, name=name)

missing = set(json.loads(sys.argv[1]))
sys.meta_path.insert(0, Missing())
import healthingest_plugin
for found in pkgutil.iter_modules(healthingest_plugin.__path__, "healthingest_plugin."):
    __import__(found.name)
"""
"""Imports every module of the plugin, as if some packages were not installed."""


def normalised(name: str) -> str:
    """Return the name of a distribution as in a lock file."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_plugin_needs_only_what_its_extra_installs() -> None:
    """All modules are imported without kopf, FastAPI and aiohttp."""
    text = (ROOT / "requirements" / "plugin.txt").read_text(encoding="utf-8")
    locked = {normalised(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
    missing = [
        module
        for module, owners in packages_distributions().items()
        if not {normalised(owner) for owner in owners} & (locked | OURS)
    ]
    assert {"kopf", "fastapi", "aiohttp"} <= set(missing)
    command = [sys.executable, "-c", LOAD, json.dumps(missing)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_console_script_has_the_name_that_kubectl_looks_for() -> None:
    """`kubectl healthingest` runs `kubectl-healthingest`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["kubectl-healthingest"] == "healthingest_plugin.main:main"
