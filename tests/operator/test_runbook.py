"""Documentation that a program can check."""

import re
from pathlib import Path
from typing import Any

import yaml

from healthingest_contract.conditions import ConditionType, Reason

DOCS = Path(__file__).parents[2] / "docs"
CRD = Path(__file__).parents[2] / "crds" / "healthingests.healthingest.dev.yaml"
HANDED_ON = ("affinity.", "resources.")


def test_each_reason_has_its_section() -> None:
    """With meaning, cause and what to do; and no section is about a reason that is none."""
    text = (DOCS / "operations.md").read_text().partition("## Condition reasons")[2]
    sections = re.split(r"^### ", text, flags=re.MULTILINE)
    found = {text.partition("\n")[0]: text.partition("\n## ")[0] for text in sections[1:]}
    reasons = {reason.value for reason in Reason}
    assert reasons <= set(found)
    for reason in reasons:
        assert all(f"**{part}:**" in found[reason] for part in ("Meaning", "Cause", "To do")), reason


def test_each_condition_type_is_named() -> None:
    """In the page about the custom resource."""
    text = (DOCS / "custom-resource.md").read_text()
    assert [kind for kind in ConditionType if f"`{kind.value}`" not in text] == []


def paths(described: dict[str, Any], path: str = "") -> list[str]:
    """All fields of a schema, as dotted paths."""
    found = [path] if path else []
    for name, part in described.get("properties", {}).items():
        found += paths(part, f"{path}.{name}" if path else name)
    return found


def test_each_field_is_explained() -> None:
    """Every field of the schema stands in the page; pieces that are handed on to pods stand as a whole."""
    schema = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    text = (DOCS / "custom-resource.md").read_text()
    fields = [path for part in ("spec", "status") for path in paths(schema[part]) if not path.startswith(HANDED_ON)]
    assert [path for path in fields if f"| `{path}` |" not in text] == []
