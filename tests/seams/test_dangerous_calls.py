"""The product uses no function that runs texts as programs, and no broken hash."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("contract", "gate/avrogate", "service", "operator", "client", "consumer", "plugin")
MODULES = frozenset(
    {"pickle", "marshal", "shelve", "dill", "yaml.unsafe_load", "xml", "lxml", "telnetlib"}
)
TRUSTED = {"operator/healthingest_operator/adapters/s3/fingerprints.py": ["xml.etree"]}
"""ElementTree resolves no external entities; it reads answers of the object store."""
CALLS = frozenset(
    {
        "eval",
        "exec",
        "compile",
        "os.system",
        "os.popen",
        "yaml.load",
        "hashlib.md5",
        "hashlib.sha1",
        "asyncio.create_subprocess_shell",
        "ssl._create_unverified_context",
    }
)


def findings(source: str) -> Iterator[str]:
    """Return the dangerous imports and calls of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in MODULES:
                yield str(node.module)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            shell = [one for one in node.keywords if one.arg == "shell"]
            if name in CALLS or shell:
                yield name


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_dangerous_function_is_called(folder: str) -> None:
    """No deserialization of objects, no shell, no `eval`, no XML parser, no MD5 or SHA-1."""
    modules = sorted((ROOT / folder).rglob("*.py"))
    assert modules
    found = {
        str(one.relative_to(ROOT)): names
        for one in modules
        if (names := list(findings(one.read_text(encoding="utf-8"))))
    }
    assert found == {one: names for one, names in TRUSTED.items() if one.startswith(folder)}


@pytest.mark.parametrize(
    "source",
    ["eval('1')", "import pickle", "from xml.etree import ElementTree", "run('a', shell=True)"],
)
def test_a_dangerous_function_is_found(source: str) -> None:
    """By its name, or by the argument that starts a shell."""
    assert list(findings(source))
