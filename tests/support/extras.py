"""A package is imported as if only its own extra were installed."""

import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_OURS: Final = frozenset({"healthingest"})
_LOAD: Final = """
import importlib, importlib.abc, json, pkgutil, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(name, name=name)

name, missing = sys.argv[1], set(json.loads(sys.argv[2]))
sys.meta_path.insert(0, Missing())
package = importlib.import_module(name)
for found in pkgutil.iter_modules(package.__path__, f"{name}."):
    importlib.import_module(found.name)
"""
"""Imports every module of a package, as if some packages were not installed."""


def missing_with(extra: str) -> set[str]:
    """Return the modules of this environment that *extra* does not install."""
    text = (ROOT / "requirements" / f"{extra}.txt").read_text(encoding="utf-8")
    locked = {_normalised(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
    return {
        module
        for module, owners in packages_distributions().items()
        if not {_normalised(owner) for owner in owners} & (locked | _OURS)
    }


def error_without(missing: set[str], package: str) -> str:
    """Return why a module of *package* cannot be imported without *missing*; empty: all can."""
    command = [sys.executable, "-c", _LOAD, package, json.dumps(sorted(missing))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def _normalised(name: str) -> str:
    """Return the name of a distribution as in a lock file."""
    return re.sub(r"[-_.]+", "-", name).lower()
