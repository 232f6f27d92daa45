"""The inventory of cryptography has each module and each secret."""

import ast
import re
from pathlib import Path

from healthingest_contract.service_settings import SECRETS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "cryptography.md"
FOLDERS = ("contract", "gate/avrogate", "service", "operator", "client", "consumer", "plugin")
LIBRARIES = frozenset(
    {"argon2", "cryptography", "hashlib", "hmac", "jwt", "pwdlib", "secrets", "ssl"}
)


def libraries(source: str) -> set[str]:
    """Return the cryptographic libraries that a module imports."""
    found = set[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found & LIBRARIES


def test_finds_libraries() -> None:
    """However they are imported; a module of our own with such a name is no library."""
    source = "import hashlib, os\nimport cryptography.x509\nfrom jwt import JWT\nfrom . import ssl"
    assert libraries(source) == {"hashlib", "cryptography", "jwt"}


def test_the_page_names_each_module_with_cryptography() -> None:
    """And no other one."""
    using = {
        str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if libraries(path.read_text(encoding="utf-8"))
    }
    named = re.findall(r"`([\w/]+\.py)`", PAGE.read_text(encoding="utf-8"))
    assert sorted(named) == sorted(using)


def test_the_page_names_each_secret_setting() -> None:
    """Each has a row that says who replaces it."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    missing = [name for name in SECRETS if not any(f"`{name}`" in row for row in rows)]
    assert missing == []
