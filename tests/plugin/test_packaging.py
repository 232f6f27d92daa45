"""The plugin can be installed by itself."""

import tomllib

from support.extras import ROOT, error_without, missing_with


def test_the_plugin_needs_only_what_its_extra_installs() -> None:
    """All modules are imported without kopf, FastAPI and aiohttp."""
    missing = missing_with("plugin")
    assert {"kopf", "fastapi", "aiohttp"} <= missing
    assert error_without(missing, "healthingest_plugin") == ""


def test_the_console_script_has_the_name_that_kubectl_looks_for() -> None:
    """`kubectl healthingest` runs `kubectl-healthingest`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["kubectl-healthingest"] == "healthingest_plugin.main:main"
