"""Documentation that a program can check."""

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.status.causes import as_table
from healthingest_operator.status.outside_causes import CAUSES

DOCS = Path(__file__).parents[2] / "docs"
CRD = Path(__file__).parents[2] / "crds" / "healthingests.healthingest.dev.yaml"
HANDED_ON = ("affinity.", "resources.", "extraEnv.", "hostAliases.")


def test_each_reason_has_its_section() -> None:
    """With meaning, cause and what to do; and no section is about a reason that is none."""
    text = (DOCS / "reference" / "runbook.md").read_text().partition("## Condition reasons")[2]
    sections = re.split(r"^### ", text, flags=re.MULTILINE)
    found = {text.partition("\n")[0]: text.partition("\n## ")[0] for text in sections[1:]}
    reasons = {reason.value for reason in Reason}
    assert reasons <= set(found)
    for reason in reasons:
        assert all(f"**{part}:**" in found[reason] for part in ("Meaning", "Cause", "To do")), (
            reason
        )


def test_the_table_of_causes_is_the_one_in_the_code() -> None:
    """`make goldens` writes it."""
    path = DOCS / "reference" / "runbook.md"
    before, mark, rest = path.read_text().partition(
        "<!-- causes: `make goldens` writes this table -->\n"
    )
    found, end, after = rest.partition("<!-- end of causes -->")
    wanted = f"\n{as_table(CAUSES)}\n"
    if os.environ.get("UPDATE_GOLDENS"):
        path.write_text(f"{before}{mark}{wanted}{end}{after}")
        found = wanted
    assert found == wanted


def test_each_cause_is_told_apart() -> None:
    """Its own code and message; a remedy that is no repetition."""
    assert len(CAUSES) >= 25
    assert max(Counter(cause.code for cause in CAUSES).values()) == 1
    for cause in CAUSES:
        assert cause.message
        assert cause.remedy
        assert cause.message != cause.remedy


def test_each_condition_type_is_named() -> None:
    """In the page about the custom resource."""
    text = (DOCS / "reference" / "custom-resource.md").read_text()
    assert [kind for kind in ConditionType if f"`{kind.value}`" not in text] == []


def paths(described: dict[str, Any], path: str = "") -> list[str]:
    """All fields of a schema, as dotted paths."""
    found = [path] if path else []
    for name, part in described.get("properties", {}).items():
        found += paths(part, f"{path}.{name}" if path else name)
    return found


def test_each_field_is_explained() -> None:
    """
    Every field of the schema stands in the page.

    Pieces that are handed on to pods stand as a whole.
    """
    schema = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"][
        "properties"
    ]
    text = (DOCS / "reference" / "custom-resource.md").read_text()
    fields = [
        path
        for part in ("spec", "status")
        for path in paths(schema[part])
        if not any(part in path for part in HANDED_ON)
    ]
    assert [path for path in fields if f"| `{path}` |" not in text] == []
